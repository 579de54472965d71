"""The engine on recorded quotes: latency, money, report."""

from decimal import Decimal

import numpy as np
import pytest

from backtest.report import Trade, draw, make_report, max_drawdown, sharpe_per_trade
from backtest.run import EquityCurve, trade
from core.columns import from_ticks
from core.config import Config, DecisionConfig, RiskConfig, TradingConfig, VenueConfig
from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import OrderStatus, Prediction, Side

SEC = 10**9
LIMITS = RiskConfig(
    symbols=("EURUSD", "USDJPY"), max_order_lots=Decimal(5), max_order_notional=Decimal(10**6),
    max_position_lots=Decimal(5), max_gross_notional=Decimal(10**7),
    max_net_notional=Decimal(10**7), max_currency_notional=Decimal(10**7), max_open_orders=10,
    min_equity=Decimal(1_000), collar_pips=50.0, max_quote_age_ms=5_000.0,
    duplicate_window_ms=1.0, max_instrument_notional=Decimal(10**7),
    day_loss_reducing=Decimal(10**9), day_loss_halted=Decimal(10**9),
    drawdown_reducing=Decimal(10**9), drawdown_halted=Decimal(10**9), max_orders_per_sec=1e6,
    order_burst=10**6, max_cancels_per_sec=1e6, cancel_burst=10**6, max_executions=10**6,
    executions_window_secs=60.0, max_decision_age_ms=60_000.0,
)  # fmt: skip


def config(**venue) -> Config:
    settings = {"partial_ratio": 0.0, "reject_ratio": 0.0, "latency_ms": 0.2, **venue}
    return Config(
        trading=TradingConfig(order_lots=Decimal("0.10")),
        decision=DecisionConfig(),
        risk=LIMITS,
        costs=CostModel(slippage_pips=0.0, commission_pips=0.1),
        venue=VenueConfig(**settings),
    )


class Scripted:
    """Features and model that say p as written, by tape position; 0.5 afterwards."""

    def __init__(self, *script: float, horizon_ns: int = 3600 * SEC) -> None:
        self._script = script
        self._horizon = horizon_ns
        self._row = np.zeros(1, np.float32)

    def update(self, quote):
        self._row[0] = quote.seq
        return self._row

    def predict(self, instrument, row):
        seq = int(row[0])
        p = self._script[seq - 1] if seq <= len(self._script) else 0.5
        return Prediction(p, "m", "1", "fp", self._horizon, 20.0, True)


def tape(bids, step_ns: int = SEC, spread: float = 1e-4, instrument: int = 0):
    ts = SEC + step_ns * np.arange(len(bids), dtype=np.int64)
    bid = np.array(bids)
    return {instrument: from_ticks(ts, bid, bid + spread)}


