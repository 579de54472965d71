"""Makes the journal of a busy account: orders, acknowledgements, fills and snapshots in between."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np

from core.config import DecisionConfig, RiskConfig, TradingConfig
from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import (
    Fill,
    Order,
    OrderEvent,
    OrderEventKind,
    Prediction,
    Quote,
    Side,
    TimeInForce,
    tick,
)
from trading.account_state import chunks
from trading.engine import TradingEngine
from trading.events import OrderEventIn, QuoteIn, SessionChanged, SubmitOrder
from trading.journal import FileJournal

MONDAY_NS = 1_600_100_000_000_000_000
STEP_NS = 5_000_000
MID_TICKS = 110_005  # no money is lost, however many orders there are
LIMITS = RiskConfig(
    symbols=("EURUSD",), max_order_lots=Decimal(5), max_order_notional=Decimal(1_000_000),
    max_position_lots=Decimal(5), max_gross_notional=Decimal(2_000_000),
    max_net_notional=Decimal(2_000_000), max_currency_notional=Decimal(2_000_000),
    max_open_orders=100, min_equity=Decimal(1_000), collar_pips=20.0,
    max_quote_age_ms=5_000.0, duplicate_window_ms=0.001,
    max_instrument_notional=Decimal(2_000_000),
    day_loss_reducing=Decimal(10**9), day_loss_halted=Decimal(10**9),
    drawdown_reducing=Decimal(10**9), drawdown_halted=Decimal(10**9), max_orders_per_sec=1e6,
    order_burst=10**6, max_cancels_per_sec=1e6, cancel_burst=10**6, max_executions=10**7,
    executions_window_secs=60.0, max_decision_age_ms=60_000.0,
)  # fmt: skip


class _Nothing:
    """No features, no model, and a broker that takes everything."""

    ready = True

    def update(self, quote: Quote) -> np.ndarray | None:
        return None

    def predict(self, instrument: int, row: np.ndarray) -> Prediction | None:
        return None

    def send(self, order: Order) -> None: ...

    def cancel(self, order: Order) -> None: ...

    def request_status(self, order: Order) -> None: ...


def make_engine(journal: FileJournal, account: str) -> TradingEngine:
    """An engine on the journal, with nothing around it."""
    nothing = _Nothing()
    return TradingEngine(
        trading=TradingConfig(account=account, enabled_at_start=True),
        decision=DecisionConfig(),
        risk=LIMITS,
        costs=CostModel(slippage_pips=0.0),
        instruments=DEFAULT_INSTRUMENTS,
        features=nothing,
        predictor=nothing,
        broker=nothing,
        journal=journal,
    )


def make_journal(
    folder: Path, records: int, *, account: str = "TEST", snapshot_records: int = 20_000
) -> int:
    """Trade until the journal has so many records; every order is over and the account flat.

    Returns
    -------
    int
        Records that were written.
    """
    journal = FileJournal(folder)
    engine = make_engine(journal, account)
    engine.process(SessionChanged(MONDAY_NS, True))
    trade = _trader(engine, account)
    number = 0
    while journal.position.records < records:
        trade(number, Side.BUY)
        trade(number + 1, Side.SELL)
        number += 2
        if journal.since_snapshot >= snapshot_records:
            journal.write_snapshot(journal.position, chunks(engine.take_changes()))
        if not journal.has_room:
            journal.upkeep()
    journal.sync()
    journal.healthy = False  # as SIGKILL leaves it
    written = journal.position.records
    journal.close()
    return written


def _trader(engine: TradingEngine, account: str) -> Callable[[int, Side], None]:
    def trade(number: int, side: Side) -> None:
        now = MONDAY_NS + number * STEP_NS
        engine.process(QuoteIn(now, tick(0, number + 1, now, 1.1, 1.1001), act=False))
        request = SubmitOrder(
            now, f"key-{number}", account, "manual", 0, side, 10,
            time_in_force=TimeInForce.IOC,
        )  # fmt: skip
        submission = engine.process(request)
        assert submission is not None
        assert submission.refused is None, submission.refused
        order = submission.order
        name = order.client_order_id
        accepted = OrderEvent(name, OrderEventKind.ACCEPT, now, f"V{name}")
        engine.process(OrderEventIn(now, accepted))
        for part in (4, 6):
            fill = Fill("VENUE", f"{name}-{part}", name, 0, side, part, MID_TICKS, now, number + 1)
            event = OrderEvent(name, OrderEventKind.FILL, now, f"V{name}", fill=fill)
            engine.process(OrderEventIn(now, event))

    return trade
