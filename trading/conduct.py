"""What a strategy has done lately: orders sent, cancels sent, orders executed.

Time is the engine's, from the events; an order that is sent later never counts as sent earlier.
"""

from collections import deque

from core.types import Fill, Side
from trading.limits import TOKEN

Slot = tuple[str, int]
MOST_KEPT = 1_024  # callers name strategies as they like; what says nothing any more is let go


class RateBuckets:
    """A token bucket per strategy and instrument; a full one holds the burst.

    Attributes
    ----------
    rate, burst : int
        See `trading.limits.Caps`.
    """

    def __init__(self, rate: int, burst: int) -> None:
        self.rate, self.burst = rate, burst
        self._levels: dict[Slot, tuple[int, int]] = {}

    def level(self, slot: Slot, now_ns: int) -> int:
        """Return what is in the bucket, in parts of `TOKEN`."""
        found = self._levels.get(slot)
        if found is None:
            return self.burst
        level, at = found
        if now_ns > at:
            level += (now_ns - at) * self.rate
        return level if level < self.burst else self.burst

    def take(self, slot: Slot, now_ns: int) -> bool:
        """Take a token; False, and nothing taken, when there is none."""
        level = self.level(slot, now_ns)
        if level < TOKEN:
            return False
        last = self._levels.get(slot, (0, 0))[1]
        self._levels[slot] = (level - TOKEN, max(now_ns, last))
        if len(self._levels) > MOST_KEPT:
            self._levels = {
                key: found for key, found in self._levels.items()
                if self.level(key, now_ns) < self.burst
            }  # fmt: skip
        return True


class Executions:
    """Orders executed per strategy, instrument and side within a sliding window."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self._times: dict[tuple[str, int, Side], deque[int]] = {}

    def note(self, strategy: str, fill: Fill, now_ns: int) -> int:
        """Count an order at its first execution; return how many the window holds with it."""
        key = (strategy, fill.instrument, fill.side)
        self._times.setdefault(key, deque()).append(now_ns)
        if len(self._times) > MOST_KEPT:
            self._times = {
                one: kept for one, kept in self._times.items() if self.count(*one, now_ns)
            }
        return self.count(*key, now_ns)

    def count(self, strategy: str, instrument: int, side: Side, now_ns: int) -> int:
        """Return how many executions the window that ends now holds."""
        if not self._times:
            return 0
        times = self._times.get((strategy, instrument, side))
        if not times:
            return 0
        oldest = now_ns - self.window_ns
        while times and times[0] <= oldest:
            times.popleft()
        return len(times)

    def state(self) -> list[tuple[str, int, Side, list[int]]]:
        """Return strategy, instrument, side and times of what is held, for a snapshot."""
        return [(*key, list(times)) for key, times in self._times.items()]

    def restore(self, state: list[tuple[str, int, Side, list[int]]]) -> None:
        """Take over what a snapshot holds."""
        self._times = {(name, at, side): deque(times) for name, at, side, times in state}

    def forget(self, strategy: str) -> None:
        """Begin anew for a strategy that a human has re-armed."""
        for key in [key for key in self._times if key[0] == strategy]:
            del self._times[key]
