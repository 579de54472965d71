"""What the routes ask of the running platform; tests give a stub."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from core.types import Decision, Order, OrderType, Quote, Refused, Side, TimeInForce, TradingState
from monitoring.latency import LatencySummary
from serving.history import HistoryBody
from serving.inference.service import Inference
from serving.risk_view import RiskView
from serving.streaming.hub import Hub
from serving.streaming.messages import Topic
from serving.views import (
    FeaturesView,
    HoldView,
    ModelView,
    OrderView,
    PositionsView,
    ReadyView,
    ScenarioView,
    StateView,
)


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's order, well-formed but not yet judged by risk."""

    key: str
    symbol: str
    side: Side
    lots: Decimal
    type: OrderType = OrderType.MARKET
    limit: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.IOC
    strategy: str = "manual"
    stop: Decimal | None = None
    expire_ns: int = 0
    reduce_only: bool = False
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None


class ReplaceRequest(msgspec.Struct, frozen=True):
    """New terms of an order; None, or zero, leaves a term as it is."""

    lots: Decimal | None
    limit: Decimal | None
    stop: Decimal | None
    expire_ns: int = 0


class Decider(Protocol):
    """Answers decision requests; nothing here advances live state."""

    def decide(self, symbol: str) -> Decision:
        """Score the live row of `symbol` at its live quote.

        Raises
        ------
        core.errors.UnknownInstrument
            When the table has no such symbol.
        core.errors.Unavailable
            When the symbol has had no quote yet.
        """
        ...

    def decide_on(self, symbol: str, bid: float, ask: float, ts: int | None) -> Decision:
        """Score a copy of the state advanced by one quote; `ts` in ns UTC, the tape's time if None.

        Raises
        ------
        core.errors.BadInput
            When a price is not finite and positive, the quote is crossed, or `ts` lies before the
            live quote; also as `decide`.
        """
        ...


class OnDemand(Protocol):
    """Answers for rows, and for decisions on a history; nothing here advances live state."""

    @property
    def most_bytes(self) -> int:
        """Size of the largest request that is read."""
        ...

    async def features(
        self, symbol: str, spec_name: str, history: HistoryBody | None
    ) -> FeaturesView:
        """Newest row of `history`, or the live last row of `symbol` without one.

        Parameters
        ----------
        spec_name : str
            Empty for the spec of the model that serves the symbol.

        Raises
        ------
        core.errors.BadInput
            For a history that is unsound or too short, or an unknown spec or symbol.
        core.errors.Unavailable
            When the symbol is warming up, or no row was ready in time and there is no last good.
        """
        ...

    async def decide(self, symbol: str, history: HistoryBody) -> Decision:
        """Score the newest row of `history` at its newest quote; a stale row is a HOLD.

        Raises as `features`.
        """
        ...


class Platform(Protocol):
    """The running platform as the routes see it."""

    @property
    def decider(self) -> Decider:
        """Answers decision requests."""
        ...

    @property
    def on_demand(self) -> OnDemand:
        """Answers for rows and histories."""
        ...

    @property
    def inference(self) -> Inference:
        """Answers requests of the Open Inference Protocol."""
        ...

    @property
    def hub(self) -> Hub:
        """Where decisions, orders and fills are published."""
        ...

    def newest_quote(self, instrument: int) -> Quote | None:
        """Return the newest quote of an instrument."""
        ...

    def latencies(self) -> Mapping[str, LatencySummary]:
        """Return summaries by stage."""
        ...

    def snapshots(self, topics: frozenset[Topic]) -> Iterable[tuple[Topic, Any]]:
        """Tell how things stand, for a client of the stream that comes in."""
        ...

    async def submit(self, request: OrderRequest) -> Order | Refused:
        """Hand an order to the engine; returns once it is journaled and sent, or refused.

        Raises
        ------
        core.errors.Conflict
            When the key was used with another body.
        """
        ...

    async def cancel(self, client_order_id: str) -> OrderView:
        """Ask the venue to cancel; raises NotFound for an unknown order."""
        ...

    async def replace(self, client_order_id: str, request: ReplaceRequest) -> OrderView | Refused:
        """Ask the venue to change an order.

        Raises
        ------
        core.errors.NotFound
            For an unknown order.
        core.errors.Conflict
            When the order does not work.
        core.errors.BadInput
            When the terms make no sense for it.
        """
        ...

    async def set_trading_state(
        self, state: TradingState, reason: str, scope: str = "global"
    ) -> StateView:
        """Change what the engine may do in one scope.

        Raises
        ------
        core.errors.BadInput
            For a malformed scope.
        core.errors.Unavailable
            When trading is to be enabled and a background task has died.
        """
        ...

    def holds(self) -> list[HoldView]:
        """Symbols that decide HOLD for a reason of their own."""
        ...

    async def rearm(self, symbol: str) -> list[HoldView]:
        """Lift a symbol's hold and have its features rebuilt; raises NotFound when not held."""
        ...

    async def kill(self, reason: str, scope: str = "global") -> StateView:
        """Halt a scope and cancel every order that works in it; latched until a human enables it.

        Raises
        ------
        core.errors.BadInput
            For an unknown scope.
        """
        ...

    def show(self, order: Order) -> OrderView:
        """Show one order."""
        ...

    def orders(self, limit: int, before: str = "") -> list[OrderView]:
        """At most `limit` orders of the journal, newest first.

        With `before`, a client order id, those that are older than it; raises NotFound when there
        is no such order.
        """
        ...

    def order(self, client_order_id: str) -> OrderView:
        """One order; raises NotFound."""
        ...

    def risk(self, moves: Mapping[str, float]) -> RiskView:
        """Margin, exposure and what may be lost; `moves` is a shock by symbol.

        Raises
        ------
        core.errors.BadInput
        core.errors.UnknownInstrument
        """
        ...

    def positions(self) -> PositionsView:
        """Positions and account."""
        ...

    def scenarios(self) -> list[ScenarioView]:
        """Pre-validated symbol × side × volume."""
        ...

    def models(self) -> list[ModelView]:
        """Versions that serve now."""
        ...

    async def roll_back(self, symbol: str, version: str, reason: str) -> ModelView:
        """Make a former champion, the last one when `version` is empty, serve `symbol` again.

        Raises
        ------
        UnknownInstrument, NotFound
            When there is no such symbol, or no such champion.
        ArtifactRefused, Unavailable, Conflict
            When it does not load, or something else was first; nothing changes then.
        """
        ...

    def trading_state(self) -> StateView:
        """Show what the engine may do now."""
        ...

    def readiness(self) -> ReadyView:
        """Name what is missing before orders can flow."""
        ...

    def metrics(self) -> bytes:
        """Prometheus text."""
        ...
