"""Where the tape has a hole, features are rebuilt from the stored tape before anything goes on."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.clock import ManualClock
from core.columns import QuoteColumns, from_ticks
from core.errors import Unavailable
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Quote, tick
from features.batch import compute
from features.spec import spec_named
from serving.admission import Admission
from serving.continuity import follows, open_market_ns
from serving.live_features import LiveFeatures, warmup_quotes
from storage.parquet import TickStore
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
            self.admission.admit()
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


def test_an_overwritten_instrument_is_cold_until_it_is_rebuilt() -> None:
    columns = tape()
    live = list(columns[slice(4_000, 4_100)].quotes(EURUSD.id))

    async def work() -> None:
        bench = Bench(columns, capacity=8)
        bench.feed(*live[:4])
        await bench.settle()
        assert bench.admission.is_warm(EURUSD.id)
        bench.feed(*live[4:30])
        bench.admission.admit()
        assert not bench.admission.is_warm(EURUSD.id)
        assert not len(bench.inbox)
        await bench.settle()
        assert bench.admission.is_warm(EURUSD.id)
        assert [type(event) for event in bench.events[-9:]] == [FeaturesRebuilt, *[QuoteIn] * 8]

    run(work)


def test_what_is_held_is_bounded_and_its_loss_is_another_hole() -> None:
    columns = tape()
    live = list(columns[slice(4_000, 4_100)].quotes(EURUSD.id))

    async def work() -> None:
        bench = Bench(columns, capacity=8)
        for quote in live[:30]:
            bench.feed(quote)
            bench.admission.admit()
        assert bench.admission.overwritten == 22
        await bench.settle()
        assert bench.seqs() == [quote.seq for quote in live[22:30]]
        rebuilt = [e.before_ns for e in bench.events if isinstance(e, FeaturesRebuilt)]
        assert rebuilt[-1] == live[22].ts_event

    run(work)


def test_the_inbox_is_given_no_more_than_the_ring_may_hold() -> None:
    columns = tape()

    async def work() -> None:
        bench = Bench(columns, capacity=8)
        bench.features = LiveFeatures(DEFAULT_INSTRUMENTS)
        bench.admission = Admission(
            DEFAULT_INSTRUMENTS, bench.features, bench.store, bench.inbox, 8,
            lambda: None, bench.inbox.put_command,
        )  # fmt: skip
        for quote in columns[slice(0, 40)].quotes(EURUSD.id):
            bench.feed(quote)
            bench.admission.admit()
        assert (len(bench.inbox), len(bench.admission.ring)) == (8, 8)
        assert bench.admission.overwritten == 24

    run(work)


@pytest.mark.parametrize(("hole_secs", "warm"), [(1, True), (4, True), (60, False)])
def test_a_hole_behind_the_stored_tape_leaves_the_instrument_cold(
    hole_secs: int, warm: bool
) -> None:
    stored = tape(4_000)
    after = int(stored.ts[-1]) + hole_secs * SECOND
    live = [tick(EURUSD.id, n + 1, after + n * SECOND, 1.1, 1.1001) for n in range(3)]

    async def work() -> None:
        bench = Bench(stored)
        bench.feed(*live)
        await bench.settle()
        assert bench.admission.is_warm(EURUSD.id) is warm
        assert [row is not None for row in bench.rows.values()] == [warm] * 3
        event = bench.events[0]
        assert isinstance(event, FeaturesRebuilt)
        assert (event.from_ns < event.before_ns) is warm
        assert bench.admission.holes == (not warm)

    run(work)


def test_a_weekend_is_no_hole_and_a_month_is_one() -> None:
    friday_close, sunday_open = 1_700_258_400 * SECOND, 1_700_431_200 * SECOND
    columns = tape(2_000)
    columns = replace(columns, ts=columns.ts - columns.ts[-1] + friday_close - SECOND)
    assert follows(columns, sunday_open + SECOND, SPEC)
    assert not follows(columns, sunday_open + 60 * SECOND, SPEC)
    bars = spec_named("core-bar")
    assert follows(columns, sunday_open + 200 * SECOND, bars)
    assert not follows(columns, sunday_open + 30 * 86_400 * SECOND, bars)
    assert open_market_ns(friday_close, sunday_open) == 0
    assert open_market_ns(friday_close - SECOND, sunday_open + 2 * SECOND) == 3 * SECOND
    week = 7 * 86_400 * SECOND
    assert open_market_ns(friday_close, friday_close + 8 * week) == 8 * 5 * 86_400 * SECOND


def test_a_broken_segment_freezes_nothing(tmp_path: Path) -> None:
    columns = tape()
    store = TickStore(tmp_path)
    store.append("EURUSD", columns[slice(0, 4_000)])
    for segment in tmp_path.rglob("*.parquet"):
        segment.write_bytes(segment.read_bytes()[:-20])
    live = list(columns[slice(4_000, 4_005)].quotes(EURUSD.id))

    async def work() -> None:
        bench = Bench(columns)
        bench.admission = Admission(
            DEFAULT_INSTRUMENTS, bench.features, store, bench.inbox, 64,
            lambda: None, bench.inbox.put_command,
        )  # fmt: skip
        bench.feed(*live)
        await asyncio.wait_for(bench.settle(), 20)
        assert bench.seqs() == [1, 2, 3, 4, 5]
        assert set(bench.rows.values()) == {None}

    run(work)


def test_a_refill_that_fails_lets_the_next_quote_try_again() -> None:
    columns = tape()
    live = list(columns[slice(4_000, 4_003)].quotes(EURUSD.id))

    async def work() -> None:
        bench = Bench(columns)
        engine = bench.features.engine(EURUSD.id)
        assert engine is not None
        prepare = engine.prepare
        engine.prepare = lambda *_: 1 / 0  # type: ignore[method-assign,assignment]
        bench.feed(live[0])
        await asyncio.wait_for(bench.settle(), 20)
        assert bench.admission.missed == 1
        engine.prepare = prepare  # type: ignore[method-assign]
        bench.feed(*live[1:])
        await asyncio.wait_for(bench.settle(), 20)
        assert bench.seqs() == [2, 3]
        assert bench.admission.is_warm(EURUSD.id)

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
    assert len(warmup_quotes(Store(columns), "EURUSD", SPEC, before_ns)) > SPEC.warmup
    few = columns[slice(0, 100)]
    assert len(warmup_quotes(Store(few), "EURUSD", SPEC, int(late.ts[0]))) == 100
    assert len(warmup_quotes(Store(few), "EURUSD", SPEC, int(few.ts[0]))) == 0