def test_a_round_trip_earns_what_the_quotes_say(tmp_path):
    bids = [1.1000, 1.1010, 1.1030, 1.1050, 1.1050]
    script = Scripted(0.9, 0.5, 0.1, 0.5, 0.5)
    result = trade(tape(bids), script, script, config(), 200_000)
    report = make_report(
        result.outcome, result.tape, result.instruments, config().costs, result.curve
    )
    # Bought at 1.1001 on the quote of the decision, sold at 1.1030: 29 pips on 10,000 EUR, less
    # 0.1 pip of commission on each side.
    fills = [e.fill for e in result.outcome.executions]
    assert [(f.side, f.price_ticks, f.quote_seq) for f in fills] == [
        (Side.BUY, 110_010, 1), (Side.SELL, 110_300, 3),
    ]  # fmt: skip
    assert report.net == Decimal("28.80")
    assert report.gross == Decimal("30.0")
    assert report.costs == Decimal("1.20")
    assert report.open_profit == 0
    assert report.decisions == {"BUY": 1, "SELL": 1, "HOLD": 3}
    assert (report.orders, report.fills, report.denied) == (2, 2, 0)
    assert report.hit_rate == 1.0
    assert result.curve.equity[-1] == pytest.approx(100_028.80)
    assert [trade.side for trade in report.trades] == ["BUY"]
    draw(report, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert dict(report.rows())["net of costs"] == "28.80"


def test_an_order_meets_the_market_as_it_stands_after_the_latency():
    bids = [1.1000, 1.1010, 1.1030, 1.1050]
    for latency, seq in ((0, 1), (SEC - 1, 1), (SEC, 2), (2 * SEC + 1, 3), (60 * SEC, 4)):
        script = Scripted(0.9)
        result = trade(tape(bids), script, script, config(), latency)
        (execution,) = result.outcome.executions[:1]
        assert execution.fill.quote_seq == seq


def test_a_position_is_closed_when_it_has_aged():
    script = Scripted(0.9, horizon_ns=3 * SEC)
    result = trade(tape([1.1] * 8), script, script, config(), 0)
    fills = [e.fill for e in result.outcome.executions]
    assert [(f.side, f.quote_seq) for f in fills] == [(Side.BUY, 1), (Side.SELL, 4)]


def test_open_positions_are_valued_and_not_called_trades():
    script = Scripted(0.9, 0.9, 0.9)
    result = trade(tape([1.1000, 1.1010, 1.1020]), script, script, config(), 0)
    report = make_report(result.outcome, result.tape, result.instruments, config().costs)
    assert report.trades == ()
    assert report.net == 0
    assert report.open_profit == Decimal("18.90")
    assert np.isnan(report.hit_rate)
    assert dict(report.rows())["hit rate"] == "no trades"


def test_money_of_a_foreign_quote_currency_is_converted():
    script = Scripted(0.9, 0.1)
    yen = tape([110.00, 110.50, 110.50], spread=0.01, instrument=2)
    result = trade(yen, script, script, config(), 0)
    report = make_report(result.outcome, result.tape, result.instruments, config().costs)
    (closed,) = report.trades
    # 49 pips on 10,000 USD are 4,900 JPY; commission is 10 JPY a fill.
    assert float(closed.net) == pytest.approx(4_900 / 110.5 - 10 / 110.01 - 10 / 110.5, abs=0.02)
    assert closed.gross - closed.costs == closed.net


def test_rejects_and_parts_of_the_venue_come_through():
    script = Scripted(*([0.9, 0.1] * 60))
    venue = {"partial_ratio": 0.5, "reject_ratio": 0.3}
    result = trade(tape([1.1] * 120), script, script, config(**venue), 0)
    statuses = [order.status for order in result.outcome.orders]
    assert OrderStatus.REJECTED in statuses
    assert any(e.fill.exec_id.endswith("-2") for e in result.outcome.executions)
    again = trade(tape([1.1] * 120), script, script, config(**venue), 0)
    assert again.outcome.executions == result.outcome.executions


def test_drawdown_and_sharpe():
    curve = EquityCurve(np.arange(5), np.array([100.0, 120.0, 90.0, 130.0, 125.0]))
    assert max_drawdown(curve) == 30.0
    assert max_drawdown(EquityCurve(np.array([], np.int64), np.array([]))) == 0.0
    assert sharpe_per_trade([1.0, 2.0, 3.0]) == pytest.approx(2.0)
    assert np.isnan(sharpe_per_trade([1.0]))
    assert np.isnan(sharpe_per_trade([1.0, 1.0]))


def test_a_turn_closes_one_trade_and_opens_the_next():
    from backtest.outcome import Execution
    from backtest.report import closed_trades
    from core.types import Fill

    def execution(n, side, quantity, profit):
        fill = Fill("VENUE", f"x{n}", f"o{n}", 0, side, quantity, 110_010, n * SEC, n)
        return Execution(fill, Decimal(profit), Decimal(1))

    made = [
        execution(1, Side.BUY, 5, 0), execution(2, Side.SELL, 8, 7), execution(3, Side.BUY, 3, -2),
    ]  # fmt: skip
    trades: list[Trade] = closed_trades(made, tape([1.1] * 3), DEFAULT_INSTRUMENTS, CostModel())
    assert [(t.side, t.lots, t.net) for t in trades] == [
        ("BUY", Decimal("0.05"), 7), ("SELL", Decimal("0.03"), -2),
    ]  # fmt: skip
    assert trades[1].opened_ns == 2 * SEC
