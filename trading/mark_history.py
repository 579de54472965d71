"""Mid prices of all instruments at the same minutes of the tape, for what may be lost."""

import numpy as np
from numpy.typing import NDArray

from core.types import Quote
from trading.marks import Marks

SAMPLE_NS = 60_000_000_000


class MarkHistory:
    """Ring of rows, each the mids of all instruments at the end of a minute that had quotes.

    A minute ends with the first quote of a later one, so that a row holds nothing of what follows
    it. An instrument without a quote so far has NaN.

    Parameters
    ----------
    marks : Marks
        Not yet updated with the quote that `observe` is told.
    instruments : int
        How many there are.
    capacity : int
        Rows that are kept.
    """

    def __init__(self, marks: Marks, instruments: int, capacity: int = 1_440) -> None:
        self._marks = marks
        self._rows = np.full((capacity, instruments), np.nan)
        self._count = 0
        self._minute = 0

    def __len__(self) -> int:
        return min(self._count, len(self._rows))

    def observe(self, quote: Quote) -> None:
        """Take the time of a quote that is about to be marked."""
        minute = quote.ts_event // SAMPLE_NS
        if minute <= self._minute:
            return
        if self._minute:
            self._rows[self._count % len(self._rows)] = self._mids()
            self._count += 1
        self._minute = minute

    def returns(self) -> NDArray[np.float64]:
        """Relative moves from row to row, oldest first: float64[samples, instruments] with NaN."""
        start = self._count % len(self._rows) if self._count > len(self._rows) else 0
        ordered = np.roll(self._rows, -start, axis=0)[: len(self)]
        moves: NDArray[np.float64] = ordered[1:] / ordered[:-1] - 1.0
        return moves

    def _mids(self) -> list[float]:
        quotes = (self._marks.quote(one) for one in range(self._rows.shape[1]))
        return [np.nan if quote is None else (quote.bid + quote.ask) / 2 for quote in quotes]
