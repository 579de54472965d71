"""The running platform as the routes see it: reads of the engine's state, commands by its queue."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from core.config import Config
from core.errors import Conflict, NotFound, Unavailable
from core.instruments import Instrument, InstrumentTable
from core.types import Order, Quote, Refused, TradingState
from monitoring.gc_schedule import GcSchedule
from monitoring.latency import LatencySummary
from registry.loading import BOOTSTRAP, CHAMPION
from serving.access.roles import caller
from serving.decider import LiveDecider
from serving.inference.service import Inference
from serving.live import LiveLoop
from serving.measures import Measures
from serving.metrics import PlatformCollector, registry_of, render
from serving.model_watch import ModelWatch
from serving.on_demand import OnDemand
from serving.order_requests import amendment, submit_event
from serving.order_session import OrderSession
from serving.outlets import Outlets
from serving.ports import OrderRequest, ReplaceRequest
from serving.projection import Projection
from serving.recorder import Recorder
from serving.risk_view import RiskView, free_margin, risk_view
from serving.scoring import Scoring
from serving.streaming.hub import Hub
from serving.streaming.messages import Topic
from serving.tasks import BackgroundTasks
from serving.views import (
    HoldView,
    ModelView,
    OrderView,
    PositionsView,
    PositionView,
    ReadyView,
    ScenarioView,
    StateView,
    order_view,
    state_view,
)
from trading.budgets import StageBudgets
from trading.engine import TradingEngine
from trading.events import CancelOrder, HoldInstrument, ReplaceOrder, SetTradingState
from trading.scenarios import Scenario
from trading.trading_state import GLOBAL

_CENT = Decimal("0.01")


class Runtime:
    """Implements `serving.ports.Platform` on the live engine; made by `serving.wiring`."""

    def __init__(
        self,
        *,
        config: Config,
        instruments: InstrumentTable,
        engine: TradingEngine,
        live: LiveLoop,
        scoring: Scoring,
        gc_schedule: GcSchedule,
        watch: ModelWatch,
        session: OrderSession,
        decider: LiveDecider,
        on_demand: OnDemand,
        inference: Inference,
        outlets: Outlets,
        hub: Hub,
        recording: Path,
        recorder: Recorder,
        tasks: BackgroundTasks,
        copy: Projection,
    ) -> None:
        self.config = config
        self.engine = engine
        self.decider = decider
        self.on_demand = on_demand
        self.inference = inference
        self.hub = hub
        self.session = session
        self.watch = watch
        self.live = live
        self.admission = scoring.admission
        self.outlets = outlets
        self.recording = recording
        self.recorder = recorder
        self.tasks = tasks
        self.sentinel = scoring.sentinel
        self.gc_schedule = gc_schedule
        self._budgets = scoring.budgets
        self._stage_budgets = StageBudgets(engine.latencies)
        self._instruments = instruments
        self._pool = scoring.pool
        measures = Measures(
            engine,
            live,
            scoring.admission,
            watch,
            session,
            decider,
            outlets,
            hub,
            recorder,
            tasks,
            on_demand,
            copy,
            scoring.pool.kept,
            scoring.sentinel,
            gc_schedule,
        )
        self._collector: CollectorRegistry = registry_of(
            PlatformCollector(
                measures.counters,
                self._gauges,
                self.latencies,
                self.over_budget,
                outlets.spreads,
            )
        )

    # --- orders ---

    async def submit(self, request: OrderRequest) -> Order | Refused:
        """Hand an order to the engine; see `serving.ports.Platform`."""
        terms = self._instruments.by_symbol(request.symbol)
        event = submit_event(request, terms, self.config.trading.account)
        submission = await self.live.command(event)
        if submission is None:
            raise TypeError("the engine gave no outcome for a submit")
        if submission.conflict:
            raise Conflict(f"key {request.key!r} was used before with another order")
        if submission.refused is not None:
            return submission.refused
        return submission.order

    async def cancel(self, client_order_id: str) -> OrderView:
        """Ask the venue to cancel."""
        await self.live.command(CancelOrder(0, client_order_id))
        return self.order(client_order_id)

    async def replace(self, client_order_id: str, request: ReplaceRequest) -> OrderView | Refused:
        """Hand new terms to the engine; see `serving.ports.Platform`."""
        order = self.engine.account.book.get(client_order_id)
        if order is None:
            raise NotFound(f"no order {client_order_id!r}")
        terms = amendment(request, self._instruments[order.instrument])
        submission = await self.live.command(ReplaceOrder(0, client_order_id, terms))
        if submission is not None and submission.refused is not None:
            return submission.refused
        return self.order(client_order_id)

    def show(self, order: Order) -> OrderView:
        """Show one order."""
        return order_view(order, self._instruments)

    def orders(self, limit: int, before: str = "") -> list[OrderView]:
        """Newest orders of the journal, newest first; those before one, to read on from it."""
        held = self.engine.account.book.orders()
        end = len(held)
        if before:
            order = self.engine.account.book.get(before)
            if order is None:
                raise NotFound(f"no order {before!r}")
            end = held.index(order)
        return [self.show(order) for order in reversed(held[max(0, end - limit) : end])]

    def order(self, client_order_id: str) -> OrderView:
        """One order; raises NotFound."""
        order = self.engine.account.book.get(client_order_id)
        if order is None:
            raise NotFound(f"no order {client_order_id!r}")
        return self.show(order)

    def newest_quote(self, instrument: int) -> Quote | None:
        """Return the newest quote of an instrument."""
        return self.engine.account.marks.quote(instrument)

    def snapshots(self, topics: frozenset[Topic]) -> Iterator[tuple[Topic, Any]]:
        """Tell how things stand: every order that works."""
        if Topic.ORDERS in topics:
            yield from (
                (Topic.ORDERS, self.show(o)) for o in self.engine.account.book.open_orders()
            )

    # --- account ---

    def positions(self) -> PositionsView:
        """Positions and account."""
        portfolio = self.engine.account.portfolio
        equity = portfolio.equity()
        return PositionsView(
            account=self.config.trading.account,
            currency=self.config.trading.currency,
            balance=_money(portfolio.balance),
            realised=_money(portfolio.realised),
            equity=_money(equity),
            positions=[view for row in self._instruments if (view := self._position(row))],
        )

    def risk(self, moves: Mapping[str, float]) -> RiskView:
        """Show what the account carries and may lose; see `serving.risk_view`."""
        return risk_view(self.engine.account, self._instruments, moves)

    def _position(self, terms: Instrument) -> PositionView | None:
        portfolio = self.engine.account.portfolio
        position = portfolio.position(terms.id)
        if not position.steps and not position.realised:
            return None
        return PositionView(
            symbol=terms.symbol,
            lots=str(terms.to_lots(position.steps)),
            average_price=f"{position.average_price(terms):.{terms.digits + 1}f}",
            unrealised=_money(portfolio.unrealised(terms.id)),
            currency=self.config.trading.currency,
        )

    def scenarios(self) -> list[ScenarioView]:
        """Pre-validated symbol × side × volume."""
        table = self.engine.desk.pipeline.scenarios
        free = free_margin(self.engine.account)
        return [_scenario(row, free) for row in (table.rows() if table is not None else ())]

    async def set_trading_state(
        self, state: TradingState, reason: str, scope: str = GLOBAL
    ) -> StateView:
        """Change what the engine may do; to enable, ours and the venue's view must agree.

        After a mismatch they are compared anew, and nothing is sent before they agree.
        """
        if state is not TradingState.HALTED and scope == GLOBAL:
            if self.tasks.dead:
                names = ", ".join(self.tasks.dead)
                raise Unavailable(f"background tasks have ended, start serving again: {names}")
            self.session.recheck()
        await self.live.command(SetTradingState(0, state, reason, caller(), scope))
        return self.trading_state()

    async def kill(self, reason: str, scope: str = GLOBAL) -> StateView:
        """Halt a scope and cancel what works in it; see `serving.ports.Platform`."""
        await self.live.command_first(_kill(reason, caller(), scope))
        return self.trading_state()

    def kill_now(self) -> None:
        """Halt everything and cancel all orders, told by a signal."""
        self.live.tell_first(_kill("told by a signal", "signal", GLOBAL))

    def trading_state(self) -> StateView:
        """Show what the engine may do now."""
        return state_view(self.engine.account.states)

    # --- features ---

    def holds(self) -> list[HoldView]:
        """Instruments that decide HOLD for a reason of their own."""
        named = sorted(self.engine.holds.items())
        return [HoldView(self._instruments[one].symbol, reason) for one, reason in named]

    async def rearm(self, symbol: str) -> list[HoldView]:
        """Lift the hold of a symbol; its features are rebuilt from the tape at its next quote."""
        instrument = self._instruments.by_symbol(symbol).id
        if instrument not in self.engine.holds:
            raise NotFound(f"{symbol} is not held")
        self.sentinel.forget(instrument)
        self.admission.forget(instrument)
        await self.live.command(HoldInstrument(0, instrument, ""))
        return self.holds()

    # --- models ---

    def models(self) -> list[ModelView]:
        """Versions that serve now."""
        return [view for row in self._instruments if (view := self._model(row))]

    async def roll_back(self, symbol: str, version: str, reason: str) -> ModelView:
        """Make a former champion serve again; see `serving.ports.Platform`."""
        terms = self._instruments.by_symbol(symbol)
        await self.watch.roll_back(terms.symbol, version, caller(), reason)
        view = self._model(terms)
        if view is None:
            raise Unavailable(f"{symbol} has no model that loads")
        return view

    def _model(self, terms: Instrument) -> ModelView | None:
        # From the pool alone: the watch notes what it handed over a moment after it serves.
        model, approved = self._pool.current(terms.id), self._pool.approved(terms.id)
        if model is None:
            return None
        manifest = model.manifest
        return ModelView(
            symbol=terms.symbol,
            model=manifest.model,
            version=model.version,
            alias=CHAMPION if approved else BOOTSTRAP,
            approved=approved,
            cadence=manifest.cadence,
            horizon_secs=manifest.horizon_ns / 1e9,
            spec_fingerprint=manifest.spec_fingerprint,
            trained_until_ns=manifest.train_end_ns,
            metrics=manifest.metrics,
        )

    # --- health ---

    def readiness(self) -> ReadyView:
        """Name what is missing before orders can flow."""
        marks = self.engine.account.marks
        missing = {
            "journal": self.engine_journal_healthy,
            "market data": self.session.feed_up,
            "a quote": any(marks.quote(row.id) for row in self._instruments),
            "order session": self.session.ready,
            "a model": any(self._pool.current(row.id) for row in self._instruments),
            "warm features": any(self.admission.is_warm(row.id) for row in self._instruments),
        }
        waiting = [name for name, ok in missing.items() if not ok]
        waiting += [f"task {name}: {why}" for name, why in self.tasks.dead.items()]
        return ReadyView(not waiting, waiting)

    @property
    def engine_journal_healthy(self) -> bool:
        """False once the journal could not be written."""
        return self.live.journal_healthy

    def latencies(self) -> Mapping[str, LatencySummary]:
        """Summaries by stage, from tick to acknowledgement."""
        return {
            **self.engine.latencies.summaries(),
            **self.gc_schedule.latencies.summaries(),
            **self.outlets.latencies.summaries(),
            **self.live.latencies.summaries(),
            **self.on_demand.rows.summaries(),
        }

    def over_budget(self) -> dict[str, tuple[float, int]]:
        """Budget in seconds of each stage that has one, and how often it took longer."""
        return {**self._stage_budgets.over_budget(), **self.on_demand.rows.over_budget()}

    def metrics(self) -> bytes:
        """Prometheus text."""
        return render(self._collector)

    def _gauges(self) -> dict[str, float]:
        state = self.engine.account.states.state
        equity = self.engine.account.portfolio.equity()
        scenarios = self.engine.desk.pipeline.scenarios
        return {
            "ready": self.readiness().ready,
            "trading_active": state is TradingState.ACTIVE,
            "journal_healthy": self.engine_journal_healthy,
            "recording": not self.recorder.failed,
            "models_refused": len(self.watch.refused),
            "symbols_refused": len(self.session.feed.refused) if self.session.feed else 0,
            "registry_reachable": self.watch.reachable,
            "orders_open": self.engine.account.book.open_count,
            "stream_clients": len(self.hub),
            "instruments_held": len(self.engine.holds),
            **self._budgets.gauges(),
            "cache_l1_rows": len(self.on_demand.rows.cache),
            "cache_l2_waiting": self.on_demand.rows.cache.second.waiting,
            "cache_breaker_state": self.on_demand.rows.cache.second.breaker.state,
            "feature_rows_running": self.on_demand.rows.running,
            "scenario_hit_rate": 1.0 if scenarios is None else scenarios.counts.hit_rate,
            "equity": float(equity) if equity is not None else float("nan"),
        }


def _scenario(row: Scenario, free: int | None) -> ScenarioView:
    margin = row.margin_per_lot * row.lots
    affordable = free is not None and margin <= Decimal(free).scaleb(-6)
    return ScenarioView(
        row.account, row.symbol, row.side, str(row.lots), row.passed, row.refused, _money(margin),
        affordable,
    )  # fmt: skip


def _kill(reason: str, who: str, scope: str) -> SetTradingState:
    return SetTradingState(0, TradingState.HALTED, reason, who, scope, cancel_orders=True)


def _money(amount: Decimal | None) -> str:
    return "" if amount is None else str(amount.quantize(_CENT))
