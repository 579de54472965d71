"""Out-of-sample results of a decision policy, net of cost, beside a predictor without skill."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.columns import F8, I8
from core.config import DecisionConfig
from core.costs import CostModel
from core.types import Direction, Prediction, Signal
from models.dataset import Dataset
from models.overfitting import (
    Record,
    break_even_hit_rate,
    deflated_sharpe,
    loss_probability,
    min_track_record,
    overfitting_probability,
)

I1 = NDArray[np.int8]

_RESAMPLES = 2_000
_CONFIDENCE = 0.95
# What might have been chosen instead: less trees, and a margin that is this much of E|move| higher.
_MARGINS = (0.0, 0.05, 0.1)
_PERIODS = 160


class Decide(Protocol):
    """The decision function, `trading.decision.decide`, handed in by the entry point."""

    def __call__(
        self,
        prediction: Prediction | None,
        bid: float,
        ask: float,
        pip: float,
        quote_age_ns: int,
        costs: CostModel,
        config: DecisionConfig,
        /,
    ) -> Signal:
        """Return BUY, SELL or HOLD, net of cost."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """The decision function with what it needs beside the prediction and the prices."""

    decide: Decide
    costs: CostModel
    config: DecisionConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldResult:
    """Figures of one test span (or of all together, `fold` 0).

    Attributes
    ----------
    n, train_rows : int
        Tested rows; rows learnt from.
    start_ns, end_ns : int
        First test row, last label end.
    log_loss, brier : float
        Of the calibrated p; `base_log_loss` and `base_brier` of the base rate of the training rows.
    hit_rate : float
        Share of test rows whose mid went to the side of p.
    break_even_hit_rate : float
        Share needed to break even if every test row were traded: (1 + cost / mean |move|) / 2.
    buys, sells : int
        Rows that the policy would act on, overlapping ones included.
    trades : int
        Round trips that do not overlap: the next begins when the last one's label has ended.
    trade_hit_rate : float
        Share of trades with a gain after cost; 0 without trades.
    net_pips, net_pips_per_trade : float
        After spread, slippage and commission; 0 without trades.
    dsr : float
        Deflated Sharpe Ratio of the trades: P(there is skill), allowing for all trials; 0 under ten
        trades.
    pbo : float
        Probability of Backtest Overfitting among what might have been chosen instead: the complete
        trials of a search, else fewer trees and higher margins; 1 when none of them trades.
    loss_probability : float
        Among the same, share of choices by one half of time that earned nothing in the other.
    track_record : float
        Trades over the fewest that would show a gain with 95 % confidence (MinTRL); 0 when no
        number would.
    coverage : float
        Share of moves inside their 90 % conformal interval; 0 without one.
    out_of_domain : float
        Share of test rows that lie outside of the training domain, where the policy holds.
    no_skill_trades, no_skill_net_pips : int, float
        The same policy fed with the base rate.
    """

    fold: int
    train_rows: int
    n: int
    start_ns: int
    end_ns: int
    log_loss: float
    base_log_loss: float
    brier: float
    base_brier: float
    hit_rate: float
    break_even_hit_rate: float
    buys: int
    sells: int
    trades: int
    trade_hit_rate: float
    net_pips: float
    net_pips_per_trade: float
    dsr: float
    pbo: float
    loss_probability: float
    track_record: float
    coverage: float
    out_of_domain: float
    no_skill_trades: int
    no_skill_net_pips: float


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Round trips: row numbers, sides (+1, -1), net pips; and the signal of every row."""

    rows: I8
    sides: I1
    net_pips: F8
    signals: I1


def log_loss(p: F8, up: NDArray[np.bool_]) -> float:
    """Mean negative log-likelihood; p is clipped to [1e-15, 1 - 1e-15]."""
    q = np.clip(p, 1e-15, 1.0 - 1e-15)
    return float(-np.mean(np.where(up, np.log(q), np.log1p(-q))))


