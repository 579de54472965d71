"""A planted edge is found, noise is not, and nothing depends on the holdout."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from core.errors import BadInput
from models.boosted import BoostedParams, fit
from models.evaluation import lower_bound, trades_of
from models.export import compare_engines
from models.fitting import fit_calibrated
from models.training import train
from models.validation import walk_forward
from tests.models.synthetic import (
    CONFIG,
    COSTS,
    DECISION,
    PIP,
    Made,
    decide,
    make_dataset,
    train_on,
)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_planted_edge_is_found_after_cost(seed: int) -> None:
    result = train_on(make_dataset(seed))
    total = result.total
    assert total.log_loss < 0.97 * total.base_log_loss
    assert total.brier < total.base_brier
    assert total.hit_rate > total.break_even_hit_rate
    assert total.trades > 50
    assert result.metrics["net_pips_per_trade_lower"] > 0.0
    assert total.no_skill_trades == 0
    assert len(result.folds) == CONFIG.folds


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shuffled_labels_show_no_edge(seed: int) -> None:
    dataset = make_dataset(seed)
    order = np.random.default_rng(seed).permutation(len(dataset))
    columns = {name: getattr(dataset, name)[order] for name in ("up", "move_pips")}
    nets = {name: getattr(dataset, name)[order] for name in ("net_long", "net_short")}
    total = train_on(replace(dataset, **columns, **nets))
    assert total.total.log_loss > 0.995 * total.total.base_log_loss
    assert total.metrics["net_pips_per_trade_lower"] <= 0.0


def test_training_does_not_depend_on_the_holdout() -> None:
    dataset = make_dataset(3)
    after = dataset.end_ns >= dataset.holdout_start_ns
    rows, up = dataset.rows.copy(), dataset.up.copy()
    rows[after], up[after] = 0.0, True
    one, other = train_on(dataset), train_on(replace(dataset, rows=rows, up=up))
    assert one.model.learned.ubjson() == other.model.learned.ubjson()
    assert one.folds == other.folds
    assert one.train_end_ns < dataset.holdout_start_ns


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    dataset = make_dataset(4, n=1_500)
    first, again = train_on(dataset), train_on(dataset)
    other = train_on(dataset, replace(CONFIG, seed=CONFIG.seed + 1))
    assert first.model.learned.ubjson() == again.model.learned.ubjson()
    assert first.metrics == again.metrics
    assert first.model.calibration == again.model.calibration
    assert other.model.learned.ubjson() != first.model.learned.ubjson()


def test_fold_figures_equal_the_plain_formulas(made: Made) -> None:
    part = made.dataset.training()
    splits = list(walk_forward(part.ts, part.end_ns, CONFIG.folds, CONFIG.embargo_samples))
    train_rows, test_rows = splits[1]
    fold = made.result.folds[1]
    fitted = fit_calibrated(part.select(train_rows), made.result.learner, CONFIG.embargo_samples)
    test = part.select(test_rows)
    p = fitted.predict(test.rows)
    assert fold.n == len(test)
    assert fold.log_loss == pytest.approx(
        -np.mean([np.log(q if up else 1 - q) for q, up in zip(p, test.up, strict=True)])
    )
    assert fold.brier == pytest.approx(np.mean((p - test.up) ** 2))
    rate = part.up[train_rows].mean()
    assert fold.base_brier == pytest.approx(np.mean((rate - test.up) ** 2))
    assert fitted.expected_move_pips == pytest.approx(np.abs(part.move_pips[train_rows]).mean())
    assert fold.break_even_hit_rate == pytest.approx(
        0.5 * (1 + (0.5 + 0.2) / np.abs(test.move_pips).mean())
    )


def test_trades_do_not_overlap_and_pay_their_side(made: Made) -> None:
    dataset, trades = made.result.out_of_sample.dataset, made.result.trades
    assert (dataset.ts[trades.rows[1:]] >= dataset.end_ns[trades.rows[:-1]]).all()
    for row, side, net in zip(trades.rows, trades.sides, trades.net_pips, strict=True):
        assert net == (dataset.net_long[row] if side > 0 else dataset.net_short[row])
    assert made.result.total.net_pips == pytest.approx(trades.net_pips.sum())
    assert set(trades.sides) == {1, -1}
    nothing = trades_of(dataset, np.zeros(len(dataset), np.int8))
    assert len(nothing.rows) == len(nothing.net_pips) == 0


def test_folds_together_are_the_later_part_of_training(made: Made) -> None:
    total, folds = made.result.total, made.result.folds
    assert total.n == sum(fold.n for fold in folds)
    assert total.log_loss == pytest.approx(sum(fold.log_loss * fold.n for fold in folds) / total.n)
    for before, after in pairwise(folds):
        assert before.start_ns < after.start_ns
        assert after.train_rows > before.train_rows


def test_progress_counts_folds_and_the_final_model() -> None:
    told: list[tuple[int, int, str]] = []
    dataset = make_dataset(5, n=1_500)
    train(
        dataset,
        CONFIG,
        decide,
        COSTS,
        DECISION,
        PIP,
        on_progress=lambda *step: told.append(step),
        nthread=1,
    )
    assert [done for done, _, _ in told] == [1, 2, 3, 4]
    assert {of for _, of, _ in told} == {4}
    assert told[-1][2] == "final model"


def test_another_pip_is_refused() -> None:
    with pytest.raises(BadInput, match=r"pip of 0\.0001, not 0\.01"):
        train(make_dataset(0, n=1_500), CONFIG, decide, COSTS, DECISION, 0.01)


def test_one_class_to_fit_is_refused() -> None:
    with pytest.raises(BadInput, match="all 10 rows to fit are up"):
        fit(np.zeros((10, 2), np.float32), np.ones(10, bool), BoostedParams(trees=1))


def test_lower_bound_brackets_the_mean_and_covers() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        sample = rng.normal(0.3, 2.0, 150)
        bound = lower_bound(sample, seed)
        assert bound < sample.mean()
        hits += bound <= 0.3
    assert 0.88 <= hits / 200 <= 0.99
    assert lower_bound(np.array([]), 0) == 0.0
    assert lower_bound(np.array([1.5]), 0) == 1.5


def test_engines_are_compared(made: Made) -> None:
    rows = made.dataset.rows[:500]
    assert compare_engines(made.result.model.learned, rows, 0, 1e-7) <= 1e-7
