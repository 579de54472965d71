"""The report on noise, on a declared edge, and on real minutes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.columns import QuoteColumns
from core.config import DecisionConfig, MarketConfig, TrainingConfig
from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Direction, Prediction
from market.loaders.load import load
from models.card import fold_table
from models.dataset import Dataset, build_dataset, spec_for
from models.overfitting import break_even_hit_rate
from models.training import TrainingResult, train
from models.windows import History
from tests.models.synthetic import CONFIG, COSTS, DECISION, MINUTE, PIP, decide, make_dataset
from trading.decision import decide as live_decide

FREE = CostModel(slippage_pips=0.0)
EVERY_EDGE = DecisionConfig(margin_pips=0.0)
MOVE_PIPS = 4.0


def without_cost(columns: QuoteColumns) -> QuoteColumns:
    mid = 0.5 * (columns.bid + columns.ask)
    return replace(columns, bid=mid, ask=mid)


def gbpusd(real_data: Path) -> QuoteColumns:
    instrument = DEFAULT_INSTRUMENTS.by_symbol("GBPUSD")
    return load(real_data / "fxcm", instrument, MarketConfig()).columns


def shuffled(dataset: Dataset, seed: int) -> Dataset:
    """Outcomes of other rows, without the drift of the tape, which a shuffle would leave in."""
    order = np.random.default_rng(seed).permutation(len(dataset))
    move = dataset.move_pips[order] - dataset.move_pips.mean()
    return replace(dataset, up=move > 0.0, move_pips=move, net_long=move, net_short=-move)


def dsr_of_shuffled_labels(real_data: Path, seeds: int) -> list[float]:
    columns = without_cost(gbpusd(real_data))
    pip, config = DEFAULT_INSTRUMENTS.by_symbol("GBPUSD").pip, TrainingConfig()
    spec = spec_for(columns, config)
    dataset = build_dataset(columns, "GBPUSD", spec, pip, config, FREE)
    found = []
    for seed in range(seeds):
        mixed = shuffled(dataset, seed)
        result = train(mixed, config, live_decide, FREE, EVERY_EDGE, pip)
        assert result.total.trades > 300, "at zero cost every row is worth a trade"
        found.append(result.metrics["dsr"])
    return found


Record = Callable[[str, object], None]


@pytest.mark.servers
@pytest.mark.timeout(600)
def test_shuffled_labels_rarely_look_like_skill(real_data: Path) -> None:
    found = dsr_of_shuffled_labels(real_data, 10)
    assert sum(dsr > 0.95 for dsr in found) <= 1


@pytest.mark.proof
def test_shuffled_labels_of_100_seeds(real_data: Path, record_property: Record) -> None:
    found = dsr_of_shuffled_labels(real_data, 100)
    passed = sum(dsr > 0.95 for dsr in found)
    record_property("seeds", 100)
    record_property("dsr_above_0.95", passed)
    record_property("dsr_median", float(np.median(found)))
    assert passed <= 10


def test_shuffled_labels_of_a_small_set_are_not_certain() -> None:
    dataset = make_dataset(0, n=2_500)
    found = []
    for seed in range(10):
        result = train(shuffled(dataset, seed), CONFIG, decide, FREE, EVERY_EDGE, PIP)
        found.append(result.metrics["dsr"])
    assert sum(dsr > 0.95 for dsr in found) <= 2, "one in twenty is expected"


def declared(seed: int, slope: float, n: int = 9_000) -> Dataset:
    """P(up) = logistic(slope * x) of the first feature, moves of 4 pips on average, no overlap."""
    rng = np.random.default_rng(seed)
    base = make_dataset(0, n=2_000)
    rows = rng.normal(size=(n, base.rows.shape[1])).astype(np.float32)
    up = rng.random(n) < 1.0 / (1.0 + np.exp(-slope * rows[:, 0].astype(np.float64)))
    move = np.where(up, 1.0, -1.0) * rng.exponential(MOVE_PIPS, n)
    cost = COSTS.round_trip_pips(0.5)
    ts = base.ts[0] + 6 * MINUTE * np.arange(n, dtype=np.int64)
    return replace(
        base,
        rows=rows,
        ts=ts,
        end_ns=ts + 5 * MINUTE,
        bid=np.full(n, 1.1),
        ask=np.full(n, 1.1 + 0.5 * PIP),
        up=up,
        move_pips=move,
        net_long=move - cost,
        net_short=-move - cost,
        at=np.arange(n),
        history=History(rows, ts),
        holdout_start_ns=int(ts[-1]) + 6 * MINUTE,
    )


def edge_of(result: TrainingResult, row: int) -> float:
    """Edge in pips, net of cost, that the live decision names for a tested row."""
    scored, tested = result.out_of_sample, result.out_of_sample.dataset
    prediction = Prediction(
        p=float(scored.p[row]),
        model="test",
        model_version="0",
        spec_fingerprint=tested.spec.fingerprint,
        horizon_ns=tested.horizon_ns,
        expected_move_pips=float(scored.expected_move_pips[row]),
        approved=True,
    )
    prices = float(tested.bid[row]), float(tested.ask[row])
    signal = live_decide(prediction, *prices, PIP, 0, COSTS, DECISION)
    assert signal.direction != Direction.HOLD
    return signal.edge_pips


@pytest.mark.parametrize("seed", [0, 1])
def test_a_declared_edge_is_found_and_sized_right(seed: int) -> None:
    dataset, slope = declared(seed, slope=1.0), 1.0
    config = replace(CONFIG, trees=150, early_stopping=10, learning_rate=0.05)
    result = train(dataset, config, decide, COSTS, DECISION, PIP, trials=20)
    tested = result.out_of_sample.dataset
    tilt = np.abs(2.0 / (1.0 + np.exp(-slope * tested.rows[:, 0].astype(np.float64))) - 1.0)
    edge = tilt * MOVE_PIPS - COSTS.round_trip_pips(0.5)
    possible = edge[edge > DECISION.margin_pips].sum()
    assert result.total.net_pips == pytest.approx(possible, rel=0.15), "nearly all there is"
    assert result.metrics["dsr"] > 0.99
    assert result.metrics["track_record"] > 1.0
    # Sized right: the edge that the decision names for a trade, in pips net of cost, is the planted
    # one and what was earned, each within three standard errors of the mean result of a trade.
    rows = result.trades.rows
    claimed = np.array([edge_of(result, row) for row in rows.tolist()])
    error = result.trades.net_pips.std() / np.sqrt(len(rows))
    assert error < 0.1, "three of them are well under the edge"
    assert claimed.mean() == pytest.approx(edge[rows].mean(), abs=3.0 * error)
    assert claimed.mean() == pytest.approx(result.trades.net_pips.mean(), abs=3.0 * error)
    # And not only on average: where it names more there is more.
    upper = claimed > np.median(claimed)
    assert claimed[upper].mean() == pytest.approx(edge[rows][upper].mean(), rel=0.15)
    p = 1.0 / (1.0 + np.exp(-slope * tested.rows[:, 0].astype(np.float64)))
    assert np.abs(result.out_of_sample.p - p).mean() < 0.05


def test_no_declared_edge_is_not_found() -> None:
    result = train(declared(3, slope=0.0), CONFIG, decide, COSTS, DECISION, PIP, trials=20)
    assert result.metrics["dsr"] < 0.95
    assert result.metrics["net_pips_per_trade_lower"] <= 0.0


def test_trials_lower_the_deflated_sharpe_ratio_and_nothing_else() -> None:
    dataset = declared(4, slope=0.45, n=4_000)
    one, many = (
        train(dataset, CONFIG, decide, COSTS, DECISION, PIP, trials=trials) for trials in (1, 500)
    )
    assert many.metrics["dsr"] < one.metrics["dsr"]
    assert {**one.metrics, "dsr": 0.0} == {**many.metrics, "dsr": 0.0}
    assert (one.trials, many.trials) == (1, 500)


def every_figure(result: TrainingResult) -> None:
    for fold in (*result.folds, result.total):
        assert np.isfinite([fold.log_loss, fold.brier, fold.net_pips]).all()
        assert 0.3 < fold.hit_rate < 0.7
        assert fold.break_even_hit_rate > 0.5
        assert 0.0 <= fold.dsr <= 1.0
        assert 0.0 <= fold.pbo <= 1.0
        assert 0.0 <= fold.track_record < np.inf
        assert 0.8 < fold.coverage < 1.0
        assert fold.out_of_domain < 0.05


def test_gbpusd_minutes_show_every_figure_of_every_fold(real_data: Path) -> None:
    instrument = DEFAULT_INSTRUMENTS.by_symbol("GBPUSD")
    columns = gbpusd(real_data)
    config = TrainingConfig()
    dataset = build_dataset(
        columns, "GBPUSD", spec_for(columns, config), instrument.pip, config, CostModel()
    )
    policy = DecisionConfig()
    result = train(dataset, config, live_decide, CostModel(), policy, instrument.pip, trials=3)
    every_figure(result)
    table = fold_table(result.folds, result.total)
    assert table.count("\n") == 1 + len(result.folds) + 1
    head = table.splitlines()[0]
    for title in (
        "log-loss",
        "Brier",
        "hit rate",
        "break-even",
        "net pips",
        "DSR",
        "PBO",
        "MinTRL",
    ):
        assert f" {title} " in head
    for name in ("dsr", "pbo", "track_record", "break_even_hit_rate", "labels_up"):
        assert np.isfinite(result.metrics[name])
    # A month of minutes holds no edge over this cost that would convince anyone.
    assert result.metrics["dsr"] < 0.95


def test_one_minute_of_gbpusd_needs_76_percent_to_break_even(real_data: Path) -> None:
    instrument = DEFAULT_INSTRUMENTS.by_symbol("GBPUSD")
    columns = gbpusd(real_data)
    mid, spread = 0.5 * (columns.bid + columns.ask), columns.ask - columns.bid
    following = columns.ts[1:] - columns.ts[:-1] == MINUTE
    move = np.abs(np.diff(mid))[following].mean() / instrument.pip
    rate = break_even_hit_rate(float(np.median(spread)) / instrument.pip, float(move))
    assert rate == pytest.approx(0.76, abs=0.01)
