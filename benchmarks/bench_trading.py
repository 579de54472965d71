"""Decide, risk check, journal append, and a whole tick to the wire, in process.

In `tick_to_send` features, model and broker are stubs, so that the figure is that of the trading
code itself; `tick_to_decision` has the real features and a compiled model of 300 trees. Every
figure is a percentile over single calls, in microseconds.
"""

import gc
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from time import perf_counter_ns

import msgspec
import numpy as np
import xgboost

from core.columns import from_ticks
from core.config import DecisionConfig, RiskConfig, TradingConfig
from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Fill, Order, OrderEvent, OrderEventKind, Prediction, Quote, Side, tick
from features.engine import FeatureEngine
from features.spec import spec_named
from models.inference.heap import score_row
from models.trees import compile_trees
from trading.decision import decide
from trading.engine import TradingEngine
from trading.events import OrderEventIn, QuoteIn, SessionChanged, SubmitOrder
from trading.journal import FileJournal
from trading.risk import evaluate, largest_lots
from trading.risk_checks import RiskContext
from trading.scenarios import Reference, ScenarioTable, compute

CALLS = 20_000
MONDAY_NS = 1_600_100_000_000_000_000
SEC = 1_000_000_000
LIMITS = RiskConfig(
    symbols=("EURUSD", "GBPUSD", "USDJPY", "XAUUSD"),
    max_order_lots=Decimal(5),
    max_order_notional=Decimal(1_000_000),
    max_position_lots=Decimal(5),
    max_gross_notional=Decimal(2_000_000),
    max_net_notional=Decimal(2_000_000),
    max_currency_notional=Decimal(2_000_000),
    max_open_orders=100,
    min_equity=Decimal(1_000),
    collar_pips=20.0,
    max_quote_age_ms=5_000.0,
    duplicate_window_ms=50.0,
    max_instrument_notional=Decimal(1_000_000),
    day_loss_reducing=Decimal(40_000),
    day_loss_halted=Decimal(50_000),
    drawdown_reducing=Decimal(40_000),
    drawdown_halted=Decimal(50_000),
    max_orders_per_sec=1e6,
    order_burst=1_000_000,
    max_cancels_per_sec=1e6,
    cancel_burst=1_000_000,
    max_executions=1_000_000,
    executions_window_secs=0.1,
    max_decision_age_ms=1_000.0,
)
PRICES = ((1.1, 1.1001), (1.3, 1.3002), (150.0, 150.02), (1_900.0, 1_900.4))


class ConstantRow:
    row = np.zeros(32, np.float32)

    def update(self, quote: Quote) -> np.ndarray:
        return self.row


class Alternating:
    """Buys and sells in turn, so that every tick makes an order."""

    def __init__(self) -> None:
        self._up = Prediction(0.9, "m", "1", "fp", 60 * SEC, 20.0, True)
        self._down = Prediction(0.1, "m", "1", "fp", 60 * SEC, 20.0, True)
        self._calls = 0

    def predict(self, instrument: int, row: np.ndarray) -> Prediction:
        self._calls += 1
        return self._up if self._calls % 2 else self._down


class LastOrder:
    ready = True

    def send(self, order: Order) -> None:
        self.order = order

    def cancel(self, order: Order) -> None: ...

    def replace(self, order: Order) -> None: ...

    def request_status(self, order: Order) -> None: ...


def _engine(folder: Path, *, scenarios: bool) -> tuple[TradingEngine, LastOrder, FileJournal]:
    broker, journal = LastOrder(), FileJournal(folder)
    reference = [Reference(0, MONDAY_NS, 110_010)]
    rows = compute(
        "PAPER", "USD", DEFAULT_INSTRUMENTS, LIMITS, reference, [Decimal("0.10")],
        lambda *_: b"",
    )  # fmt: skip
    table = ScenarioTable(rows if scenarios else [], LIMITS, DEFAULT_INSTRUMENTS)
    engine = TradingEngine(
        trading=TradingConfig(enabled_at_start=True),
        decision=DecisionConfig(),
        risk=LIMITS,
        costs=CostModel(),
        instruments=DEFAULT_INSTRUMENTS,
        features=ConstantRow(),
        predictor=Alternating(),
        broker=broker,
        journal=journal,
        scenarios=table,
    )
    engine.process(SessionChanged(MONDAY_NS, True))
    return engine, broker, journal