def brier(p: F8, up: NDArray[np.bool_]) -> float:
    """Mean squared error of p as a forecast of `up`."""
    return float(np.mean((p - up) ** 2))


def signals(
    dataset: Dataset,
    p: F8,
    expected_move_pips: F8,
    policy: Policy,
    in_domain: NDArray[np.bool_] | None = None,
    radius_pips: F8 | None = None,
) -> I1:
    """Ask the policy row by row: +1 buy, -1 sell, 0 hold; int8[m]."""
    sign = {Direction.BUY: 1, Direction.SELL: -1, Direction.HOLD: 0}
    decide, costs, config = policy.decide, policy.costs, policy.config
    pip, horizon, fingerprint = dataset.pip, dataset.horizon_ns, dataset.spec.fingerprint
    out = np.zeros(len(dataset), np.int8)
    known = np.ones(len(p), np.bool_) if in_domain is None else in_domain
    radii = np.zeros(len(p)) if radius_pips is None else radius_pips
    columns = (p, expected_move_pips, dataset.bid, dataset.ask, known, radii)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for row, (chance, move, bid, ask, *sure) in enumerate(rows):
        prediction = Prediction(chance, "evaluation", "0", fingerprint, horizon, move, True, *sure)
        out[row] = sign[decide(prediction, bid, ask, pip, 0, costs, config).direction]
    return out


def trades_of(dataset: Dataset, acted: I1) -> Trades:
    """Thin signals to round trips that do not overlap, so that they count as separate evidence."""
    rows: list[int] = []
    free_from = -1
    ts, end_ns = dataset.ts, dataset.end_ns
    for row in np.flatnonzero(acted).tolist():
        if ts[row] >= free_from:
            rows.append(row)
            free_from = int(end_ns[row])
    taken = np.array(rows, np.int64)
    sides = acted[taken]
    net = np.where(sides > 0, dataset.net_long[taken], dataset.net_short[taken])
    return Trades(taken, sides, net, acted)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scored:
    """Tested rows with what was predicted for them inside the fold.

    Attributes
    ----------
    p, base_p, expected_move_pips : float64[m]
        Calibrated p, the no-skill base rate, E|move|.
    instead : float64[alternatives, m], optional
        p of models that might have been chosen instead.
    in_domain, covered : bool[m], optional
        Row inside of the training domain; move inside of its conformal interval.
    radius_pips : float64[m], optional
        Half-width of that interval.
    """

    dataset: Dataset
    p: F8
    base_p: F8
    expected_move_pips: F8
    train_rows: int
    instead: F8 | None = None
    in_domain: NDArray[np.bool_] | None = None
    covered: NDArray[np.bool_] | None = None
    radius_pips: F8 | None = None

    def traded(self, policy: Policy, p: F8 | None = None) -> Trades:
        """Round trips that the policy makes of p, the model's own when none is given."""
        chances = self.p if p is None else p
        known = self.expected_move_pips, policy, self.in_domain, self.radius_pips
        return trades_of(self.dataset, signals(self.dataset, chances, *known))


