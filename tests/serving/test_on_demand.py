"""Requests for rows and decisions on histories: true to the tick path, never silent when stale."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.clock import ManualClock
from core.columns import QuoteColumns, from_ticks
from core.config import CacheConfig, DecisionConfig
from core.costs import CostModel
from core.errors import BadInput, Unavailable, UnknownInstrument
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Direction, Prediction, Quote
from features.batch import compute
from features.cache import RowCache
from features.on_demand import OnDemandRows
from features.spec import FeatureSpec, spec_named
from serving.history import HistoryBody
from serving.live_features import LiveFeatures
from serving.on_demand import OnDemand
from serving.sharing import LiveRows
from storage.guarded import GuardedCache
from storage.memory import MemoryCache
from trading.marks import Marks

EURUSD = DEFAULT_INSTRUMENTS.by_symbol("EURUSD")
SPEC = spec_named("core-tick")
SECOND = 10**9
NOW = 1_800_000_000 * SECOND
CONFIG = CacheConfig(compute_ms=30_000.0, store_ms=1_000.0, history_quotes=1_000)


class Predictor:
    """p from the row; remembers what it was asked."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def predict(self, instrument: int, row: Any) -> Prediction | None:
        row[0] += 0  # the compiled model's rows can be written to
        self.rows.append(row)
        p = 0.5 + 0.4 * float(np.tanh(row.flat[0]))
        return Prediction(p, "direction-EURUSD", "7", SPEC.fingerprint, SECOND, 900.0, True)


class Quiet:
    rebuilding = False

    def is_rebuilding(self, instrument: int) -> bool:
        return self.rebuilding


def ticks(n: int, seed: int = 3) -> QuoteColumns:
    rng = np.random.default_rng(seed)
    mid = 1.1 + 1e-5 * np.cumsum(rng.integers(-3, 4, n))
    ts = 1_700_000_010 * SECOND + SECOND * np.arange(n, dtype=np.int64)
    return from_ticks(ts, mid - 1e-5, mid + 1e-5)


def body_of(columns: QuoteColumns) -> HistoryBody:
    return HistoryBody(columns.ts.tolist(), columns.bid.tolist(), columns.ask.tolist())


class Desk:
    def __init__(
        self, config: CacheConfig, pool: ThreadPoolExecutor, second: GuardedCache | None = None
    ) -> None:
        self.clock, self.go = ManualClock(NOW), threading.Event()
        self.go.set()
        self.features = LiveFeatures(DEFAULT_INSTRUMENTS)
        self.marks = Marks(DEFAULT_INSTRUMENTS, "USD")
        self.predictor, self.quiet = Predictor(), Quiet()
        guarded = second or GuardedCache(MemoryCache(1_000_000, self.clock), config, self.clock)
        self.rows = OnDemandRows(
            RowCache(10, guarded, self.clock), config, self.clock, pool, self._compute
        )
        self.door = OnDemand(
            instruments=DEFAULT_INSTRUMENTS, features=self.features, predictor=self.predictor,
            live=LiveRows(DEFAULT_INSTRUMENTS, self.features, self.quiet, self.marks),
            rows=self.rows,
            clock=self.clock, costs=CostModel(), policy=DecisionConfig(max_quote_age_ms=1_000),
            cache=config, prefix="H",
        )  # fmt: skip

    def _compute(self, spec: FeatureSpec, columns: QuoteColumns, pip: float) -> Any:
        assert self.go.wait(30.0)
        return compute(spec, columns, pip)

    def serve(self, columns: QuoteColumns, spec: FeatureSpec = SPEC) -> Quote:
        """Have a model serve, and the live tape be `columns`; return the newest quote."""
        self.features.use(EURUSD.id, spec)
        self.features.rebuild(EURUSD.id, columns)
        newest = list(columns.quotes(EURUSD.id))[-1]
        import msgspec

        received = msgspec.structs.replace(newest, ts_recv=NOW)
        self.marks.update(received)
        return received

    async def quiet_pool(self) -> None:
        while self.rows.running:
            await asyncio.sleep(0.001)


