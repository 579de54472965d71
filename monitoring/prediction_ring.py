"""The newest predictions, in memory that is there from the start."""

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RECORD = np.dtype(
    [
        *((name, "<i8") for name in ("ts_event", "ts_decide", "instrument")),
        *((name, "<f8") for name in ("p", "edge_pips")),
    ]
)
_SIZE = RECORD.itemsize
_PACK = struct.Struct("<qqqdd")
SHOWN = 1_000


class Spread(NamedTuple):
    """Mean and standard deviation of the newest predictions of an instrument, and how many."""

    n: int
    mean: float
    sigma: float


class PredictionRing:
    """Bounded; the oldest prediction gives way.

    Parameters
    ----------
    records : array of RECORD
        Memory to live in; its length is the capacity.

    Attributes
    ----------
    count : int
        Predictions written so far.
    """

    __slots__ = ("_bytes", "_put", "_records", "count")

    def __init__(self, records: NDArray[np.void]) -> None:
        if records.dtype != RECORD or len(records) < 1:
            raise ValueError("a prediction ring needs at least one record of its own kind")
        self._records = records
        self._bytes = memoryview(records.view(np.uint8).data)
        self._put = _PACK.pack_into
        self.count = 0

    def push(
        self, ts_event: int, ts_decide: int, instrument: int, p: float, edge_pips: float
    ) -> None:
        """Write one prediction over the oldest."""
        at = self.count % len(self._records) * _SIZE
        self._put(self._bytes, at, ts_event, ts_decide, instrument, p, edge_pips)
        self.count += 1

    def newest(self, n: int) -> tuple[NDArray[np.void], ...]:
        """Give the last `n` records, oldest first, in one piece or in two: its own memory."""
        capacity = len(self._records)
        n = min(n, self.count, capacity)
        first = (self.count - n) % capacity
        if first + n <= capacity:
            return (self._records[first : first + n],)
        return self._records[first:], self._records[: first + n - capacity]

    def spread(self, instrument: int) -> Spread:
        """Summarise the instrument's predictions among the newest thousand."""
        parts = [part["p"][part["instrument"] == instrument] for part in self.newest(SHOWN)]
        p = np.concatenate(parts)
        if not len(p):
            return Spread(0, 0.0, 0.0)
        return Spread(len(p), float(p.mean()), float(p.std()))
