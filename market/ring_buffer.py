"""Bounded buffer between a feed and the engine: one writer, one reader, overwrites are counted."""

from collections import deque

from core.types import Quote


class RingBuffer:
    """Unread quotes in their order, at most `capacity`.

    A full buffer loses its oldest quote. Who reads notices it as a jump of the instrument's
    sequence, as any other loss.

    Parameters
    ----------
    capacity : int
        Most quotes held; at least 1.

    Attributes
    ----------
    overwritten : int
        Quotes that were lost before they were read.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._unread: deque[Quote] = deque()
        self.capacity = capacity
        self.overwritten = 0

    def __len__(self) -> int:
        return len(self._unread)

    def push(self, quote: Quote) -> None:
        """Write one quote; when full, the oldest unread one is lost and counted."""
        if len(self._unread) == self.capacity:
            self._unread.popleft()
            self.overwritten += 1
        self._unread.append(quote)

    def pop(self) -> Quote | None:
        """Read the oldest unread quote, or None when there is none."""
        return self._unread.popleft() if self._unread else None
