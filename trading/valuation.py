"""What the account carries and is worth, kept up to date instrument by instrument.

In whole millionths of the account currency, rounded against the account. A row is worked out anew
only when its quote, its position or its orders have changed; sums move by the difference, so that
asking costs as much as what has changed since, whatever the number of instruments.
"""

from typing import NamedTuple

from trading.marks import Marks
from trading.portfolio import Portfolio
from trading.positions import unrealised


class Load(NamedTuple):
    """Exposure of the account when everything on its way is filled at worst.

    `low` and `high` bound the net notional. `base` and `quote` are the bounds in the two currencies
    of one instrument, where long the base is short the quote; a currency of the account itself is
    (0, 0).
    """

    gross: int
    low: int
    high: int
    margin: int
    base: tuple[int, int]
    quote: tuple[int, int]


# One instrument: lowest and highest notional, the larger of them, margin, open profit. A plain
# tuple, for it is made anew with every quote.
_Row = tuple[int, int, int, int, int]
_FLAT: _Row = (0, 0, 0, 0, 0)
_NONE = (0, 0)


class Valuation:
    """Sums over all instruments of an account.

    Parameters
    ----------
    portfolio : Portfolio
    marks : Marks
        Both note what has changed; this takes the notes away.
    """

    def __init__(self, portfolio: Portfolio, marks: Marks) -> None:
        self._portfolio = portfolio
        self._marks = marks
        self._rows: list[_Row | None] = [_FLAT] * len(portfolio.foreign)
        self._unvalued = 0
        self._gross = self._low = self._high = self._margin = self._profit = 0
        self._currencies: dict[str, tuple[int, int]] = {
            name: _NONE for pair in portfolio.foreign for name in ("", *pair)
        }

    def load(self, instrument: int) -> Load | None:
        """Return what the account carries; None when something of it cannot be valued.

        Parameters
        ----------
        instrument : int
            The one whose currencies are told.
        """
        self._refresh()
        if self._unvalued:
            return None
        base, quote = self._portfolio.foreign[instrument]
        currencies = self._currencies
        return Load(
            self._gross, self._low, self._high, self._margin, currencies[base], currencies[quote]
        )

    def equity(self) -> int | None:
        """Return balance, closed and open profit; None when something of it cannot be valued."""
        self._refresh()
        closed = self._portfolio.closed()
        if self._unvalued or closed is None:
            return None
        return closed + self._profit

    def currencies(self) -> dict[str, tuple[int, int]]:
        """Return lowest and highest notional per foreign currency."""
        self._refresh()
        return {name: bounds for name, bounds in self._currencies.items() if name}

    def _refresh(self) -> None:
        moved, changed = self._marks.moved, self._portfolio.changed
        while changed:
            moved.add(changed.pop())
        while moved:
            self._set(moved.pop())

    def _set(self, instrument: int) -> None:
        before, after = self._rows[instrument], self._row(instrument)
        if before == after:
            return
        self._rows[instrument] = after
        self._unvalued += (after is None) - (before is None)
        low, high, gross, margin, profit = after or _FLAT
        if before is not None:
            low, high, gross = low - before[0], high - before[1], gross - before[2]
            margin, profit = margin - before[3], profit - before[4]
        self._low += low
        self._high += high
        self._gross += gross
        self._margin += margin
        self._profit += profit
        base, quote = self._portfolio.foreign[instrument]
        currencies = self._currencies
        if base:
            least, most = currencies[base]
            currencies[base] = (least + low, most + high)
        if quote:
            least, most = currencies[quote]
            currencies[quote] = (least - high, most - low)

    def _row(self, instrument: int) -> _Row | None:
        portfolio, marks = self._portfolio, self._marks
        if instrument not in portfolio.active:
            return _FLAT
        unit = marks.unit(instrument)
        profit = self._open_profit(instrument)
        if unit is None or profit is None:
            return None
        least, most = portfolio.span(instrument)
        up, down = portfolio.margin_rates[instrument]
        low, high = unit * least, unit * most
        gross = high if high >= -low else -low
        return low, high, gross, -(-gross * up // down), profit

    def _open_profit(self, instrument: int) -> int | None:
        position = self._portfolio.position(instrument)
        if not position.steps:
            return 0
        mark = self._marks.mark(instrument)
        if mark is None:
            return None
        ticks = unrealised(position, mark.bid_ticks, mark.ask_ticks)
        return self._marks.profit(instrument, ticks)
