"""Bounded buffer between a feed and the engine: one writer, one reader, overwrites are counted."""

import numpy as np
from numpy.typing import NDArray

from core.types import Quote

QUOTE_DTYPE = np.dtype(
    [
        ("instrument", "i8"),
        ("seq", "i8"),
        ("ts_event", "i8"),
        ("ts_recv", "i8"),
        ("bid", "f8"),
        ("ask", "f8"),
        ("volume", "f8"),
        ("span_ns", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
    ]
)
"""Fields of `core.types.Quote`, in its order."""


class RingBuffer:
    """The newest `capacity` quotes.

    Every quote is written twice, `capacity` slots apart, so that any run of up to `capacity`
    quotes lies in one piece: a view never has to be glued together at the wrap.

    Parameters
    ----------
    capacity : int
        Most quotes held; at least 1.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._slots = np.zeros(2 * capacity, QUOTE_DTYPE)
        self._capacity = capacity
        self._written = 0
        self._read = 0
        self._overwritten = 0
        self._lost: dict[int, int] = {}

    def __len__(self) -> int:
        """Quotes written and not read yet."""
        return self._written - self._read

    @property
    def capacity(self) -> int:
        """Most quotes held."""
        return self._capacity

    @property
    def overwritten(self) -> int:
        """Quotes that were overwritten before they were read, in total."""
        return self._overwritten

    def push(self, quote: Quote) -> None:
        """Write one quote; when full, the oldest unread one is lost and counted."""
        if self._written - self._read == self._capacity:
            self._lose_oldest()
        slot = self._written % self._capacity
        row = (
            quote.instrument,
            quote.seq,
            quote.ts_event,
            quote.ts_recv,
            quote.bid,
            quote.ask,
            quote.volume,
            quote.span_ns,
            quote.open,
            quote.high,
            quote.low,
        )
        self._slots[slot] = row
        self._slots[slot + self._capacity] = row
        self._written += 1

    def pop(self) -> Quote | None:
        """Read the oldest unread quote, or None when there is none."""
        if self._read == self._written:
            return None
        quote = Quote(*self._slots[self._read % self._capacity].item())
        self._read += 1
        return quote

    def take_lost(self) -> dict[int, int]:
        """Quotes lost per instrument since the last call: those instruments are cold now."""
        lost, self._lost = self._lost, {}
        return lost

    def latest(self, count: int) -> NDArray[np.void]:
        """View of the newest quotes, read or not, oldest first.

        Parameters
        ----------
        count : int
            At most this many; fewer when fewer were written or fit.

        Returns
        -------
        `QUOTE_DTYPE` [k]
            Read-only view, valid until the next `push`; copy it to keep it.
        """
        kept = min(max(count, 0), self._written, self._capacity)
        end = self._written % self._capacity + self._capacity
        view = self._slots[end - kept : end]
        view.flags.writeable = False
        return view

    def _lose_oldest(self) -> None:
        instrument = int(self._slots[self._read % self._capacity]["instrument"])
        self._lost[instrument] = self._lost.get(instrument, 0) + 1
        self._overwritten += 1
        self._read += 1
