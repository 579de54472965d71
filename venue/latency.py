"""The way of an order to the book: a queue that holds each action back for a while."""

import asyncio
from collections import deque
from collections.abc import Callable

Action = Callable[[], None]
# uvloop's timers and its clock count whole milliseconds: a shorter wait would be no wait at all,
# and the queue would look again and again until the millisecond is over.
TIMER_SECS = 0.001


class DelayQueue:
    """Runs actions a fixed time after they came, in the order they came.

    One queue for everything that concerns orders, over all connections: a status request can never
    overtake the order that it asks for, not even on a new connection.

    Parameters
    ----------
    delay_secs : float
        0 runs an action at once; anything else takes effect in steps of the timer, 1 ms.
    """

    def __init__(self, delay_secs: float) -> None:
        self._delay = delay_secs
        self._waiting: deque[tuple[float, Action]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, action: Action) -> None:
        """Take an action."""
        if self._delay <= 0:
            action()
            return
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + self._delay, action))
        self._arm(loop)

    def drop(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting and self._timer is None:
            wait = self._waiting[0][0] - loop.time()
            self._timer = loop.call_later(max(wait, TIMER_SECS), self._run, loop)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        try:
            while self._waiting and self._waiting[0][0] <= loop.time():
                self._waiting.popleft()[1]()
        finally:
            self._arm(loop)
