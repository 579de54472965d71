"""Where the tape has a hole, features are rebuilt from the stored tape before anything goes on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from core.clock import ManualClock
from core.columns import QuoteColumns, from_ticks
from core.errors import Unavailable
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Quote
from features.batch import compute
from features.spec import spec_named
from serving.admission import Admission
from serving.live_features import LiveFeatures, warmup_quotes
from trading.events import Event, FeaturesRebuilt, QuoteIn
from trading.inbox import Inbox

SPEC = spec_named("core-tick")
EURUSD = DEFAULT_INSTRUMENTS.by_symbol("EURUSD")
SECOND = 10**9


def tape(n: int = 6_000) -> QuoteColumns:
    rng = np.random.default_rng(5)
    mid = 1.1 + 1e-5 * np.cumsum(rng.integers(-3, 4, n))
    ts = 1_700_000_000 * SECOND + SECOND * np.arange(n, dtype=np.int64)
    return from_ticks(ts, mid - 2e-5, mid + 2e-5)


class Store:
    """Stored quotes; can be made to fail."""

    def __init__(self, columns: QuoteColumns) -> None:
        self.columns = columns
        self.reads = 0
        self.broken = False

    def read(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> QuoteColumns:
        self.reads += 1
        if self.broken:
            raise Unavailable("the disk is gone")
        return self.columns.between(start_ns or 0, end_ns or 1 << 62)


class Bench:
    """Admission over an inbox that is drained by hand."""

    def __init__(self, columns: QuoteColumns, capacity: int = 1_024) -> None:
        self.store = Store(columns)
        self.features = LiveFeatures(DEFAULT_INSTRUMENTS)
        self.features.use(EURUSD.id, SPEC)
        self.inbox = Inbox(ManualClock(1))
        self.events: list[Event] = []
        self.rows: dict[int, np.ndarray | None] = {}
        self.admission = Admission(
            DEFAULT_INSTRUMENTS, self.features, self.store, self.inbox, capacity,
            lambda: None, self.inbox.put_command,
        )  # fmt: skip

    def feed(self, *quotes: Quote) -> None:
        for quote in quotes:
            self.admission.on_quote(quote)

    async def settle(self) -> None:
        """Admit and process until nothing waits and nothing is being read."""
        while True:
            self.admission.admit(1 << 20)
            self.inbox.drain(self._process)
            if not self.admission.is_rebuilding(EURUSD.id) and not len(self.admission.ring):
                self.inbox.drain(self._process)
                return
            await asyncio.sleep(0.001)

    def _process(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, FeaturesRebuilt):
            self.admission.rebuild(event)
        elif isinstance(event, QuoteIn):
            row = self.features.update(event.quote)
            self.rows[event.quote.seq] = None if row is None else row.copy()

    def seqs(self) -> list[int]:
        return [e.quote.seq for e in self.events if isinstance(e, QuoteIn)]


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def test_first_quote_waits_for_a_rebuild_that_makes_rows_equal_to_batch() -> None:
    columns = tape()
    live = list(columns[slice(4_000, 4_010)].quotes(EURUSD.id))

    async def work() -> None:
        bench = Bench(columns)
        bench.feed(*live)
        await bench.settle()
        assert isinstance(bench.events[0], FeaturesRebuilt)
        assert bench.events[0].before_ns == live[0].ts_event
        assert bench.seqs() == [quote.seq for quote in live]
        first = bench.events[0].from_ns
        whole = columns.between(first, live[-1].ts_event + 1)
        batch = compute(SPEC, whole, EURUSD.pip)
        for offset, quote in enumerate(reversed(live), 1):
            row = bench.rows[quote.seq]
            assert row is not None
            assert np.array_equal(row, batch.rows[-offset])

    run(work)


def test_a_jump_in_sequence_rebuilds_and_keeps_the_order() -> None:
    columns = tape()
    live = list(columns[slice(4_000, 4_100)].quotes(EURUSD.id))

    async def work() -> None:
        bench = Bench(columns)
        bench.feed(*live[:10])
        await bench.settle()
        bench.feed(*live[50:60])
        await bench.settle()
        rebuilt = [e for e in bench.events if isinstance(e, FeaturesRebuilt)]
        assert [e.before_ns for e in rebuilt] == [live[0].ts_event, live[50].ts_event]
        assert bench.seqs() == [q.seq for q in (*live[:10], *live[50:60])]

    run(work)


def test_a_jump_among_held_quotes_is_seen_too() -> None:
    columns = tape()
    live = list(columns[slice(4_000, 4_100)].quotes(EURUSD.id))

    async def work() -> None:
        bench = Bench(columns)
        bench.feed(*live[:5], *live[40:45])
        await bench.settle()
        rebuilt = [e.before_ns for e in bench.events if isinstance(e, FeaturesRebuilt)]
        assert rebuilt == [live[0].ts_event, live[40].ts_event]
        assert bench.seqs() == [q.seq for q in (*live[:5], *live[40:45])]

    run(work)


def test_an_overwrite_in_the_ring_is_a_hole() -> None:
    columns = tape()
    live = list(columns[slice(4_000, 4_100)].quotes(EURUSD.id))

    async def work() -> None:
        bench = Bench(columns, capacity=8)
        bench.feed(*live[:4])
        await bench.settle()
        bench.feed(*live[4:30])
        assert bench.admission.ring.overwritten == 18
        await bench.settle()
        assert bench.seqs() == [q.seq for q in (*live[:4], *live[22:30])]
        assert bench.admission.rebuilds == 2

    run(work)


def test_a_store_that_fails_leaves_the_instrument_warming_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    columns = tape()
    live = list(columns[slice(4_000, 4_003)].quotes(EURUSD.id))

    async def work() -> None:
        bench = Bench(columns)
        bench.store.broken = True
        bench.feed(*live)
        await bench.settle()
        assert bench.seqs() == [1, 2, 3]
        assert set(bench.rows.values()) == {None}
        event = bench.events[0]
        assert isinstance(event, FeaturesRebuilt)
        assert event.from_ns == event.before_ns

    run(work)
    assert "disk is gone" in caplog.text


def test_without_a_model_nothing_is_read() -> None:
    columns = tape()

    async def work() -> None:
        bench = Bench(columns)
        bench.features = LiveFeatures(DEFAULT_INSTRUMENTS)
        bench.admission = Admission(
            DEFAULT_INSTRUMENTS, bench.features, bench.store, bench.inbox, 64,
            lambda: None, bench.inbox.put_command,
        )  # fmt: skip
        bench.feed(*columns[slice(0, 5)].quotes(EURUSD.id))
        await bench.settle()
        assert bench.seqs() == [1, 2, 3, 4, 5]
        assert bench.store.reads == 0

    run(work)


def test_warm_up_reads_on_over_holes_but_stops_at_the_beginning() -> None:
    columns = tape()
    week = 7 * 86_400 * SECOND
    late = QuoteColumns(
        columns.ts + week, columns.bid, columns.ask, columns.volume, columns.span, columns.open,
        columns.high, columns.low,
    )  # fmt: skip
    before_ns = int(columns.ts[-1]) + week - 5_000 * SECOND
    assert len(warmup_quotes(Store(columns), "EURUSD", SPEC, before_ns)) >= 10 * SPEC.warmup
    few = columns[slice(0, 100)]
    assert len(warmup_quotes(Store(few), "EURUSD", SPEC, int(late.ts[0]))) == 100
    assert len(warmup_quotes(Store(few), "EURUSD", SPEC, int(few.ts[0]))) == 0