def _percentiles(samples: list[int]) -> dict[str, float]:
    kept = np.sort(np.array(samples[len(samples) // 10 :])) / 1e3
    p50, p99 = np.percentile(kept, [50, 99])
    return {"p50_us": round(float(p50), 2), "p99_us": round(float(p99), 2), "calls": len(kept)}


def _time(
    call: Callable[[], object], calls: int = CALLS, before: Callable[[], object] | None = None
) -> dict[str, float]:
    samples = []
    for _ in range(calls):
        if before is not None:
            before()
        started = perf_counter_ns()
        call()
        samples.append(perf_counter_ns() - started)
    return _percentiles(samples)


def _decide() -> dict[str, float]:
    prediction = Prediction(0.9, "m", "1", "fp", 60 * SEC, 20.0, True)
    costs, config = CostModel(), DecisionConfig()
    return _time(lambda: decide(prediction, 1.1, 1.1001, 1e-4, 1_000, costs, config))


def _risk(engine: TradingEngine, broker: LastOrder) -> dict[str, dict[str, float]]:
    """All eighteen checks with positions in four instruments and a quote before each order.

    Before each call the engine takes a quote, so that caches are as cold as they are live, and the
    price has moved; the control, a sum of a hundred numbers, is timed in the same way.
    `largest_size_that_passes` is the search that a denial is told with.
    """
    quotes = _hold_everything(engine, broker)
    now = MONDAY_NS + SEC
    request = SubmitOrder(now, "key", "PAPER", "manual", 0, Side.BUY, 10)
    order = engine.desk.pipeline._build(request, "")
    order = msgspec.structs.replace(order, limit_ticks=110_020)  # the market moves around it
    gate, state, marks = engine.account.risk, engine.account.states.state, engine.account.marks

    def move() -> None:
        engine.process(QuoteIn(now, next(quotes), act=False))

    def context() -> RiskContext:
        return gate.context(order, now, state, session_ready=True, journal_healthy=True)

    def check(precomputed: bool) -> None:
        assert evaluate(context(), precomputed=precomputed) is None

    huge = msgspec.structs.replace(order, quantity=10_000)

    def largest() -> None:
        found = gate.context(huge, now, state, session_ready=True, journal_healthy=True)
        assert Decimal(largest_lots(found)) > 1

    def watch() -> None:
        engine.account.watch_losses(now)

    return {
        "control_sum_of_100": _time(lambda: sum(range(100)), before=move),
        "risk_18_checks": {**_time(lambda: check(False), before=move), "bar_p99_us": 15},
        "risk_18_checks_in_a_row": _time(lambda: check(False)),
        "risk_with_scenario": _time(lambda: check(True), before=move),
        "largest_size_that_passes": {**_time(largest, before=move), "bar_p99_us": 100},
        "losses_on_a_mark": _time(watch, before=lambda: marks.update(next(quotes))),
    }


def _hold_everything(engine: TradingEngine, broker: LastOrder) -> Iterator[Quote]:
    """Open a position in each instrument; return quotes of all that go on and on."""

    def endless() -> Iterator[Quote]:
        for seq in count(1):
            instrument = seq % len(PRICES)
            bid, ask = PRICES[instrument]
            move = (seq % 7) * (ask - bid) / 10
            yield tick(instrument, seq, MONDAY_NS + SEC, bid + move, ask + move)

    quotes = endless()
    for _ in range(2 * len(PRICES)):
        engine.process(QuoteIn(MONDAY_NS + SEC, next(quotes), act=False))
    for instrument in range(len(PRICES)):
        request = SubmitOrder(
            MONDAY_NS + SEC, f"open-{instrument}", "PAPER", "manual", instrument, Side.BUY, 20
        )
        sent = engine.process(request)
        assert sent is not None
        assert sent.refused is None, sent.refused
        _fill(engine, broker.order, MONDAY_NS + SEC)
    return quotes


def _journal(folder: Path) -> dict[str, dict[str, float]]:
    payload = b"x" * 400
    journal, strict = FileJournal(folder / "group"), FileJournal(folder / "strict", strict=True)
    found = {
        "journal_append_400_bytes": _time(lambda: journal.append(payload)),
        "journal_append_strict": _time(lambda: strict.append(payload), 500),
    }
    journal.close()
    strict.close()
    return found


def _walk(folder: Path, *, scenarios: bool) -> dict[str, float]:
    """Tick to decision to a call of `Broker.send`; each order is filled before the next tick."""
    engine, broker, journal = _engine(folder, scenarios=scenarios)
    samples = []
    for step in range(CALLS // 2):
        now = MONDAY_NS + (step + 1) * SEC // 10
        event = QuoteIn(now, tick(0, step + 1, now, 1.1, 1.1001))
        started = perf_counter_ns()
        engine.process(event)
        samples.append(perf_counter_ns() - started)
        _fill(engine, broker.order, now)
    journal.close()
    assert len(engine.account.book) == CALLS // 2
    return _percentiles(samples)


def _tick_to_decision() -> dict[str, float]:
    """From a quote to a signal with the real features, a compiled model and the real policy."""
    spec = spec_named("core-tick")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20_000, spec.n_features)).astype(np.float32)
    up = (rows[:, :4].sum(axis=1) + 2.0 * rng.normal(size=len(rows)) > 0.0).astype(np.float32)
    params = {"objective": "binary:logistic", "max_depth": 6, "nthread": 1}
    booster = xgboost.train(params, xgboost.DMatrix(rows, up), 300)
    heap = compile_trees(bytes(booster.save_raw("json")))
    model = (heap.codes, heap.thresholds, heap.leaves, heap.base_margin, heap.depth)
    mid = 1.1 + 1e-5 * np.cumsum(rng.integers(-3, 4, CALLS + 1_000))
    ts = MONDAY_NS + np.arange(len(mid), dtype=np.int64) * SEC
    features = FeatureEngine(spec, [row.pip for row in DEFAULT_INSTRUMENTS])
    samples = []
    for quote in from_ticks(ts, mid, mid + 1e-4).quotes(0):
        started = perf_counter_ns()
        row = features.update(quote)
        if row is None:
            continue
        p = score_row(row, *model, spec.n_features, 0.9, 0.01)
        prediction = Prediction(p, "m", "1", "fp", 60 * SEC, 6.0, True)
        decide(prediction, quote.bid, quote.ask, 1e-4, 0, CostModel(), DecisionConfig())
        samples.append(perf_counter_ns() - started)
    return _percentiles(samples)


def _fill(engine: TradingEngine, order: Order, now: int) -> None:
    fill = Fill(
        "VENUE", order.client_order_id, order.client_order_id, order.instrument, order.side,
        order.quantity, order.limit_ticks, now, 1,
    )  # fmt: skip
    event = OrderEvent(order.client_order_id, OrderEventKind.FILL, now, fill=fill)
    engine.process(OrderEventIn(now, event))


def run() -> dict[str, dict[str, float]]:
    """Run all and return percentiles per name."""
    gc.collect()
    gc.freeze()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine, broker, journal = _engine(folder / "risk", scenarios=True)
        found = {"decide": _decide(), **_risk(engine, broker), **_journal(folder)}
        journal.close()
        found["tick_to_decision"] = _tick_to_decision()
        found["tick_to_send"] = _walk(folder / "walk", scenarios=False)
        found["tick_to_send_with_scenario"] = _walk(folder / "scenario", scenarios=True)
    gc.unfreeze()
    return found


if __name__ == "__main__":
    for stage, figures in run().items():
        print(f"{stage:28} {figures}")
