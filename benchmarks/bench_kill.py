"""The kill switch with 1,000 open orders, in process and in one turn of the engine.

Orders are journaled in a real journal and every cancel is encoded as it goes to the wire. Told is
the time until the first order that comes after the switch is refused, and until the last cancel is
encoded; and, as the control, a thousand appends of 400 bytes to the same journal alone.
"""

import gc
import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from time import perf_counter_ns

from benchmarks.bench_trading import LIMITS, MONDAY_NS, SEC, ConstantRow
from core.config import DecisionConfig, TradingConfig
from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import (
    Order,
    OrderEvent,
    OrderEventKind,
    OrderType,
    Side,
    TimeInForce,
    TradingState,
    tick,
)
from fix.messages import build_cancel_request
from trading.engine import TradingEngine
from trading.events import OrderEventIn, QuoteIn, SessionChanged, SetTradingState, SubmitOrder
from trading.journal import FileJournal

OPEN = 1_000
ROUNDS = 20


class NoModel:
    def predict(self, instrument: int, row: object) -> None:
        return None


class Wire:
    """Encodes what is sent, and notes when."""

    ready = True

    def __init__(self) -> None:
        self.sent: list[Order] = []
        self.canceled_ns: list[int] = []

    def send(self, order: Order) -> None:
        self.sent.append(order)

    def cancel(self, order: Order) -> None:
        build_cancel_request(order, DEFAULT_INSTRUMENTS[0], f"C{len(self.canceled_ns)}", MONDAY_NS)
        self.canceled_ns.append(perf_counter_ns())

    def replace(self, order: Order) -> None: ...

    def request_status(self, order: Order) -> None: ...


def _engine(journal: FileJournal, wire: Wire) -> TradingEngine:
    wide = Decimal(10**9)
    engine = TradingEngine(
        trading=TradingConfig(enabled_at_start=True, balance=wide),
        decision=DecisionConfig(),
        risk=replace(
            LIMITS, max_open_orders=10 * OPEN, max_position_lots=Decimal(10_000),
            max_gross_notional=wide, max_net_notional=wide, max_currency_notional=wide,
            max_instrument_notional=wide, duplicate_window_ms=1e-6,
        ),
        costs=CostModel(),
        instruments=DEFAULT_INSTRUMENTS,
        features=ConstantRow(),
        predictor=NoModel(),
        broker=wire,
        journal=journal,
    )  # fmt: skip
    engine.process(SessionChanged(MONDAY_NS, True))
    engine.process(QuoteIn(MONDAY_NS, tick(0, 1, MONDAY_NS, 1.1, 1.1001), act=False))
    return engine


def _order(number: int, now_ns: int) -> SubmitOrder:
    return SubmitOrder(
        now_ns, f"k{number}", "PAPER", "manual", 0, Side.BUY, 1, OrderType.LIMIT, 109_000,
        TimeInForce.GTC,
    )  # fmt: skip


def _round(folder: Path) -> tuple[int, int, int]:
    journal, wire = FileJournal(folder), Wire()
    engine = _engine(journal, wire)
    for number in range(OPEN):
        now = MONDAY_NS + number * SEC // 400  # the quote must stay fresh to the last one
        sent = engine.process(_order(number, now))
        assert sent is not None
        assert sent.refused is None, sent.refused
        accept = OrderEvent(sent.order.client_order_id, OrderEventKind.ACCEPT, MONDAY_NS)
        engine.process(OrderEventIn(now, accept))
    started = perf_counter_ns()
    engine.process(
        SetTradingState(
            MONDAY_NS, TradingState.HALTED, "bench", "bench", "global", cancel_orders=True
        )
    )
    last_cancel = wire.canceled_ns[-1] - started
    late = engine.process(_order(OPEN, MONDAY_NS + SEC))
    refused = perf_counter_ns() - started
    journal.close()
    assert late is not None
    assert late.refused is not None
    assert len(wire.canceled_ns) == len(wire.sent) == OPEN
    return last_cancel, refused, len(wire.sent) - OPEN


def _control(folder: Path) -> int:
    journal, payload = FileJournal(folder), b"x" * 400
    started = perf_counter_ns()
    for _ in range(OPEN):
        journal.append(payload)
    taken = perf_counter_ns() - started
    journal.close()
    return taken


def run() -> dict[str, dict[str, float]]:
    """Run all and return milliseconds per name."""
    gc.collect()
    gc.freeze()
    rows, controls = [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            rows.append(_round(Path(name) / "kill"))
            controls.append(_control(Path(name) / "control"))
    gc.unfreeze()
    last, refused = sorted(row[0] for row in rows), sorted(row[1] for row in rows)
    return {
        "last_cancel_ms": {**_ms(last), "bar_max_ms": 1_000},
        "next_order_refused_ms": _ms(refused),
        "orders_sent_after_the_switch": {"count": sum(row[2] for row in rows), "bar": 0},
        "control_1000_appends_ms": _ms(sorted(controls)),
    }


def _ms(ordered: list[int]) -> dict[str, float]:
    return {
        "p50_ms": round(ordered[len(ordered) // 2] / 1e6, 2),
        "max_ms": round(ordered[-1] / 1e6, 2),
        "rounds": len(ordered),
    }


if __name__ == "__main__":
    for what, figures in run().items():
        print(f"{what:32} {figures}")