def run(body: Callable[[Desk], Awaitable[None]], config: CacheConfig = CONFIG) -> None:
    async def session() -> None:
        with ThreadPoolExecutor(2) as pool:
            desk = Desk(config, pool)
            try:
                async with asyncio.timeout(60.0):
                    await body(desk)
            finally:
                desk.go.set()

    asyncio.run(session())


def test_a_history_decides_as_the_tick_path_would() -> None:
    async def body(desk: Desk) -> None:
        columns = ticks(500)
        desk.serve(ticks(600, seed=9))
        engine = desk.features.engine(EURUSD.id)
        assert engine is not None
        before = engine.last_row(EURUSD.id)
        decision = await desk.door.decide("EURUSD", body_of(columns))
        wanted = compute(SPEC, columns, EURUSD.pip).rows[-1]
        assert desk.predictor.rows[0].tobytes() == wanted.tobytes()
        assert decision.reason == "edge"
        assert decision.direction is not Direction.HOLD
        assert (decision.quote_seq, decision.ts_event) == (0, int(columns.ts[-1]))
        assert decision.model_version == "7"
        again = await desk.door.decide("EURUSD", body_of(columns))
        assert again.raw_score == decision.raw_score
        assert again.decision_id != decision.decision_id
        after = engine.last_row(EURUSD.id)
        assert before is not None
        assert after is not None
        assert before.tobytes() == after.tobytes(), "live state stays as it is"
        assert desk.rows.cache.hits == 1

    run(body)


def test_a_model_that_reads_a_window_is_given_one() -> None:
    async def body(desk: Desk) -> None:
        columns = ticks(500)
        desk.serve(ticks(600))
        engine = desk.features.engine(EURUSD.id)
        assert engine is not None
        engine.keep(EURUSD.id, 4)
        desk.features.rebuild(EURUSD.id, ticks(600))
        await desk.door.decide("EURUSD", body_of(columns))
        wanted = compute(SPEC, columns, EURUSD.pip).rows
        assert desk.predictor.rows[0].tobytes() == wanted[-4:].tobytes()
        view = await desk.door.features("EURUSD", "", body_of(columns))
        assert list(view.values.values()) == wanted[-1].tolist()
        live = await desk.door.features("EURUSD", "", None)
        assert len(live.values) == SPEC.n_features

    run(body)


def test_a_stale_row_is_a_hold_with_its_own_reason_and_is_not_scored() -> None:
    async def body(desk: Desk) -> None:
        desk.serve(ticks(600))
        desk.go.clear()
        with pytest.raises(Unavailable, match="not ready in time"):
            await desk.door.decide("EURUSD", body_of(ticks(500, seed=1)))
        desk.go.set()
        await desk.quiet_pool()
        desk.go.clear()
        decision = await desk.door.decide("EURUSD", body_of(ticks(500, seed=2)))
        assert (decision.direction, decision.reason) == (Direction.HOLD, "features_stale")
        assert (decision.raw_score, decision.edge_pips) == (0.5, 0.0)
        assert desk.predictor.rows == []
        view = await desk.door.features("EURUSD", "", body_of(ticks(500, seed=4)))
        assert (view.source, view.stale) == ("last_good", True)
        assert view.ts_event == int(ticks(500, seed=1).ts[-1])
        assert desk.door.held_stale == 1

    run(body, replace(CONFIG, compute_ms=1.0))


def test_without_a_model_a_history_is_a_hold_and_features_need_a_spec() -> None:
    async def body(desk: Desk) -> None:
        history = body_of(ticks(500))
        assert (await desk.door.decide("EURUSD", history)).reason == "no_model"
        with pytest.raises(BadInput, match="say which spec"):
            await desk.door.features("EURUSD", "", history)
        view = await desk.door.features("EURUSD", "core-tick", history)
        wanted = compute(SPEC, ticks(500), EURUSD.pip).rows[-1]
        assert list(view.values.values()) == wanted.tolist()
        assert tuple(view.values) == SPEC.names
        assert (view.source, view.stale, view.spec_fingerprint) == (
            "computed", False, SPEC.fingerprint,
        )  # fmt: skip
        with pytest.raises(BadInput, match="unknown feature spec"):
            await desk.door.features("EURUSD", "nope", history)

    run(body)


