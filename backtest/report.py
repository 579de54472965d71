"""The out-of-sample report: trades and what they earned, as numbers, as table rows, as a figure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isnan
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from backtest.outcome import Execution, Outcome, cents
from backtest.run import EquityCurve
from core.columns import QuoteColumns
from core.costs import CostModel
from core.instruments import Instrument, InstrumentTable
from core.types import Direction

_ZERO = Decimal(0)
_NS_PER_HOUR = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Trade:
    """From flat to flat in one instrument; money in account currency.

    Attributes
    ----------
    side : str
        ``BUY`` for a long.
    lots : Decimal
        Largest size it had.
    gross : Decimal
        What it would have earned at mid prices.
    costs : Decimal
        Half spreads and commission of its executions; ``net = gross - costs``.
    """

    symbol: str
    side: str
    lots: Decimal
    opened_ns: int
    closed_ns: int
    gross: Decimal
    costs: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True)
class Report:
    """Figures of a session or backtest; money in account currency.

    Attributes
    ----------
    decisions : dict of str to int
        By direction: BUY, SELL, HOLD.
    holds : dict of str to int
        HOLDs by reason.
    orders, fills, denied : int
    trades : tuple of Trade
        Closed ones.
    gross, costs, net : Decimal
        Over the closed trades.
    open_profit : Decimal
        Of what was open at the end, at the bid or ask; also what closed trades do not hold.
    hit_rate : float
        Share of trades with a positive net; NaN without trades.
    sharpe : float
        Mean over standard deviation of the trades' net, per trade; NaN below two trades.
    max_drawdown : float
        Largest fall of the equity from a peak, not negative.
    unconverted : int
        Executions without a rate to the account currency; their money is in no figure.
    curve : EquityCurve
    """

    decisions: dict[str, int]
    holds: dict[str, int]
    orders: int
    fills: int
    denied: int
    trades: tuple[Trade, ...]
    gross: Decimal
    costs: Decimal
    net: Decimal
    open_profit: Decimal
    hit_rate: float
    sharpe: float
    max_drawdown: float
    unconverted: int
    curve: EquityCurve

    def rows(self) -> list[tuple[str, str]]:
        """Return name and value of each figure, for a table."""
        holds = ", ".join(f"{reason} {count}" for reason, count in self.holds.items())
        return [
            ("decisions", ", ".join(f"{side} {n}" for side, n in self.decisions.items())),
            ("holds by reason", holds or "none"),
            ("orders", f"{self.orders} sent, {self.denied} denied"),
            ("fills", str(self.fills)),
            ("closed trades", str(len(self.trades))),
            ("gross (at mid)", _money(self.gross)),
            ("costs", _money(self.costs)),
            ("net of costs", _money(self.net)),
            ("open at the end", _money(self.open_profit)),
            ("hit rate", _share(self.hit_rate)),
            ("Sharpe per trade", _number(self.sharpe)),
            ("max drawdown", f"{self.max_drawdown:,.2f}"),
        ]


def make_report(
    outcome: Outcome,
    tape: Mapping[int, QuoteColumns],
    instruments: InstrumentTable,
    costs: CostModel,
    curve: EquityCurve | None = None,
) -> Report:
    """Work out the figures.

    Parameters
    ----------
    outcome : Outcome
        Of a backtest or a replay.
    tape : mapping of instrument id to QuoteColumns
        Row i holds the quote with ``seq`` i + 1; says the mid at each execution.
    costs : CostModel
        Its commission was charged; its slippage is an expectation, none is charged on top of the
        quotes.
    curve : EquityCurve, optional
        Closed profit after each execution when absent.
    """
    trades = tuple(closed_trades(outcome.executions, tape, instruments, costs))
    nets = [float(trade.net) for trade in trades]
    net = sum((trade.net for trade in trades), _ZERO)
    equity = outcome.equity if outcome.equity is not None else outcome.balance + outcome.realised
    curve = curve if curve is not None and len(curve.ts) else _closed_curve(outcome)
    directions = Counter(str(decision.direction) for decision in outcome.decisions)
    holds = [d.reason for d in outcome.decisions if d.direction is Direction.HOLD]
    denied = sum(order.status == "DENIED" for order in outcome.orders)
    return Report(
        decisions={str(side): directions[side] for side in Direction},
        holds=dict(Counter(holds).most_common()),
        orders=len(outcome.orders) - denied,
        fills=len(outcome.executions),
        denied=denied,
        trades=trades,
        gross=sum((trade.gross for trade in trades), _ZERO),
        costs=sum((trade.costs for trade in trades), _ZERO),
        net=net,
        open_profit=equity - outcome.balance - net,
        hit_rate=fmean(value > 0 for value in nets) if nets else float("nan"),
        sharpe=sharpe_per_trade(nets),
        max_drawdown=max_drawdown(curve),
        unconverted=sum(execution.profit is None for execution in outcome.executions),
        curve=curve,
    )


def closed_trades(
    executions: Sequence[Execution],
    tape: Mapping[int, QuoteColumns],
    instruments: InstrumentTable,
    costs: CostModel,
) -> list[Trade]:
    """Cut executions into trades at each return to flat; a turn closes one and opens the next."""
    open_trades: dict[int, _OpenTrade] = {}
    closed = []
    for execution in executions:
        fill = execution.fill
        if execution.profit is None or execution.rate is None:
            continue
        terms = instruments[fill.instrument]
        trade = open_trades.setdefault(fill.instrument, _OpenTrade(terms))
        cost = _spread_cost(execution, tape.get(fill.instrument), terms)
        cost += _commission(execution, terms, costs)
        rest = trade.take(execution, cost)
        if trade.position == 0 or rest:
            closed.append(trade.close(fill.ts_event))
            del open_trades[fill.instrument]
        if rest:
            open_trades[fill.instrument] = _OpenTrade(terms, rest, fill.ts_event)
    return closed


class _OpenTrade:
    """A trade while it is open."""

    def __init__(self, terms: Instrument, position: int = 0, opened_ns: int = 0) -> None:
        self._terms = terms
        self._largest = position
        self._opened_ns = opened_ns
        self._net = self._costs = _ZERO
        self.position = position

    def take(self, execution: Execution, cost: Decimal) -> int:
        """Add an execution; return the signed steps by which it turned the position, if it did."""
        fill, profit = execution.fill, execution.profit or _ZERO
        if not self._opened_ns:
            self._opened_ns = fill.ts_event
        before = self.position
        self.position += fill.side.sign * fill.quantity
        if abs(self.position) > abs(self._largest):
            self._largest = self.position
        self._net += profit
        self._costs += cost
        return self.position if before * self.position < 0 else 0

    def close(self, closed_ns: int) -> Trade:
        """Return the finished trade."""
        return Trade(
            self._terms.symbol,
            "BUY" if self._largest > 0 else "SELL",
            self._terms.to_lots(abs(self._largest)),
            self._opened_ns,
            closed_ns,
            self._net + self._costs,
            self._costs,
            self._net,
        )


def _spread_cost(execution: Execution, rows: QuoteColumns | None, terms: Instrument) -> Decimal:
    """Half spread paid by an execution, against the mid of the quote it happened on."""
    fill, rate = execution.fill, execution.rate
    at = fill.quote_seq - 1
    if rows is None or rate is None or not 0 <= at < len(rows):
        return _ZERO
    mid = Decimal(str(0.5 * (float(rows.bid[at]) + float(rows.ask[at])))).scaleb(terms.digits)
    ticks = fill.side.sign * (Decimal(fill.price_ticks) - mid)
    return ticks * fill.quantity * terms.step_value * rate


def _commission(execution: Execution, terms: Instrument, costs: CostModel) -> Decimal:
    per_unit = Decimal(str(terms.pip)) * Decimal(str(costs.commission_pips))
    units = terms.lot_step * terms.contract_size * execution.fill.quantity
    return per_unit * units * (execution.rate or _ZERO)


def _closed_curve(outcome: Outcome) -> EquityCurve:
    closed = np.cumsum([float(e.profit or _ZERO) for e in outcome.executions])
    ts = np.array([e.fill.ts_event for e in outcome.executions], np.int64)
    return EquityCurve(ts, float(outcome.balance) + closed)


def sharpe_per_trade(nets: Sequence[float]) -> float:
    """Mean over sample standard deviation; NaN below two trades or when all earn the same."""
    spread = stdev(nets) if len(nets) > 1 else 0.0
    return fmean(nets) / spread if spread > 0.0 else float("nan")


def max_drawdown(curve: EquityCurve) -> float:
    """Largest fall from an earlier peak, account currency."""
    if not len(curve.equity):
        return 0.0
    return float(np.max(np.maximum.accumulate(curve.equity) - curve.equity))


def _money(amount: Decimal) -> str:
    return f"{cents(amount):,}"


def _number(value: float) -> str:
    return "not enough trades" if isnan(value) else f"{value:.3f}"


def _share(value: float) -> str:
    return "no trades" if isnan(value) else f"{value:.1%}"


def draw(report: Report, path: Path, title: str = "Out of sample", currency: str = "USD") -> None:
    """Draw equity, results of trades and decisions by side as a PNG."""
    # On demand: matplotlib costs most of a second, and tables need none of it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 2))
    equity = figure.add_subplot(grid[0, :])
    hours = (report.curve.ts - report.curve.ts[0]) / _NS_PER_HOUR if len(report.curve.ts) else []
    equity.step(hours, report.curve.equity, where="post", linewidth=1.2)
    equity.ticklabel_format(axis="y", useOffset=False)
    equity.set(xlabel="hours of tape time", ylabel=f"equity ({currency})")
    results = figure.add_subplot(grid[1, 0])
    results.hist([float(trade.net) for trade in report.trades] or [0.0], bins=30)
    results.set(xlabel=f"net per trade ({currency})", ylabel="trades")
    sides = figure.add_subplot(grid[1, 1])
    sides.bar(list(report.decisions), list(report.decisions.values()))
    sides.set(ylabel="decisions", yscale="symlog")
    for axes in (equity, results, sides):
        axes.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
