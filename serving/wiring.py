"""The composition root: everything that lives, joined, and taken apart again in order."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from core.clock import Clock, SystemClock
from core.config import Config, FixConfig
from core.errors import ArtifactRefused
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from features import kernel
from features.spec import spec_named
from features.user import load_modules
from fix.store import FileStore
from fix.transport import Backoff
from market.fix_feed import FixFeed
from models.inference.artifact import LoadedModel
from models.pool import ModelPool
from registry.loading import RegisteredVersion
from registry.opening import join
from serving.admission import Admission
from serving.decider import LiveDecider
from serving.homes import Homes, homes_of
from serving.journal_care import JournalCare, recover
from serving.live import LiveLoop
from serving.live_features import LiveFeatures
from serving.model_watch import ModelWatch, Registry
from serving.order_session import OrderSession
from serving.outlets import Outlets, Row, ledger_sink
from serving.recorder import Recorder
from serving.rows import open_on_demand
from serving.runtime import Runtime
from serving.scenario_rows import follow_scenarios, scenario_table, templates_of
from serving.stream import Hub
from serving.tasks import BackgroundTasks
from storage.batch_writer import BatchWriter
from storage.parquet import TickStore
from storage.sqlite import Ledger
from trading import risk_kernel
from trading.brokers.fix import FixBroker, order_session
from trading.engine import TradingEngine
from trading.events import ModelSwapped
from trading.journal import FileJournal
from trading.reconciliation import Reconciliation
from trading.recording import SessionHeader, SessionWriter
from trading.scenarios import ScenarioTable

log = logging.getLogger(__name__)

FLUSH_SECS = 0.25


class Models:
    """Hands a verified model to the pool and its spec to the features, as one engine event."""

    def __init__(
        self,
        instruments: InstrumentTable,
        pool: ModelPool,
        features: LiveFeatures,
        admission: Admission,
        live: LiveLoop,
        symbols: tuple[str, ...],
    ) -> None:
        self._instruments = instruments
        self._symbols = symbols
        self._pool = pool
        self._features = features
        self._admission = admission
        self._live = live
        self._coming: dict[tuple[int, str], LoadedModel] = {}

    async def swap(self, symbol: str, model: LoadedModel, version: RegisteredVersion) -> None:
        """Have the engine take the version between two events; raises what the pool raises."""
        instrument = self._instruments.by_symbol(symbol).id
        _refuse_absent(model, self._symbols)
        self._coming[instrument, version.version] = model
        event = ModelSwapped(0, instrument, version.model, version.version, version.approved)
        try:
            await self._live.command(event)
        finally:
            self._coming.pop((instrument, version.version), None)

    def carry_out(self, event: ModelSwapped) -> None:
        """Set the references; the instrument is rebuilt when the spec is another one."""
        model = self._coming[event.instrument, event.version]
        self._pool.swap(event.instrument, model, event.version, event.approved)
        manifest = model.manifest
        spec = spec_named(manifest.spec_name)
        if self._features.use(event.instrument, spec, manifest.peers):
            self._admission.forget(event.instrument)


def _refuse_absent(model: LoadedModel, symbols: tuple[str, ...]) -> None:
    absent = [peer for peer in model.manifest.peers if peer not in symbols]
    if absent:
        raise ArtifactRefused(
            f"the model's features need live quotes of {', '.join(absent)}, which risk.symbols "
            "does not follow"
        )


class _Stores(NamedTuple):
    """What outlives the process."""

    homes: Homes
    journal: FileJournal
    ledger: Ledger
    writer: BatchWriter[Row]


class _Scoring(NamedTuple):
    """Everything between a quote and a prediction."""

    features: LiveFeatures
    admission: Admission
    pool: ModelPool
    models: Models


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
        await asyncio.to_thread(_compile)
        scoring = _scoring(config, instruments, live)
        stack.push_async_callback(scoring.admission.close)
        session = OrderSession(live)
        broker = _broker(config, stores.homes, instruments, clock, session, stack)
        recorder = Recorder()
        scenarios = scenario_table(stores.ledger, config, instruments)
        broker.load_templates(templates_of(scenarios))
        engine = _engine(config, instruments, stores, scoring, broker, scenarios, recorder)
        live.attach(engine, scoring.admission)
        recover(engine, stores.journal, clock)
        recorder.writer = _record(config, stores, engine, instruments, clock)
        stack.callback(recorder.close)
        tasks = BackgroundTasks(stack, live.halt)
        feed = FixFeed(config.fix, instruments, _symbols(config), clock, _backoff(config.fix))
        account = engine.account
        session.attach(broker, feed, Reconciliation(account.book, account.portfolio))
        hub = Hub(config.serving.stream_queue)
        outlets = Outlets(instruments, hub, stores.writer, account.marks, clock)
        engine.subscribe(outlets.hear)
        watch = _watch(config, stores, registry, scoring.models)
        await watch.restore()
        await watch.poll()
        care = JournalCare(stores.journal, engine, config.trading.snapshot_records)
        follow = follow_scenarios(stores.ledger, config, instruments, scenarios, broker)
        tasks.run("scenarios", follow)
        stack.push_async_callback(live.settle)
        running = _Running(live, session, watch, feed, broker, scoring.admission, recorder, care)
        _start(stack, tasks, config, running)
        yield Runtime(
            config=config,
            instruments=instruments,
            engine=engine,
            live=live,
            admission=scoring.admission,
            pool=scoring.pool,
            watch=watch,
            session=session,
            decider=_decider(config, instruments, scoring, engine, clock),
            on_demand=open_on_demand(config, engine, scoring, instruments, clock, stack),
            outlets=outlets,
            hub=hub,
            recording=recorder.writer.path,
            recorder=recorder,
            tasks=tasks,
        )


def _compile() -> None:
    kernel.prepare()
    risk_kernel.prepare()


def _open_stores(config: Config, stack: AsyncExitStack) -> _Stores:
    homes = homes_of(config)
    trading = config.trading
    journal = FileJournal(homes.journal, strict=trading.strict_sync, stall_ms=trading.sync_stall_ms)
    stack.callback(journal.close)
    ledger = Ledger(config.storage.ledger)
    stack.callback(ledger.close)
    writer: BatchWriter[Row] = BatchWriter(ledger_sink(ledger), alert=log.error, name="ledger")
    writer.start()
    stack.callback(writer.close)
    return _Stores(homes, journal, ledger, writer)


def _scoring(config: Config, instruments: InstrumentTable, live: LiveLoop) -> _Scoring:
    load_modules(config.features.modules)
    features = LiveFeatures(instruments)
    admission = Admission(
        instruments,
        features,
        TickStore(config.storage.ticks),
        live.inbox,
        config.market.ring_capacity,
        live.wake,
        live.tell,
    )
    pool = ModelPool([row.symbol for row in instruments])
    models = Models(instruments, pool, features, admission, live, _symbols(config))
    return _Scoring(features, admission, pool, models)


def _engine(
    config: Config,
    instruments: InstrumentTable,
    stores: _Stores,
    scoring: _Scoring,
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


def _watch(
    config: Config, stores: _Stores, registry: Registry | None, models: Models
) -> ModelWatch:
    return ModelWatch(
        registry or join(config, stores.ledger), stores.homes.models, _symbols(config), models.swap
    )


def _decider(
    config: Config,
    instruments: InstrumentTable,
    scoring: _Scoring,
    engine: TradingEngine,
    clock: Clock,
) -> LiveDecider:
    return LiveDecider(
        instruments=instruments,
        features=scoring.features,
        predictor=scoring.pool,
        marks=engine.account.marks,
        admission=scoring.admission,
        clock=clock,
        costs=config.costs,
        policy=config.decision,
        prefix=f"R{clock.now_ns():x}-",
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
    return SessionWriter(stores.homes.sessions / name, header)


class _Running(NamedTuple):
    """What runs beside the engine."""

    live: LiveLoop
    session: OrderSession
    watch: ModelWatch
    feed: FixFeed
    broker: FixBroker
    admission: Admission
    recorder: Recorder
    care: JournalCare


def _start(
    stack: AsyncExitStack, tasks: BackgroundTasks, config: Config, running: _Running
) -> None:
    """Start what runs beside the engine; it stops in the opposite order."""
    live, session, watch, feed, broker, admission, recorder, care = running

    async def flush() -> None:
        while True:
            await asyncio.sleep(FLUSH_SECS)
            recorder.flush()

    tasks.run("recording", flush())
    tasks.run("journal", care.run())
    tasks.run("timer", live.run_timer())
    tasks.run("models", watch.poll_forever(config.serving.poll_secs))
    tasks.run("reconciliation", session.ask_again())
    stack.callback(live.drain)
    tasks.run("orders", broker.run())
    stack.push_async_callback(broker.close)
    tasks.run("market data", feed.run(admission))
    stack.push_async_callback(feed.close)
