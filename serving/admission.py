"""Lets quotes to the engine in tape order, and has features rebuilt where the tape has a hole.

A hole is the first quote of an instrument, a jump of its sequence (the feed lost quotes, or the
ring overwrote some) or a new feature spec. From there the instrument's quotes are held back while
a thread reads the stored tape and builds the state; then the rebuild goes in, followed by what was
held. Instruments that make up the dollar's strength wait together, since their quotes tell its
minutes in their order. Where the stored tape ends too long before the first live quote, the rebuild
is one from nothing, and the instrument is cold until it has warmed up live.

Nothing here grows without bound: the ring and what is held of an instrument overwrite their oldest
quotes, which are counted, and the inbox is given no more than the ring may hold.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from core.columns import QuoteColumns
from core.instruments import InstrumentTable
from core.types import Quote
from features.source import ColumnsStore, Refill
from features.spec import FeatureSpec
from market.feed import FeedGap
from market.ring_buffer import RingBuffer
from serving.continuity import follows
from serving.live_features import LiveFeatures, QuoteStore, empty_columns, warmup_quotes
from trading.events import Event, FeaturesRebuilt
from trading.inbox import Inbox

log = logging.getLogger(__name__)


class _Found(NamedTuple):
    """What the thread has read and built."""

    columns: QuoteColumns
    refill: Refill


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
        Quotes that may wait in the ring, of an instrument that is rebuilt, and in the inbox.
    wake : callable
        Called when something waits.
    tell : callable
        Takes the event of a rebuild.

    Attributes
    ----------
    holes : int
        Rebuilds from nothing because the stored tape ends too early, or cannot be read.
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
        self.features = features
        self._store = store
        self._inbox = inbox
        self._capacity = capacity
        self._wake = wake
        self._tell = tell
        self._last_seq: list[int | None] = [None] * len(self._symbols)
        self._held: dict[int, deque[Quote]] = {}
        self._holding: dict[int, int] = {}
        self._read: dict[int, _Found] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._after_rebuild: list[Callable[[FeaturesRebuilt], None]] = []
        self._overwritten_held = 0
        self.ring = RingBuffer(capacity)
        self.gaps = 0
        self.missed = 0
        self.rebuilds = 0
        self.holes = 0

    @property
    def overwritten(self) -> int:
        """Quotes that were lost here because too many waited."""
        return self.ring.overwritten + self._overwritten_held

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

    def admit(self) -> None:
        """Move what the ring holds to the inbox, or aside, so that the inbox knows the newest."""
        for _ in range(min(len(self.ring), self._capacity - len(self._inbox))):
            quote = self.ring.pop()
            if quote is not None:
                self._admit(quote)

    def is_rebuilding(self, instrument: int) -> bool:
        """Tell whether the instrument is cold until its rebuild is in."""
        return self._group(instrument) in self._held

    def is_warm(self, instrument: int) -> bool:
        """Tell whether the instrument has a row to predict on."""
        return not self.is_rebuilding(instrument) and self.features.is_warm(instrument)

    def forget(self, instrument: int) -> None:
        """Treat the next quote as one behind a hole: the spec has changed."""
        self._last_seq[instrument] = None

    def rebuild(self, event: FeaturesRebuilt) -> None:
        """Carry the event out on the features, with what the thread has read."""
        found = self._read.pop(event.instrument, None)
        if found is None or not self.features.install(event.instrument, found.refill):
            # The spec changed in between; the columns are those that a replay will read.
            columns = empty_columns() if found is None else found.columns
            self.features.rebuild(event.instrument, columns, self._store, event.before_ns)
        self.rebuilds += 1
        for hear in self._after_rebuild:
            hear(event)

    def after_rebuild(self, hear: Callable[[FeaturesRebuilt], None]) -> None:
        """Call `hear` when a rebuild is in, before the next quote."""
        self._after_rebuild.append(hear)

    async def close(self) -> None:
        """Stop reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _admit(self, quote: Quote) -> None:
        instrument = quote.instrument
        group = self._group(instrument)
        held = self._held.get(group)
        if held is not None:
            self._overwritten_held += len(held) == self._capacity
            self._holding[instrument] = group
            held.append(quote)
            return
        last = self._last_seq[instrument]
        self._last_seq[instrument] = quote.seq
        follows_on = last is not None and quote.seq == last + 1
        if follows_on or not self.features.needs_tape(instrument):
            self._inbox.put_quote(quote)
            return
        self._held[group] = deque((quote,), self._capacity)
        self._holding[instrument] = group
        task = asyncio.get_running_loop().create_task(self._refill(quote, group))
        self._tasks.add(task)
        task.add_done_callback(partial(self._refilled, instrument, group))

    def _refilled(self, instrument: int, group: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("features were not rebuilt: %s", error, exc_info=error)
            lost = self._let_go(group)
            self.missed += len(lost)
            for one in {quote.instrument for quote in lost} | {instrument}:
                self.forget(one)  # the next quote tries again

    async def _refill(self, first: Quote, group: int) -> None:
        instrument, before_ns = first.instrument, first.ts_event
        while True:
            engine, window = self.features.engine(instrument), self.features.window(instrument)
            found = await asyncio.to_thread(self._read_before, first)
            same_window = self.features.window(instrument) == window
            if self.features.engine(instrument) is engine and same_window:
                break  # or it was swapped while we read
        if self.features.group(instrument) != group:
            self._begin_anew(first, group)
            return
        from_ns = int(found.columns.ts[0]) if len(found.columns) else before_ns
        self.holes += engine is not None and not len(found.columns)
        self._read[instrument] = found
        self._tell(FeaturesRebuilt(0, instrument, from_ns, before_ns))
        self._release(first, group)

    def _release(self, first: Quote, group: int) -> None:
        # If `first` was overwritten meanwhile, what is left shows a jump and begins anew.
        self._last_seq[first.instrument] = first.seq - 1
        for quote in self._let_go(group):
            self._admit(quote)
        self._wake()

    def _begin_anew(self, first: Quote, group: int) -> None:
        """Hold what is held once more, in the order of the group that it belongs to by now."""
        self.forget(first.instrument)
        for quote in self._let_go(group):
            self._admit(quote)

    def _let_go(self, group: int) -> deque[Quote]:
        self._holding = {one: key for one, key in self._holding.items() if key != group}
        return self._held.pop(group, deque())

    def _group(self, instrument: int) -> int:
        """Group that the instrument's quotes wait with; it may change while they wait."""
        return self._holding.get(instrument, self.features.group(instrument))

    def _read_before(self, first: Quote) -> _Found:
        """Read and build in a thread; whatever fails there leaves the instrument cold."""
        instrument, before_ns = first.instrument, first.ts_event
        symbol, columns = self._symbols[instrument], empty_columns()
        engine = self.features.engine(instrument)
        try:
            if engine is not None:
                columns = self._stored(symbol, engine.spec, before_ns, engine.window(instrument))
        except Exception as error:  # noqa: BLE001 - a tape that cannot be read is no tape
            log.error("%s: stored tape cannot be read, warming up from nothing: %s", symbol, error)
        try:
            refill = self.features.prepare(instrument, columns, self._store, before_ns)
        except Exception as error:  # noqa: BLE001 - nor are tapes of peers that cannot be read
            log.error("%s: stored tapes of its peers cannot be read: %s", symbol, error)
            refill = self.features.prepare(instrument, columns, ColumnsStore({}), before_ns)
        return _Found(columns, refill)

    def _stored(self, symbol: str, spec: FeatureSpec, before_ns: int, window: int) -> QuoteColumns:
        stored = warmup_quotes(self._store, symbol, spec, before_ns, window)
        if follows(stored, before_ns, spec):
            return stored
        log.warning("%s: stored tape ends too early, warming up from nothing", symbol)
        return empty_columns()
