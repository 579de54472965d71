"""The composition root: everything that lives, joined, and taken apart again in order."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import numpy as np

from core.clock import Clock, SystemClock
from core.config import Config, FixConfig
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from core.types import Decision
from features import kernel
from fix.store import FileStore
from fix.transport import Backoff
from market.feed import QuoteSink
from market.fix_feed import FixFeed
from monitoring.gc_schedule import GcSchedule
from monitoring.memory import MemoryBudgets
from registry.notice import listen
from registry.opening import join
from serving.admission import Admission
from serving.budget_alerts import alert
from serving.decider import LiveDecider
from serving.homes import Homes, homes_of
from serving.inference.opening import open_inference
from serving.journal_care import JournalCare, recover
from serving.live import LiveLoop
from serving.model_watch import ModelWatch, Registry
from serving.order_session import OrderSession
from serving.outlets import Outlets
from serving.projection import Projection
from serving.recorder import Recorder
from serving.rows import open_on_demand
from serving.runtime import Runtime
from serving.scenario_rows import follow_scenarios, scenario_table, templates_of
from serving.scoring import Models, Scoring, open_scoring, prediction_ring
from serving.spilled import open_writer
from serving.store_care import care_for_ledger
from serving.streaming.hub import Hub
from serving.tasks import BackgroundTasks
from serving.tick_publisher import TickPublisher
from storage.adapters import open_analysis, open_ledger, open_tick_bus
from storage.batch_writer import BatchWriter
from storage.ledger_rows import LatencySample, Recorded
from storage.ports import LedgerStore
from storage.row_codec import ANALYSIS_CODEC, LEDGER_CODEC
from storage.sqlite import Ledger
from trading import risk_kernel
from trading.brokers.fix import FixBroker, order_session
from trading.budgets import StageBudgets
from trading.engine import TradingEngine
from trading.journal import FileJournal
from trading.reconciliation import Reconciliation
from trading.recording import SessionHeader, SessionWriter
from trading.scenarios import ScenarioTable

log = logging.getLogger(__name__)

FLUSH_SECS = 0.25
# Events of a quarter of a second, and room for a disk that is slow.
RECORDING_BYTES = 8 << 20


class _Stores(NamedTuple):
    """What outlives the process."""

    homes: Homes
    journal: FileJournal
    ledger: LedgerStore
    promotions: Ledger
    writer: BatchWriter[Recorded]
    analysis: BatchWriter[Decision | LatencySample] | None
    copy: Projection


@asynccontextmanager
async def open_runtime(
    config: Config,
    *,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
    clock: Clock | None = None,
    registry: Registry | None = None,
) -> AsyncIterator[Runtime]:
    """Open the platform and close it again.

    The journal is replayed first; then models are restored, market data and orders are connected,
    and reconciliation runs. All of that goes on behind the returned runtime: look at `readiness`.

    Raises
    ------
    JournalLocked, JournalCorrupt
        When the account's journal is in use or cannot be trusted.
    Conflict
        When another process has the account's FIX session.
    """
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        stores = _open_stores(config, stack)
        live = LiveLoop(clock, stores.journal)
        await asyncio.to_thread(prepare)
        scoring = open_scoring(config, instruments, live)
        stack.push_async_callback(scoring.admission.close)
        session = OrderSession(live)
        broker = _broker(config, stores.homes, instruments, clock, session, stack)
        recorder = Recorder()
        scenarios = scenario_table(stores.ledger, config, instruments)
        broker.load_templates(templates_of(scenarios))
        engine = _engine(config, instruments, stores, scoring, broker, scenarios, recorder)
        live.attach(engine, scoring.admission)
        recover(engine, stores.journal, clock)
        recorder.writer = _record(config, stores, engine, instruments, clock, scoring.budgets)
        stack.callback(recorder.close)
        tasks = BackgroundTasks(stack, live.halt)
        feed = FixFeed(config.fix, instruments, _symbols(config), clock, _backoff(config.fix))
        session.attach(broker, feed, _reconciliation(engine))
        hub = Hub(config.serving.stream_queue)
        outlets = _outlets(instruments, hub, stores, engine, clock, scoring)
        engine.subscribe(outlets.hear)
        watch = await _watch(config, stores, registry, scoring.models)
        care = JournalCare(stores.journal, engine, config.trading.snapshot_records)
        follow = follow_scenarios(stores.ledger, config, instruments, scenarios, broker)
        tasks.run("scenarios", follow)
        stack.push_async_callback(live.settle)
        running = _Running(live, session, watch, feed, broker, recorder, care, engine)
        gc_schedule = _start(stack, tasks, config, stores, running, scoring, instruments, clock)
        yield Runtime(
            config=config,
            instruments=instruments,
            engine=engine,
            live=live,
            scoring=scoring,
            gc_schedule=gc_schedule,
            watch=watch,
            session=session,
            decider=_decider(config, instruments, scoring, engine, clock),
            on_demand=open_on_demand(config, engine, scoring, instruments, clock, stack),
            inference=await open_inference(config, scoring.pool, tasks),
            outlets=outlets,
            hub=hub,
            recording=recorder.writer.path,
            recorder=recorder,
            tasks=tasks,
            copy=stores.copy,
        )


def _reconciliation(engine: TradingEngine) -> Reconciliation:
    return Reconciliation(engine.account.book, engine.account.portfolio)


def _outlets(
    instruments: InstrumentTable,
    hub: Hub,
    stores: _Stores,
    engine: TradingEngine,
    clock: Clock,
    scoring: Scoring,
) -> Outlets:
    ring = prediction_ring(scoring.budgets)
    marks = engine.account.marks
    return Outlets(instruments, hub, stores.writer, marks, clock, ring, stores.analysis)


def _gc_schedule(config: Config, live: LiveLoop, stack: AsyncExitStack) -> GcSchedule:
    schedule = GcSchedule(config.memory, lambda: live.active_ns)
    stack.callback(schedule.stop)
    return schedule


def prepare() -> None:
    """Have the compiled kernels at hand; soon done when they were."""
    kernel.prepare()
    risk_kernel.prepare()


def _open_stores(config: Config, stack: AsyncExitStack) -> _Stores:
    homes = homes_of(config)
    trading = config.trading
    journal = FileJournal(homes.journal, strict=trading.strict_sync, stall_ms=trading.sync_stall_ms)
    stack.callback(journal.close)
    # Promotions are an authority of this machine; the rest of the ledger may be on a server.
    promotions = Ledger(config.storage.ledger)
    stack.callback(promotions.close)
    ledger = open_ledger(config.storage)
    stack.callback(ledger.close)
    spill, most = homes.spill, config.storage.spill_bytes
    writer = open_writer(stack, "ledger", ledger.record, LEDGER_CODEC, spill, most)
    analysis = _analysis(config, homes, stack)
    copy = Projection(homes.journal, trading.account, ledger)
    return _Stores(homes, journal, ledger, promotions, writer, analysis, copy)


def _analysis(
    config: Config, homes: Homes, stack: AsyncExitStack
) -> BatchWriter[Decision | LatencySample] | None:
    sink = open_analysis(config.storage)
    if sink is None:
        return None
    stack.callback(sink.close)
    folder = homes.spill.with_name(f"{homes.spill.name}-analysis")
    return open_writer(stack, "analysis", sink, ANALYSIS_CODEC, folder, config.storage.spill_bytes)


def _quote_sink(
    config: Config,
    instruments: InstrumentTable,
    admission: Admission,
    tasks: BackgroundTasks,
    stack: AsyncExitStack,
) -> QuoteSink:
    """Return where the feed brings quotes: to admission, by way of the tick bus if there is one."""
    bus = open_tick_bus(config.storage)
    if bus is None:
        return admission
    publisher = TickPublisher(admission, bus, instruments)
    stack.push_async_callback(publisher.close)
    tasks.run("tick bus", publisher.run())
    return publisher


def _engine(
    config: Config,
    instruments: InstrumentTable,
    stores: _Stores,
    scoring: Scoring,
    broker: FixBroker,
    scenarios: ScenarioTable,
    recorder: Recorder,
) -> TradingEngine:
    return TradingEngine(
        trading=config.trading,
        decision=config.decision,
        risk=config.risk,
        costs=config.costs,
        instruments=instruments,
        features=scoring.features,
        predictor=scoring.pool,
        broker=broker,
        journal=stores.journal,
        scenarios=scenarios,
        rebuild=scoring.admission.rebuild,
        swap_model=scoring.models.carry_out,
        recorder=recorder.write,
    )


async def _watch(
    config: Config, stores: _Stores, registry: Registry | None, models: Models
) -> ModelWatch:
    watch = ModelWatch(
        registry or join(config, stores.promotions),
        stores.homes.models,
        _symbols(config),
        models.swap,
    )
    await watch.restore()
    if len(watch.serving) < len(_symbols(config)):
        await watch.poll()  # else the task that polls looks at once, behind us
    return watch


def _decider(
    config: Config,
    instruments: InstrumentTable,
    scoring: Scoring,
    engine: TradingEngine,
    clock: Clock,
) -> LiveDecider:
    return LiveDecider(
        instruments=instruments,
        features=scoring.features,
        predictor=scoring.requested,
        marks=engine.account.marks,
        admission=scoring.admission,
        clock=clock,
        costs=config.costs,
        policy=config.decision,
        prefix=f"R{clock.now_ns():x}-",
        holds=engine.holds,
    )


def _symbols(config: Config) -> tuple[str, ...]:
    """Symbols to follow: those that may be traded."""
    return config.risk.symbols


def _backoff(config: FixConfig) -> Backoff:
    # Spreads reconnects; nothing that must be kept secret or repeated hangs on it.
    rng = random.Random()  # noqa: S311
    return Backoff(config.reconnect_min_ms / 1e3, config.reconnect_max_ms / 1e3, rng)


def _broker(
    config: Config,
    homes: Homes,
    instruments: InstrumentTable,
    clock: Clock,
    session: OrderSession,
    stack: AsyncExitStack,
) -> FixBroker:
    store = FileStore(homes.fix / "orders.store")
    stack.callback(store.close)
    return FixBroker(
        order_session(config.fix, store, clock),
        config.fix,
        instruments,
        config.trading.account,
        clock,
        _backoff(config.fix),
        session,
        commit_on_return=False,
    )


def _record(
    config: Config,
    stores: _Stores,
    engine: TradingEngine,
    instruments: InstrumentTable,
    clock: Clock,
    budgets: MemoryBudgets,
) -> SessionWriter:
    started_ns = clock.now_ns()
    header = SessionHeader(
        decision_base=engine.decision_ids.next_number,
        started_ns=started_ns,
        trading=config.trading,
        decision=config.decision,
        risk=config.risk,
        costs=config.costs,
        instruments=tuple(instruments),
        journal_records=stores.journal.found,
    )
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(started_ns // 10**9))
    name = f"{config.trading.account}-{stamp}-{started_ns % 10**9:09d}.events"
    buffer = budgets.orders.array("recording", RECORDING_BYTES, np.uint8)
    return SessionWriter(stores.homes.sessions / name, header, buffer=buffer.data)


class _Running(NamedTuple):
    """What runs beside the engine."""

    live: LiveLoop
    session: OrderSession
    watch: ModelWatch
    feed: FixFeed
    broker: FixBroker
    recorder: Recorder
    care: JournalCare
    engine: TradingEngine


def _start(
    stack: AsyncExitStack,
    tasks: BackgroundTasks,
    config: Config,
    stores: _Stores,
    running: _Running,
    scoring: Scoring,
    instruments: InstrumentTable,
    clock: Clock,
) -> GcSchedule:
    """Start what runs beside the engine; it stops in the opposite order."""
    live, session, watch, feed, broker, recorder, care, _ = running
    gc_schedule = _gc_schedule(config, live, stack)

    async def flush() -> None:
        while True:
            await asyncio.sleep(FLUSH_SECS)
            recorder.flush()

    tasks.run("recording", flush())
    tasks.run("journal", care.run())
    tasks.run("ledger", stores.copy.run())
    if config.storage.maintain_secs:
        upkeep = care_for_ledger(stores.ledger, clock, config.storage.maintain_secs)
        tasks.run("ledger upkeep", upkeep)
    tasks.run("collections", gc_schedule.run())
    if config.features.skew_check_secs:
        tasks.run("skew sentinel", scoring.sentinel.run())
    tasks.run("budgets", alert(StageBudgets(running.engine.latencies)))
    tasks.run("timer", live.run_timer())
    if config.cache.second == "redis":
        tasks.run("notices", listen(config.cache, watch.wake))
    tasks.run("models", watch.poll_forever(config.serving.poll_secs, config.serving.poll_jitter))
    tasks.run("reconciliation", session.ask_again())
    stack.callback(live.drain)
    tasks.run("orders", broker.run())
    stack.push_async_callback(broker.close)
    sink = _quote_sink(config, instruments, scoring.admission, tasks, stack)
    tasks.run("market data", feed.run(sink))
    stack.push_async_callback(feed.close)
    return gc_schedule
