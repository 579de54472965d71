"""How often each principal may call: a token bucket each, on an injected clock."""

from collections.abc import Callable

_NS = 1_000_000_000


class Rates:
    """Token buckets by name.

    Parameters
    ----------
    per_sec : float
        Calls a second in the long run; 0 sets no bound.
    burst_secs : float
        Seconds' worth of calls that may come at once.
    now_ns : callable
        Monotonic clock in ns.
    """

    def __init__(self, per_sec: float, burst_secs: float, now_ns: Callable[[], int]) -> None:
        self._per_ns = per_sec / _NS
        self._most = max(1.0, per_sec * burst_secs)
        self._now_ns = now_ns
        self._buckets: dict[str, tuple[float, int]] = {}

    def take(self, name: str) -> float:
        """Take one call; return 0, or the seconds after which one is there again."""
        if not self._per_ns:
            return 0.0
        now = self._now_ns()
        left, then = self._buckets.get(name, (self._most, now))
        left = min(self._most, left + (now - then) * self._per_ns)
        if left < 1:
            self._buckets[name] = left, now
            return (1 - left) / self._per_ns / _NS
        self._buckets[name] = left - 1, now
        return 0.0
