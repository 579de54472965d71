"""What the whole account carries when everything on its way is filled at worst.

In whole millionths of the account currency, rounded against the account.
"""

from typing import NamedTuple

from trading.marks import Marks
from trading.portfolio import Portfolio


class Load(NamedTuple):
    """Exposure of the account, without the order that is judged.

    `low` and `high` bound the net notional. `base` and `quote` are the bounds in the two currencies
    of the order's instrument, where long the base is short the quote; a currency of the account
    itself is (0, 0).
    """

    gross: int
    low: int
    high: int
    margin: int
    base: tuple[int, int]
    quote: tuple[int, int]


def load_of(portfolio: Portfolio, marks: Marks, instrument: int) -> Load | None:
    """Add up all instruments with a position or an order; None when one cannot be valued.

    Parameters
    ----------
    instrument : int
        The one whose currencies are looked at.
    """
    gross = low = high = margin = 0
    base, quote = portfolio.foreign[instrument]
    base_low = base_high = quote_low = quote_high = 0
    for index in portfolio.active:
        unit = marks.unit(index)
        if unit is None:
            return None
        least, most, worst = portfolio.span(index)
        bottom, top, load = unit * least, unit * most, unit * worst
        gross, low, high = gross + load, low + bottom, high + top
        up, down = portfolio.margin_rates[index]
        margin -= -load * up // down
        if base or quote:
            long, short = portfolio.foreign[index]
            if base and base in (long, short):
                base_low += bottom if long == base else -top
                base_high += top if long == base else -bottom
            if quote and quote in (long, short):
                quote_low += bottom if long == quote else -top
                quote_high += top if long == quote else -bottom
    return Load(gross, low, high, margin, (base_low, base_high), (quote_low, quote_high))
