"""Lets quotes to the engine in tape order, and has features rebuilt where the tape has a hole.

A hole is the first quote of an instrument, a jump of its sequence (the feed lost quotes, or the
ring overwrote some) or a new feature spec. From there the instrument's quotes are held back while
a thread reads the stored tape; then the rebuild goes in, followed by what was held.
"""

import asyncio
import logging
from collections.abc import Callable

from core.columns import QuoteColumns
from core.errors import AppError
from core.instruments import InstrumentTable
from core.types import Quote
from features.spec import FeatureSpec
from market.feed import FeedGap
from market.ring_buffer import RingBuffer
from serving.live_features import LiveFeatures, QuoteStore, empty_columns, warmup_quotes
from trading.events import Event, FeaturesRebuilt
from trading.inbox import Inbox

log = logging.getLogger(__name__)


class Admission:
    """Between the feed's buffer and the engine's inbox; also the feed's sink.

    Parameters
    ----------
    instruments : InstrumentTable
    features : LiveFeatures
        Says which spec an instrument needs; takes the rebuilt state.
    store : QuoteStore
        Stored tape to rebuild from.
    inbox : Inbox
        The engine's queues.
    capacity : int
        Quotes that may wait in the ring.
    wake : callable
        Called when something waits.
    tell : callable
        Takes the event of a rebuild.
    """

    def __init__(
        self,
        instruments: InstrumentTable,
        features: LiveFeatures,
        store: QuoteStore,
        inbox: Inbox,
        capacity: int,
        wake: Callable[[], None],
        tell: Callable[[Event], None],
    ) -> None:
        self._symbols = [row.symbol for row in instruments]
        self._features = features
        self._store = store
        self._inbox = inbox
        self._wake = wake
        self._tell = tell
        self._last_seq: list[int | None] = [None] * len(self._symbols)
        self._held: dict[int, list[Quote]] = {}
        self._read: dict[int, QuoteColumns] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.ring = RingBuffer(capacity)
        self.gaps = 0
        self.missed = 0
        self.rebuilds = 0

    def on_quote(self, quote: Quote) -> None:
        """Buffer a quote of the feed."""
        self.ring.push(quote)
        self._wake()

    def on_gap(self, gap: FeedGap) -> None:
        """Count a loss that the feed noticed; the jump in sequence makes the rebuild."""
        self.gaps += 1
        self.missed += gap.missed
        log.warning(
            "%s: %d quotes missed: %s", self._symbols[gap.instrument], gap.missed, gap.reason
        )

    def admit(self, limit: int) -> None:
        """Move up to `limit` quotes from the ring to the inbox, or aside."""
        for _ in range(limit):
            quote = self.ring.pop()
            if quote is None:
                return
            self._admit(quote)

    def is_rebuilding(self, instrument: int) -> bool:
        """Tell whether the instrument is cold until its rebuild is in."""
        return instrument in self._held

    def forget(self, instrument: int) -> None:
        """Treat the next quote as one behind a hole: the spec has changed."""
        self._last_seq[instrument] = None

    def rebuild(self, event: FeaturesRebuilt) -> None:
        """Carry the event out on the features, with the quotes that the thread has read."""
        columns = self._read.pop(event.instrument, None)
        self._features.rebuild(event.instrument, empty_columns() if columns is None else columns)
        self.rebuilds += 1

    async def close(self) -> None:
        """Stop reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _admit(self, quote: Quote) -> None:
        instrument = quote.instrument
        last = self._last_seq[instrument]
        self._last_seq[instrument] = quote.seq
        held = self._held.get(instrument)
        if held is not None:
            held.append(quote)
            return
        engine = self._features.engine(instrument)
        if engine is None or (last is not None and quote.seq == last + 1):
            self._inbox.put_quote(quote)
            return
        self._held[instrument] = [quote]
        task = asyncio.get_running_loop().create_task(self._refill(quote, engine.spec))
        self._tasks.add(task)
        task.add_done_callback(self._refilled)

    def _refilled(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("features were not rebuilt: %s", error, exc_info=error)

    async def _refill(self, first: Quote, spec: FeatureSpec) -> None:
        instrument, before_ns = first.instrument, first.ts_event
        columns = await asyncio.to_thread(self._read_before, instrument, spec, before_ns)
        engine = self._features.engine(instrument)
        if engine is not None and engine.spec is not spec:  # swapped while we read
            return await self._refill(first, engine.spec)
        from_ns = int(columns.ts[0]) if len(columns) else before_ns
        self._read[instrument] = columns
        self._tell(FeaturesRebuilt(0, instrument, from_ns, before_ns))
        self._release(instrument)
        return None

    def _release(self, instrument: int) -> None:
        first, *rest = self._held.pop(instrument)
        self._last_seq[instrument] = first.seq
        self._inbox.put_quote(first)
        for quote in rest:
            self._admit(quote)
        self._wake()

    def _read_before(self, instrument: int, spec: FeatureSpec, before_ns: int) -> QuoteColumns:
        symbol = self._symbols[instrument]
        try:
            return warmup_quotes(self._store, symbol, spec, before_ns)
        except (AppError, OSError) as error:
            log.error("%s: stored tape cannot be read, warming up from nothing: %s", symbol, error)
            return empty_columns()
