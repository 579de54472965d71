"""Plays recorded quotes at a chosen speed, as a feed."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterator, Mapping

from core.clock import Clock, SystemClock
from core.columns import QuoteColumns
from core.quotes import is_sound
from core.types import Quote
from market.feed import FeedCounters, QuoteSink

_BURST = 256
"""Quotes sent in a row before the event loop gets a turn."""


def merge(tapes: Mapping[int, QuoteColumns]) -> Iterator[Quote]:
    """Quotes of several instruments in order of event time; ties go by instrument id."""
    streams = [tapes[instrument].quotes(instrument) for instrument in sorted(tapes)]
    return heapq.merge(*streams, key=lambda quote: quote.ts_event)


class ReplayFeed:
    """Feed over recorded columns.

    Unsound rows are counted and dropped before they get a sequence number, so dropping one looks
    like no gap.

    Parameters
    ----------
    tapes : mapping of instrument id to QuoteColumns
        What to play.
    speed : float
        Tape time over real time; 0 plays without any pause.
    clock, sleep
        Injected time; `sleep` takes seconds.
    max_pause_secs : float
        Longest real pause between two quotes, so that a week-end does not stall a demo.
    """

    def __init__(
        self,
        tapes: Mapping[int, QuoteColumns],
        *,
        speed: float = 0.0,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        max_pause_secs: float = 5.0,
    ) -> None:
        if not 0.0 <= speed < float("inf"):
            raise ValueError(f"speed must be finite and not negative, got {speed}")
        self._tapes = tapes
        self._speed = speed
        self._clock: Clock = clock or SystemClock()
        self._sleep = sleep
        self._max_pause_ns = round(max_pause_secs * 1e9)
        self._counters = FeedCounters()
        self._next_seq = dict.fromkeys(tapes, 1)

    @property
    def counters(self) -> FeedCounters:
        """Totals since the feed was made."""
        return self._counters

    async def run(self, sink: QuoteSink) -> None:
        """Play the tapes from their beginning to `sink`; return at the end."""
        self._next_seq = dict.fromkeys(self._tapes, 1)
        due_ns = self._clock.monotonic_ns()
        previous_ts: int | None = None
        for count, quote in enumerate(merge(self._tapes), 1):
            if previous_ts is not None:
                due_ns += self._pause_ns(quote.ts_event - previous_ts)
            previous_ts = quote.ts_event
            await self._wait_until(due_ns, count)
            self._deliver(quote, sink)

    def _pause_ns(self, tape_ns: int) -> int:
        if self._speed == 0.0:
            return 0
        return min(max(int(tape_ns / self._speed), 0), self._max_pause_ns)

    async def _wait_until(self, due_ns: int, count: int) -> None:
        ahead_ns = due_ns - self._clock.monotonic_ns()
        if self._speed > 0.0 and ahead_ns > 0:
            await self._sleep(ahead_ns / 1e9)
        elif count % _BURST == 0:
            await self._sleep(0.0)

    def _deliver(self, quote: Quote, sink: QuoteSink) -> None:
        self._counters.received += 1
        if not is_sound(quote.bid, quote.ask):
            self._counters.malformed += 1
            return
        seq = self._next_seq[quote.instrument]
        self._next_seq[quote.instrument] = seq + 1
        now_ns = self._clock.now_ns()
        sink.on_quote(
            Quote(
                quote.instrument,
                seq,
                quote.ts_event,
                now_ns,
                quote.bid,
                quote.ask,
                quote.volume,
                quote.span_ns,
                quote.open,
                quote.high,
                quote.low,
            )
        )
