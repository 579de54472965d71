"""A stub platform behind the real application."""

import asyncio
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from core.config import MlflowConfig, RiskConfig, TradingConfig
from core.costs import CostModel
from core.errors import BadInput, Conflict, NotFound, Unavailable
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import (
    Decision,
    Direction,
    Order,
    OrderStatus,
    Refused,
    TradingState,
)
from models.shelf import Shelf
from registry.loading import RegistryReader
from serving.app import create_app
from serving.history import HistoryBody, columns_of
from serving.inference.catalogue import Catalogue
from serving.inference.service import Inference
from serving.ports import OrderRequest, ReplaceRequest
from serving.risk_view import RiskView, risk_view
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
    order_view,
)
from trading.account import Account

with warnings.catch_warnings():
    # starlette asks for httpx2, which does the same; httpx is what the rest of the house uses.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


class StubOnDemand:
    """Checks a history as the real one does; takes five quotes."""

    most_bytes = 1_000

    def __init__(self, platform: "StubPlatform") -> None:
        self._platform = platform

    async def features(
        self, symbol: str, spec_name: str, history: HistoryBody | None
    ) -> FeaturesView:
        decision = await self.decide(symbol, history) if history else self._platform.decide(symbol)
        return FeaturesView(
            symbol, spec_name or "core-tick", decision.spec_fingerprint, {"a": 1.0}, "live", False,
            7, 1, 0.5,
        )  # fmt: skip

    async def decide(self, symbol: str, history: HistoryBody) -> Decision:
        columns_of(history, 5)
        return self._platform.decide(symbol)


def no_versions() -> Inference:
    """Answer for a machine that has no model."""
    nowhere = Path("nowhere")
    catalogue = Catalogue(RegistryReader(MlflowConfig(port=1), nowhere, 0.1), nowhere, dict)
    return Inference(catalogue, Shelf(catalogue.load, 1, 1, time.monotonic))


class StubPlatform:
    """Answers from memory; `version` is what a model swap would move."""

    def __init__(self) -> None:
        self.hub = Hub(3)
        self.inference = no_versions()
        self.account = Account(TradingConfig(), RiskConfig(), CostModel(), DEFAULT_INSTRUMENTS)
        self.version = "1"
        self.loop_of: asyncio.AbstractEventLoop
        self.state = TradingState.HALTED
        self.sent: dict[str, Order] = {}
        self.bodies: dict[str, OrderRequest] = {}
        self.missing: list[str] = []
        self.held: list[str] = ["EURUSD"]
        self.killed: list[tuple[str, str]] = []
        self.replaced: list[tuple[str, ReplaceRequest]] = []

    @property
    def decider(self) -> "StubPlatform":
        return self

    @property
    def on_demand(self) -> "StubOnDemand":
        return StubOnDemand(self)

    def decide(self, symbol: str) -> Decision:
        DEFAULT_INSTRUMENTS.by_symbol(symbol)
        if symbol == "XAUUSD":
            raise Unavailable("XAUUSD has had no quote yet")
        version = self.version
        return Decision(
            "R1", symbol, Direction.HOLD, 0.1, 0.55, -0.3, "edge_below_margin",
            f"direction-{symbol}", version, f"print-{version}", 7, 1, 2, {"predict": 4.0},
        )  # fmt: skip

    def decide_on(self, symbol: str, bid: float, ask: float, ts: int | None) -> Decision:
        if not (math.isfinite(bid) and math.isfinite(ask)):
            raise BadInput("quote.bid is not finite")
        if ask < bid:
            raise BadInput(f"quote is crossed: ask {ask} is below bid {bid}")
        return self.decide(symbol)

    async def submit(self, request: OrderRequest) -> Order | Refused:
        terms = DEFAULT_INSTRUMENTS.by_symbol(request.symbol)
        if self.state is TradingState.HALTED:
            return Refused("trading_state", "trading is HALTED", "ACTIVE", "HALTED")
        if self.bodies.setdefault(request.key, request) != request:
            raise Conflict(f"key {request.key!r} was used with another body")
        order = Order(
            f"C-{request.key}", request.key, "PAPER", request.strategy, terms.id, request.side,
            terms.to_steps(request.lots), request.type, 0, request.time_in_force, 1, 1,
            OrderStatus.SUBMITTED,
        )  # fmt: skip
        return self.sent.setdefault(request.key, order)

    async def cancel(self, client_order_id: str) -> OrderView:
        return self.order(client_order_id)

    async def set_trading_state(
        self, state: TradingState, reason: str, scope: str = "global"
    ) -> StateView:
        self.state = state
        return StateView(state, reason)

    def holds(self) -> list[HoldView]:
        return [HoldView(symbol, "feature_skew") for symbol in self.held]

    async def rearm(self, symbol: str) -> list[HoldView]:
        if symbol not in self.held:
            raise NotFound(f"{symbol} is not held")
        self.held.remove(symbol)
        return self.holds()

    async def kill(self, reason: str, scope: str = "global") -> StateView:
        self.state = TradingState.HALTED
        self.killed.append((scope, reason))
        return StateView(self.state, reason)

    async def replace(self, client_order_id: str, request: ReplaceRequest) -> OrderView | Refused:
        self.replaced.append((client_order_id, request))
        return self.order(client_order_id)

    def show(self, order: Order) -> OrderView:
        return order_view(order, DEFAULT_INSTRUMENTS)

    def orders(self, limit: int, before: str = "") -> list[OrderView]:
        views = [self.show(order) for order in reversed(self.sent.values())]
        names = [view.client_order_id for view in views]
        if before and before not in names:
            raise NotFound(f"no order {before!r}")
        start = names.index(before) + 1 if before else 0
        return views[start : start + limit]

    def order(self, client_order_id: str) -> OrderView:
        for order in self.sent.values():
            if order.client_order_id == client_order_id:
                return self.show(order)
        raise NotFound(f"no order {client_order_id!r}")

    def positions(self) -> PositionsView:
        return PositionsView("PAPER", "USD", "100000", "0", "100000", [])

    def risk(self, moves: Mapping[str, float]) -> RiskView:
        return risk_view(self.account, DEFAULT_INSTRUMENTS, moves)

    def scenarios(self) -> list[ScenarioView]:
        return []

    def models(self) -> list[ModelView]:
        return []

    async def roll_back(self, symbol: str, version: str, reason: str) -> ModelView:
        DEFAULT_INSTRUMENTS.by_symbol(symbol)
        if version == "9":
            raise NotFound("version 9 was never champion")
        self.version = version or "1"
        return ModelView(symbol, "m", self.version, "champion", True, "bar", 60.0, "f", 1, {})

    def trading_state(self) -> StateView:
        return StateView(self.state, "")

    def readiness(self) -> ReadyView:
        return ReadyView(not self.missing, self.missing)

    def metrics(self) -> bytes:
        return b"tickpath_up 1\n"

    def newest_quote(self, instrument: int) -> None:
        return None

    def latencies(self) -> dict[str, Any]:
        return {}

    def snapshots(self, topics: frozenset[Topic]) -> list[tuple[Topic, Any]]:
        self.loop_of = asyncio.get_running_loop()
        return []


@pytest.fixture
def platform() -> StubPlatform:
    return StubPlatform()


@pytest.fixture
def client(platform: StubPlatform) -> Iterator[TestClient]:
    with TestClient(create_app(platform), raise_server_exceptions=False) as running:
        yield running
