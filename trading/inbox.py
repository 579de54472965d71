"""What waits for the engine: reports first, then commands, then quotes.

Every quote goes to the engine, but when newer ones of its instrument wait already, it only updates
state and does not act.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from core.clock import Clock
from core.types import OrderEvent, Quote
from trading.events import Event, OrderEventIn, QuoteIn


class Inbox:
    """Three queues in order of urgency.

    Parameters
    ----------
    clock : Clock
        Read when an event is taken, never before.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reports: deque[OrderEvent] = deque()
        self._commands: deque[Event] = deque()
        self._quotes: deque[Quote] = deque()
        self._waiting: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._reports) + len(self._commands) + len(self._quotes)

    @property
    def urgent(self) -> int:
        """Reports and commands that wait."""
        return len(self._reports) + len(self._commands)

    def put_report(self, event: OrderEvent) -> None:
        """Queue a report of the venue."""
        self._reports.append(event)

    def put_command(self, event: Event) -> None:
        """Queue a command, session change, timer or swap; its time is set when it is taken."""
        self._commands.append(event)

    def put_first(self, event: Event) -> None:
        """Queue a command before all others that wait, as the kill switch is."""
        self._commands.appendleft(event)

    def put_quote(self, quote: Quote) -> None:
        """Queue a quote."""
        self._quotes.append(quote)
        self._waiting[quote.instrument] = self._waiting.get(quote.instrument, 0) + 1

    def take(self) -> Event | None:
        """Return the most urgent event, stamped with the time; None when nothing waits."""
        now_ns = self._clock.now_ns()
        if self._reports:
            return OrderEventIn(now_ns, self._reports.popleft())
        if self._commands:
            return msgspec.structs.replace(self._commands.popleft(), now_ns=now_ns)
        if not self._quotes:
            return None
        quote = self._quotes.popleft()
        newer = self._waiting[quote.instrument] = self._waiting[quote.instrument] - 1
        return QuoteIn(now_ns, quote, newer == 0)

    def drain(self, process: Callable[[Event], object], limit: int = 0) -> int:
        """Process what waits, at most `limit` events when that is not zero; return how many."""
        done = 0
        while (event := self.take()) is not None:
            process(event)
            done += 1
            if done == limit:
                break
        return done
