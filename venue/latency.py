"""The way of an order to the book: a queue that holds each action back for a while."""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from pathlib import Path
from random import Random

from core.config import VenueConfig
from core.errors import BadInput

Action = Callable[[], None]
# uvloop's timers and its clock count whole milliseconds: a shorter wait would be no wait at all,
# and the queue would look again and again until the millisecond is over.
TIMER_SECS = 0.001


def read_latencies(path: Path) -> list[float]:
    """Read measured latencies, one in ms on a line; empty lines and comments (#) are skipped.

    Returns
    -------
    list of float
        Seconds.

    Raises
    ------
    BadInput
        When the file cannot be read, a line is no such number, or there is none.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"latency file {path}: {error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0.0 <= value < math.inf:
            raise BadInput(f"latency file {path}, line {number}: {text[:40]!r} is no latency in ms")
        found.append(value / 1e3)
    if not found:
        raise BadInput(f"latency file {path} has no latencies")
    return found


def delay_of(config: VenueConfig) -> Callable[[], float]:
    """Return what gives the latency of the next order, in seconds."""
    if not config.latency_file:
        return lambda: config.latency_ms / 1e3
    measured = read_latencies(Path(config.latency_file))
    rng = Random(f"latency/{config.seed}")  # noqa: S311 - to be repeated, not to be secret
    return lambda: rng.choice(measured)


class DelayQueue:
    """Runs actions some time after they came, in the order they came.

    One queue for everything that concerns orders, over all connections: a status request can never
    overtake the order that it asks for, not even on a new connection, and an action that draws a
    short latency waits for those before it.

    Parameters
    ----------
    delay_secs : float or callable of nothing to float
        0 runs an action at once; anything else takes effect in steps of the timer, 1 ms.
    """

    def __init__(self, delay_secs: float | Callable[[], float]) -> None:
        self._next_delay = delay_secs if callable(delay_secs) else lambda: delay_secs
        self._waiting: deque[tuple[float, Action]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, action: Action) -> None:
        """Take an action."""
        delay = self._next_delay()
        if delay <= 0 and not self._waiting:
            action()
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        if self._waiting:
            due = max(due, self._waiting[-1][0])
        self._waiting.append((due, action))
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
