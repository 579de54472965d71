"""The newest quotes of one instrument in memory that is there from the start.

One record a quote, written in place over the oldest. `take` gives the records of a range without
copying them: as one piece, or as two where the range runs over the end.
"""

import struct

import numpy as np
from numpy.typing import NDArray

from core.columns import QuoteColumns, concat
from core.types import Quote

RECORD = np.dtype(
    [
        *((name, "<i8") for name in ("seq", "ts", "ts_recv", "span")),
        *((name, "<f8") for name in ("bid", "ask", "volume", "open", "high", "low")),
    ]
)
_SIZE = RECORD.itemsize
_PACK = struct.Struct("<qqqqdddddd")


class QuoteRing:
    """Bounded, one writer, many readers; what is overwritten is gone.

    Parameters
    ----------
    records : array of RECORD
        Memory to live in; its length is the capacity.

    Attributes
    ----------
    count : int
        Quotes written so far: the position of the next one.
    """

    __slots__ = ("_bytes", "_capacity", "_put", "_records", "count")

    def __init__(self, records: NDArray[np.void]) -> None:
        if records.dtype != RECORD or len(records) < 1:
            raise ValueError("a quote ring needs at least one record of its own kind")
        self._records = records
        self._capacity = len(records)
        self._bytes = memoryview(records.view(np.uint8).data)
        self._put = _PACK.pack_into
        self.count = 0

    @property
    def capacity(self) -> int:
        """Most quotes held."""
        return self._capacity

    @property
    def oldest(self) -> int:
        """Position of the oldest quote that is still there."""
        return max(0, self.count - self._capacity)

    def push(self, quote: Quote) -> None:
        """Write one quote over the oldest."""
        at = self.count % self._capacity * _SIZE
        self._put(
            self._bytes, at, quote.seq, quote.ts_event, quote.ts_recv, quote.span_ns, quote.bid,
            quote.ask, quote.volume, quote.open, quote.high, quote.low,
        )  # fmt: skip
        self.count += 1

    def views(self, first: int, end: int) -> tuple[NDArray[np.void], ...]:
        """Give the records at positions ``first <= k < end``, in order, in one piece or in two.

        They are the ring's own memory: read them before the writer has come round.

        Raises
        ------
        IndexError
            When some are not there, or not any more.
        """
        if not self.oldest <= first <= end <= self.count:
            held = f"{self.oldest} to {self.count}"
            raise IndexError(f"positions {first} to {end} are not in {held}")
        a, n = first % self._capacity, end - first
        if a + n <= self._capacity:
            return (self._records[a : a + n],)
        return self._records[a:], self._records[: a + n - self._capacity]

    def take(self, first: int, end: int) -> QuoteColumns | None:
        """Copy of the quotes at positions ``first <= k < end``.

        None when the writer has come round in the meantime, so that some are not those any more;
        safe to call from another thread.
        """
        try:
            parts = [_columns(part) for part in self.views(first, end)]
        except IndexError:
            return None
        copied = concat(parts)
        return copied if first >= self.oldest else None


def _columns(records: NDArray[np.void]) -> QuoteColumns:
    """Columns of records, as strided views of them."""
    names = ("ts", "bid", "ask", "volume", "span", "open", "high", "low")
    return QuoteColumns(*(records[name] for name in names))
