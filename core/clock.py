"""Time is injected: wall time in integer ns UTC, durations from a monotonic clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the house asks of a clock."""

    def now_ns(self) -> int:
        """Wall time, ns since the epoch, UTC."""
        ...

    def monotonic_ns(self) -> int:
        """Monotonic time in ns, for durations only."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ns(self) -> int:
        """Wall time, ns since the epoch, UTC."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Monotonic time in ns."""
        return time.monotonic_ns()


class ManualClock:
    """A clock that moves when told: for replay and tests."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """Time it was set to, ns."""
        return self._now_ns

    def monotonic_ns(self) -> int:
        """Return the same as `now_ns`."""
        return self._now_ns

    def set(self, now_ns: int) -> None:
        """Jump to `now_ns`."""
        self._now_ns = now_ns

    def advance(self, delta_ns: int) -> None:
        """Move on by `delta_ns`."""
        self._now_ns += delta_ns
