"""What the whole account would carry with one more order, everything on its way filled at worst."""

from decimal import Decimal
from typing import NamedTuple

from trading.marks import Marks
from trading.portfolio import Portfolio

_ZERO = Decimal(0)


class Load(NamedTuple):
    """Exposure in account currency.

    `low` and `high` bound the net notional; `currencies` holds the same bounds per currency other
    than the account's, where long the base is short the quote.
    """

    gross: Decimal
    low: Decimal
    high: Decimal
    margin: Decimal
    currencies: dict[str, tuple[Decimal, Decimal]]


def load_with(portfolio: Portfolio, marks: Marks, instrument: int, steps: int) -> Load | None:
    """Add up all instruments with `steps` more of one of them; None when one cannot be valued.

    Parameters
    ----------
    steps : int
        Lot steps of the order, negative for a sell.
    """
    gross = low = high = margin = _ZERO
    currencies: dict[str, tuple[Decimal, Decimal]] = {}
    for index in portfolio.exposed(instrument):
        unit = marks.step_notional(index)
        if unit is None:
            return None
        least, most = portfolio.exposure(index)
        if index == instrument:
            least, most = least + min(steps, 0), most + max(steps, 0)
        bottom, top = unit * least, unit * most
        worst = top if most >= -least else -bottom
        gross, low, high = gross + worst, low + bottom, high + top
        margin += worst * portfolio.margin_rates[index]
        base, quote = portfolio.foreign[index]
        if base:
            _add(currencies, base, bottom, top)
        if quote:
            _add(currencies, quote, -top, -bottom)
    return Load(gross, low, high, margin, currencies)


def _add(
    currencies: dict[str, tuple[Decimal, Decimal]], name: str, low: Decimal, high: Decimal
) -> None:
    before = currencies.get(name)
    currencies[name] = (low, high) if before is None else (before[0] + low, before[1] + high)
