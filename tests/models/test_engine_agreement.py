"""Our engines and XGBoost on many rows: every depth, every size, stopped early or not."""

from collections.abc import Callable

import numpy as np
import pytest
import xgboost

from models.inference.engines import engine_of
from models.inference.heap import HeapTrees, calibrate, margins
from models.trees import compile_model, compile_trees
from tests.models.test_heap import document, hard_rows

FEATURES = 9
DEPTHS = list(range(2, 11))


def grown(depth: int, trees: int, *, stop: int = 0) -> xgboost.Booster:
    """Trees that really reach their depth, on rows with gaps."""
    rng = np.random.default_rng(depth * 10_007 + trees)
    rows = rng.normal(size=(6_000, FEATURES)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    up = np.nan_to_num(rows[:, 0]) * np.nan_to_num(rows[:, 1]) + rng.normal(size=6_000) > 0.4
    params = {
        "objective": "binary:logistic",
        "max_depth": depth,
        "nthread": 1,
        "min_child_weight": 0.1,
        "learning_rate": 0.03 if trees > 100 else 0.3,
        "eval_metric": "logloss",
    }
    train = xgboost.DMatrix(rows[:4_500], up[:4_500].astype(np.float32))
    later = xgboost.DMatrix(rows[4_500:], up[4_500:].astype(np.float32))
    more = {"early_stopping_rounds": stop} if stop else {}
    return xgboost.train(params, train, trees, evals=[(later, "later")], verbose_eval=False, **more)


def compared(booster: xgboost.Booster, n_rows: int) -> int:
    """Assert bit-equal margins and p within 1e-7 on hard rows; returns how many were compared."""
    trees = compile_model(document(booster))
    thresholds = trees.thresholds if isinstance(trees, HeapTrees) else trees.values
    blocks = -(-n_rows // 1_000)
    rows = np.concatenate([hard_rows(k, FEATURES, thresholds) for k in range(blocks)])
    ours = engine_of(trees).margins(rows)
    theirs = booster.inplace_predict(rows, predict_type="margin")
    assert np.array_equal(ours.view(np.int32), theirs.view(np.int32))
    p = calibrate(ours.astype(np.float64), 1.0, 0.0)
    assert np.max(np.abs(p - booster.inplace_predict(rows))) <= 1e-7
    assert np.isin(rows, thresholds).mean() > 0.1
    assert np.isnan(rows).any()
    assert np.isinf(rows).any()
    return len(rows)


@pytest.mark.parametrize("depth", DEPTHS)
def test_each_depth_agrees_with_the_engine_that_holds_it(depth: int) -> None:
    booster = grown(depth, 12)
    assert compared(booster, 4_000) == 4_000
    assert isinstance(compile_model(document(booster)), HeapTrees) == (depth <= 8)


@pytest.mark.servers
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("depth", "trees"),
    [(2, 1_000), (3, 1), (5, 37), (6, 300), (8, 1_000), (9, 2), (10, 100)],
)
def test_a_hundred_thousand_hard_rows_agree(depth: int, trees: int) -> None:
    booster = grown(depth, trees)
    assert booster.num_boosted_rounds() == trees
    assert compared(booster, 100_000) == 100_000


@pytest.mark.proof
@pytest.mark.parametrize("depth", DEPTHS)
def test_every_depth_and_size_agrees_on_a_hundred_thousand_hard_rows(
    depth: int, record_property: Callable[[str, object], None]
) -> None:
    models = rows = 0
    for trees in (1, 2, 3, 4, 5, 37, 100, 300, 1_000):
        rows += compared(grown(depth, trees), 100_000)
        models += 1
    stopped = grown(depth, 1_000, stop=8)
    kept = stopped.best_iteration + 1
    assert kept < stopped.num_boosted_rounds() < 1_000
    rows += compared(stopped, 100_000) + compared(stopped[:kept], 100_000)
    record_property("models", models + 2)
    record_property("rows_equal_to_the_bit", rows)


@pytest.mark.parametrize("depth", [3, 6])
def test_models_that_stopped_early_agree_whole_and_cut(depth: int) -> None:
    booster = grown(depth, 500, stop=8)
    kept = booster.best_iteration + 1
    assert 1 <= kept < booster.num_boosted_rounds() < 500
    compared(booster, 2_000)
    cut = booster[:kept]
    assert compile_trees(document(cut)).n_trees == kept
    compared(cut, 2_000)
    # The first trees of the whole model are the cut one.
    heap = compile_trees(document(booster)).first(kept)
    rows = hard_rows(3, FEATURES, heap.thresholds)
    assert np.array_equal(margins(heap, rows), cut.inplace_predict(rows, predict_type="margin"))