def test_a_model_changed_meanwhile_is_not_given_rows_of_the_old_spec() -> None:
    async def body(desk: Desk) -> None:
        desk.serve(ticks(600))
        desk.go.clear()
        asked = asyncio.create_task(desk.door.decide("EURUSD", body_of(ticks(500))))
        while not desk.rows.running:
            await asyncio.sleep(0)
        desk.serve(ticks(600), spec_named("full-tick"))
        desk.go.set()
        with pytest.raises(Unavailable, match="changed meanwhile"):
            await asked
        assert desk.predictor.rows == []

    run(body)


def test_a_symbol_is_answered_with_its_live_last_row() -> None:
    async def body(desk: Desk) -> None:
        with pytest.raises(BadInput, match="say which spec"):
            await desk.door.features("EURUSD", "", None)
        with pytest.raises(BadInput, match="not computed live"):
            await desk.door.features("EURUSD", "core-tick", None)
        desk.features.use(EURUSD.id, SPEC)
        with pytest.raises(Unavailable, match="no quote yet"):
            await desk.door.features("EURUSD", "core-tick", None)
        newest = desk.serve(ticks(600))
        desk.clock.advance(500_000_000)
        view = await desk.door.features("EURUSD", "", None)
        engine = desk.features.engine(EURUSD.id)
        assert engine is not None
        row = engine.last_row(EURUSD.id)
        assert row is not None
        assert list(view.values.values()) == row.tolist()
        assert (view.source, view.stale, view.age_ms) == ("live", False, 500.0)
        assert (view.quote_seq, view.ts_event) == (newest.seq, newest.ts_event)
        desk.clock.advance(600_000_000)
        assert (await desk.door.features("EURUSD", "", None)).stale
        with pytest.raises(BadInput, match="not computed live"):
            await desk.door.features("EURUSD", "full-bar", None)
        desk.quiet.rebuilding = True
        with pytest.raises(Unavailable, match="warming up"):
            await desk.door.features("EURUSD", "", None)
        assert desk.rows.cache.hits + desk.rows.cache.misses == 0

    run(body)


def test_a_symbol_that_another_process_serves_is_answered_with_its_row() -> None:
    async def body(desk: Desk) -> None:
        newest = desk.serve(ticks(600))
        second = desk.rows.cache.second
        second.start()
        live = desk.door._live
        for _ in range(3):  # only news is told
            live.tell(desk.door.shared)
        assert desk.door.shared.told == 1
        await second.flush()
        with ThreadPoolExecutor(1) as pool:
            other = Desk(CONFIG, pool, second)
            view = await other.door.features("EURUSD", SPEC.name, None)
            again = await other.door.features("EURUSD", SPEC.name, None)
            row = live.newest(EURUSD.id)
            assert row is not None
            assert list(view.values.values()) == row.values.tolist() == list(again.values.values())
            assert (view.source, view.stale, view.quote_seq) == ("shared", False, newest.seq)
            assert other.rows.cache.hits == 1
            other.clock.advance(2 * SECOND)
            assert (await other.door.features("EURUSD", SPEC.name, None)).stale
            with pytest.raises(BadInput, match="not computed live"):
                await other.door.features("GBPUSD", SPEC.name, None)
            await second.close()
            with pytest.raises(BadInput, match="not computed live"):
                await other.door.features("EURUSD", SPEC.name, None)

    run(body)


def test_what_cannot_be_answered_is_refused_by_name() -> None:
    async def body(desk: Desk) -> None:
        desk.serve(ticks(600))
        for columns, says in ((ticks(100), "too few"), (ticks(1_001), r"1\.\.1000 quotes")):
            with pytest.raises(BadInput, match=says):
                await desk.door.decide("EURUSD", body_of(columns))
        with pytest.raises(UnknownInstrument):
            await desk.door.decide("NOPE", body_of(ticks(300)))
        bars = HistoryBody(
            [60 * SECOND], [1.1], [1.1], span_ns=60 * SECOND, open=[1.1], high=[1.1], low=[1.1]
        )
        with pytest.raises(BadInput, match="too few"):
            await desk.door.features("EURUSD", "core-bar", bars)
        assert desk.door.answered == 0

    run(body)
