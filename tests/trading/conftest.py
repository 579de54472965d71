"""A small house around the engine: stub ports whose answers the test decides."""

from decimal import Decimal

import numpy as np
import pytest

from core.config import DecisionConfig, RiskConfig, TradingConfig
from core.costs import CostModel
from core.errors import Unavailable
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Fill, OrderEvent, OrderEventKind, Prediction, Side, tick
from trading.engine import TradingEngine
from trading.events import OrderEventIn, QuoteIn, SessionChanged, SubmitOrder
from trading.journal import MemoryJournal

MONDAY_NS = 1_600_100_000_000_000_000  # 2020-09-14 16:13:20 UTC
SEC = 1_000_000_000
ROW = np.zeros(4, np.float32)

LIMITS = {
    "symbols": ("EURUSD", "GBPUSD", "USDJPY"),
    "max_order_lots": Decimal(5),
    "max_order_notional": Decimal(1_000_000),
    "max_position_lots": Decimal(5),
    "max_instrument_notional": Decimal(2_000_000),
    "max_gross_notional": Decimal(2_000_000),
    "max_net_notional": Decimal(2_000_000),
    "max_currency_notional": Decimal(2_000_000),
    "max_open_orders": 100,
    "min_equity": Decimal(1_000),
    "collar_pips": 20.0,
    "max_quote_age_ms": 5_000.0,
    "duplicate_window_ms": 50.0,
    "day_loss_reducing": Decimal(40_000),
    "day_loss_halted": Decimal(50_000),
    "drawdown_reducing": Decimal(40_000),
    "drawdown_halted": Decimal(50_000),
    "max_orders_per_sec": 100.0,
    "order_burst": 100,
    "max_cancels_per_sec": 1_000.0,
    "cancel_burst": 1_000,
    "max_executions": 1_000,
    "executions_window_secs": 60.0,
    "max_decision_age_ms": 1_000.0,
}


class StubFeatures:
    def __init__(self):
        self.row = ROW
        self.seen = []

    def update(self, quote):
        self.seen.append(quote.seq)
        return self.row


class StubPredictor:
    def __init__(self):
        self.p = 0.5
        self.asked = 0
        self.approved = True

    def predict(self, instrument, row):
        self.asked += 1
        if self.p is None:
            return None
        return Prediction(self.p, "m", "1", "fp", 60 * SEC, 20.0, self.approved)


class StubBroker:
    def __init__(self):
        self.ready = True
        self.up = True
        self.sent = []
        self.canceled = []
        self.replaced = []
        self.asked = []

    def _take(self, to, order):
        if not self.up:
            raise Unavailable("session is down")
        to.append(order)

    def send(self, order):
        self._take(self.sent, order)

    def cancel(self, order):
        self._take(self.canceled, order)

    def replace(self, order):
        self._take(self.replaced, order)

    def request_status(self, order):
        self._take(self.asked, order)


class House:
    """An engine with stubs; `limits` and `trading` fields can be overridden."""

    def __init__(
        self, limits=(), journal=None, ready=True, recovered=(), scenarios=None, snapshot=(),
        instruments=DEFAULT_INSTRUMENTS, **trading,
    ):  # fmt: skip
        self.now = MONDAY_NS
        self.features = StubFeatures()
        self.predictor = StubPredictor()
        self.broker = StubBroker()
        self.journal = journal if journal is not None else MemoryJournal()
        self.recorded = []
        self.outputs = []
        self.limits = RiskConfig(**{**LIMITS, **dict(limits)})
        self.engine = TradingEngine(
            trading=TradingConfig(**{"enabled_at_start": True, **trading}),
            decision=DecisionConfig(),
            risk=self.limits,
            costs=CostModel(),
            instruments=instruments,
            features=self.features,
            predictor=self.predictor,
            broker=self.broker,
            journal=self.journal,
            scenarios=scenarios,
            recorder=self.recorded.append,
        )
        self.engine.subscribe(self.outputs.append)
        self.engine.recover(recovered, self.now, snapshot)
        self.account = self.engine.account
        self.seq = 0
        if ready:
            self.process(SessionChanged(self.now, True))

    def process(self, event):
        return self.engine.process(event)

    def quote(self, bid=1.1, ask=1.1001, instrument=0, act=True, after_ns=SEC, p=None, recv=None):
        self.now += after_ns
        self.seq += 1
        if p is not None:
            self.predictor.p = p
        ts_recv = self.now if recv is None else recv
        quote = tick(instrument, self.seq, self.now, bid, ask, ts_recv=ts_recv)
        self.process(QuoteIn(self.now, quote, act))
        return quote

    def submit(self, key, steps=10, side=Side.BUY, instrument=0, after_ns=SEC // 10, **fields):
        self.now += after_ns
        fields = {"account": "PAPER", "strategy": "manual", **fields}
        return self.process(
            SubmitOrder(self.now, key, instrument=instrument, side=side, quantity=steps, **fields)
        )

    def report(self, order, kind, **fields):
        event = OrderEvent(order.client_order_id, kind, self.now, **fields)
        self.process(OrderEventIn(self.now, event))

    def fill(self, order, quantity=None, price_ticks=110_010, exec_id="x1", **fields):
        fields = {"side": order.side, "instrument": order.instrument, **fields}
        fill = Fill(
            venue="VENUE", exec_id=exec_id, client_order_id=order.client_order_id,
            quantity=quantity or order.quantity, price_ticks=price_ticks,
            ts_event=self.now, quote_seq=self.seq, **fields,
        )  # fmt: skip
        self.report(order, OrderEventKind.FILL, fill=fill)

    def order(self, client_order_id):
        return self.account.book.get(client_order_id)


@pytest.fixture
def house():
    """A house that may trade, with one EURUSD quote on the tape."""
    built = House()
    built.quote()
    return built


@pytest.fixture
def build():
    """The class itself, for houses with other settings."""
    return House