def assess(
    scored: Scored,
    policy: Policy,
    fold: int = 0,
    trials: int = 1,
    tried: F8 | None = None,
) -> tuple[FoldResult, Trades]:
    """Figures and trades of tested rows.

    Parameters
    ----------
    trials : int
        Configurations tried on this data, this one included.
    tried : float64[configurations, periods], optional
        What the trials of a search earned over the same rows, as `by_period` gives it.
    """
    dataset = scored.dataset
    among = alternatives(scored, policy) if tried is None or len(tried) < 2 else tried
    made, idle = scored.traded(policy), scored.traded(policy, scored.base_p)
    record = Record.of(made.net_pips)
    n_trades = len(made.rows)
    result = FoldResult(
        fold=fold,
        train_rows=scored.train_rows,
        n=len(dataset),
        start_ns=int(dataset.ts[0]),
        end_ns=int(dataset.end_ns.max()),
        log_loss=log_loss(scored.p, dataset.up),
        base_log_loss=log_loss(scored.base_p, dataset.up),
        brier=brier(scored.p, dataset.up),
        base_brier=brier(scored.base_p, dataset.up),
        hit_rate=_hit_rate(scored.p, dataset.move_pips),
        break_even_hit_rate=_break_even(dataset, policy.costs),
        buys=int(np.count_nonzero(made.signals > 0)),
        sells=int(np.count_nonzero(made.signals < 0)),
        trades=n_trades,
        trade_hit_rate=float(np.mean(made.net_pips > 0.0)) if n_trades else 0.0,
        net_pips=float(made.net_pips.sum()),
        net_pips_per_trade=float(made.net_pips.mean()) if n_trades else 0.0,
        dsr=deflated_sharpe(record, trials),
        pbo=overfitting_probability(among),
        loss_probability=loss_probability(among),
        track_record=n_trades / min_track_record(record),
        coverage=0.0 if scored.covered is None else float(np.mean(scored.covered)),
        out_of_domain=0.0 if scored.in_domain is None else float(np.mean(~scored.in_domain)),
        no_skill_trades=len(idle.rows),
        no_skill_net_pips=float(idle.net_pips.sum()),
    )
    return result, made


def alternatives(scored: Scored, policy: Policy) -> F8:
    """Net pips per period of what was chosen and of what might have been instead.

    Returns
    -------
    float64[configurations, periods]
        Periods of equally many rows; a trade counts where it begins. The first one was chosen.
    """
    models = [scored.p] if scored.instead is None else [scored.p, *scored.instead]
    move = float(np.mean(scored.expected_move_pips))
    out = []
    for p, more in ((p, more) for p in models for more in _MARGINS):
        margin = policy.config.margin_pips + more * move
        stricter = replace(policy, config=replace(policy.config, margin_pips=margin))
        trades = scored.traded(stricter, p)
        out.append(by_period(trades.rows, trades.net_pips, len(scored.p)))
    return np.array(out)


def by_period(rows: I8, net_pips: F8, n: int) -> F8:
    """Net pips of trades that begin at `rows` of `n`, by period of equally many rows."""
    periods = max(4, min(_PERIODS, n))
    out = np.zeros(periods)
    np.add.at(out, rows * periods // n, net_pips)
    return out


def _hit_rate(p: F8, move_pips: F8) -> float:
    return float(np.mean(np.where(p > 0.5, move_pips > 0.0, move_pips < 0.0)))


def _break_even(dataset: Dataset, costs: CostModel) -> float:
    """(1 + cost / E|move|) / 2; above 1 when no hit rate would pay."""
    spread = float(np.mean(dataset.ask - dataset.bid)) / dataset.pip
    move = float(np.mean(np.abs(dataset.move_pips)))
    return break_even_hit_rate(costs.round_trip_pips(spread), move)


def lower_bound(net_pips: F8, seed: int, confidence: float = _CONFIDENCE) -> float:
    """One-sided lower confidence bound of the mean, by the circular block bootstrap.

    Blocks of about n^(1/3) trades keep runs of luck together (Politis and Romano, 1992).

    Parameters
    ----------
    net_pips : float64[k]
        Results of the trades in time order.
    confidence : float
        0.95 gives the 5 % quantile of the resampled means.

    Returns
    -------
    float
        In pips; 0 without trades.
    """
    n = len(net_pips)
    if n == 0:
        return 0.0
    length = max(1, round(n ** (1 / 3)))
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([net_pips, net_pips[: length - 1]]))])
    block_sums = sums[length:] - sums[:-length]
    starts = np.random.default_rng(seed).integers(0, n, (_RESAMPLES, -(-n // length)))
    means = block_sums[starts].mean(axis=1) / length
    return float(np.quantile(means, 1.0 - confidence))
