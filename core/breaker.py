"""Circuit breaker: after several failures in a row a dependency is left alone for a while.

::

    CLOSED --`failures` in a row--> OPEN --`open_ns` later--> HALF_OPEN --probe succeeds--> CLOSED
                                      ^                            |
                                      +-------- probe fails -------+

Half open, exactly one caller is let through, however many ask at the same time; the others are
turned away until the probe has said how it went. Time is monotonic and injected.
"""

import threading
from collections.abc import Callable
from enum import IntEnum

from core.clock import Clock


class BreakerState(IntEnum):
    """Whether calls are let through; the numbers are what metrics show."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


Hear = Callable[[BreakerState], None]


def _tell_nobody(_state: BreakerState) -> None:
    """Nobody listens."""


class Breaker:
    """Lets calls through, or turns them away; safe among tasks and threads.

    Each call asks `admit` first and gives its ticket back to `succeed` or `fail`. A ticket from
    before the last change of state is void: a slow call that was let through before the breaker
    opened neither closes it nor keeps it open. A probe that is never heard of again is given up
    after `open_ns`, and the next caller probes.

    Parameters
    ----------
    failures : int
        Failures in a row that open the breaker.
    open_ns : int
        Time that it stays open before a probe, ns.
    clock : Clock
        Only its monotonic time is read.
    on_change : callable
        Told each new state, by whoever caused it, outside of the lock.

    Attributes
    ----------
    opened, closed, probes, refused : int
        How often it opened and closed again (a probe that fails counts as neither), probes let
        through, calls turned away.
    """

    def __init__(
        self, failures: int, open_ns: int, clock: Clock, on_change: Hear = _tell_nobody
    ) -> None:
        if failures < 1 or open_ns < 1:
            raise ValueError(
                f"a breaker needs failures and open_ns from 1, not {failures, open_ns}"
            )
        self._limit, self._open_ns, self._clock = failures, open_ns, clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._state = BreakerState.CLOSED
        self._ticket = 1
        self._in_a_row = 0
        self._since_ns = 0
        self.opened = self.closed = self.probes = self.refused = 0

    @property
    def state(self) -> BreakerState:
        """State after the last call that was admitted, succeeded or failed."""
        return self._state

    @property
    def is_closed(self) -> bool:
        """True while every call is let through."""
        return self._state is BreakerState.CLOSED

    def admit(self) -> int:
        """Ask to call; returns a ticket, or 0 when turned away."""
        if self.is_closed:  # without the lock: most calls end here
            return self._ticket
        with self._lock:
            ticket, changed = self._probe()
        self._tell(changed)
        return ticket

    def succeed(self, ticket: int) -> None:
        """Give a ticket back after a call that went well."""
        if self._in_a_row == 0 and self._state is BreakerState.CLOSED:
            return
        with self._lock:
            if ticket != self._ticket:
                return
            self._in_a_row = 0
            changed = self._move(BreakerState.CLOSED, 0)
            self.closed += changed
        self._tell(changed)

    def fail(self, ticket: int) -> None:
        """Give a ticket back after a call that failed or took too long."""
        changed = False
        with self._lock:
            if ticket != self._ticket:
                return
            self._in_a_row += 1
            if self._state is BreakerState.HALF_OPEN or self._in_a_row >= self._limit:
                self.opened += self._state is BreakerState.CLOSED
                changed = self._move(BreakerState.OPEN, self._clock.monotonic_ns())
        self._tell(changed)

    def _probe(self) -> tuple[int, bool]:
        """Ticket, and whether the state has changed."""
        if self.is_closed:  # somebody was here first
            return self._ticket, False
        now = self._clock.monotonic_ns()
        if now - self._since_ns < self._open_ns:
            self.refused += 1
            return 0, False
        # Cooled down, or the last probe was lost; this one has as long to answer.
        changed = self._move(BreakerState.HALF_OPEN, now)
        self.probes += 1
        return self._ticket, changed

    def _move(self, state: BreakerState, now: int) -> bool:
        """Go to a state; every ticket given out so far is void. True when it is another state."""
        changed = state is not self._state
        if changed or state is BreakerState.HALF_OPEN:
            self._ticket += 1
        self._state, self._since_ns = state, now
        return changed

    def _tell(self, changed: bool) -> None:
        if changed:
            self._on_change(self._state)
