"""Live quotes on the tick bus, beside the live path and never in its way."""

import asyncio
import logging
from collections import deque

from core.errors import Unavailable
from core.instruments import InstrumentTable
from core.types import Quote
from market.feed import FeedGap, QuoteSink
from storage.streams import TickBus

log = logging.getLogger(__name__)

PAUSE_SECS = 0.02
RETRY_SECS = 1.0
CAPACITY = 65_536
BATCH = 1_000


class TickPublisher:
    """A sink that passes everything on at once and publishes quotes from a buffer of its own.

    A shard is a symbol: readers of one symbol's stream see its quotes in tape order. The bus is no
    store: while it is away the oldest quotes of the buffer give way, and are counted.

    Parameters
    ----------
    onward : QuoteSink
        Gets each quote first.
    bus : TickBus
        Closed with the publisher.

    Attributes
    ----------
    published, lost, failures : int
        Quotes that are on the bus, quotes that gave way, and calls that failed.
    """

    def __init__(
        self, onward: QuoteSink, bus: TickBus, instruments: InstrumentTable,
        capacity: int = CAPACITY,
    ) -> None:  # fmt: skip
        self._onward, self._bus = onward, bus
        self._symbols = [row.symbol for row in instruments]
        self._waiting: deque[Quote] = deque(maxlen=capacity)
        self.published = self.lost = self.failures = 0

    def on_quote(self, quote: Quote) -> None:
        """Pass a quote on, and keep it for the bus."""
        self._onward.on_quote(quote)
        self.lost += len(self._waiting) == self._waiting.maxlen
        self._waiting.append(quote)

    def on_gap(self, gap: FeedGap) -> None:
        """Pass a gap on; readers of the bus see the jump of the sequence."""
        self._onward.on_gap(gap)

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            await asyncio.sleep(PAUSE_SECS if await self.publish() else RETRY_SECS)

    async def publish(self) -> bool:
        """Publish what waits; False when the bus does not take it now."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            while batch:
                shard = batch[0].instrument
                quotes = [quote for quote in batch if quote.instrument == shard]
                try:
                    await self._bus.publish(self._symbols[shard], quotes)
                except Unavailable as error:
                    self._put_back(batch, error)
                    return False
                self.published += len(quotes)
                batch = [quote for quote in batch if quote.instrument != shard]
        return True

    async def close(self) -> None:
        """Publish what waits, if the bus takes it, and give up the connection."""
        await self.publish()
        await self._bus.close()

    def _put_back(self, batch: list[Quote], error: Unavailable) -> None:
        if not self.failures:
            log.error("tick bus: quotes wait: %s", error)
        self.failures += 1
        room = (self._waiting.maxlen or 0) - len(self._waiting)
        self.lost += max(0, len(batch) - room)
        self._waiting.extendleft(reversed(batch[max(0, len(batch) - room) :]))
