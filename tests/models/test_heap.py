"""The heap engine against XGBoost itself, and refusals by name."""

import json

import numpy as np
import pytest
import xgboost

from core.errors import BadInput
from models.inference.heap import calibrate, margins, score_row
from models.trees import _base_margin, compile_trees


def fitted(
    depth: int, trees: int, *, seed: int = 0, n_features: int = 9, **more: object
) -> xgboost.Booster:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(1_500, n_features)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    up = np.nan_to_num(rows[:, 0]) * np.nan_to_num(rows[:, 1]) + rng.normal(size=1_500) > 0.4
    params = {
        "objective": "binary:logistic",
        "max_depth": depth,
        "nthread": 1,
        "tree_method": "hist",
        "min_child_weight": 0.1,
        **more,
    }
    return xgboost.train(params, xgboost.DMatrix(rows, up.astype(np.float32)), trees)


def document(booster: xgboost.Booster) -> bytes:
    return bytes(booster.save_raw("json"))


def hard_rows(seed: int, n_features: int, thresholds: np.ndarray) -> np.ndarray:
    """Rows with gaps, infinities and values that equal a threshold exactly."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(1_000, n_features)).astype(np.float32)
    if thresholds.size:
        ties = rng.random(rows.shape) < 0.3
        rows[ties] = rng.choice(thresholds, int(ties.sum()))
    for value in (np.nan, np.inf, -np.inf, 0.0, -0.0):
        rows[rng.random(rows.shape) < 0.05] = value
    return rows


@pytest.mark.parametrize("depth", [1, 2, 4, 6, 8])
@pytest.mark.parametrize("trees", [1, 3, 4, 9, 40])
def test_margins_equal_xgboost_to_the_bit(depth: int, trees: int) -> None:
    booster = fitted(depth, trees, seed=depth * 100 + trees)
    heap = compile_trees(document(booster))
    rows = hard_rows(trees, heap.n_features, heap.thresholds)
    theirs = booster.inplace_predict(rows, predict_type="margin")
    assert heap.n_trees == trees
    assert np.array_equal(margins(heap, rows).view(np.int32), theirs.view(np.int32))
    finite = rows[~np.isinf(rows).any(axis=1)]
    also = booster.predict(xgboost.DMatrix(finite), output_margin=True)
    assert np.array_equal(margins(heap, finite), also)


def test_hard_rows_meet_every_threshold_tie() -> None:
    heap = compile_trees(document(fitted(6, 40)))
    rows = hard_rows(1, heap.n_features, heap.thresholds)
    assert np.isin(rows, heap.thresholds).mean() > 0.2
    assert set(heap.codes % 2) == {0, 1}, "both default directions must occur"


def test_uneven_trees_and_leaf_only_trees_are_exact() -> None:
    booster = fitted(7, 12, gamma=3.0, learning_rate=1.0)
    depths = {json.loads(tree).get("depth", None) for tree in booster.get_dump(dump_format="json")}
    assert depths
    heap = compile_trees(document(booster))
    rows = hard_rows(5, heap.n_features, heap.thresholds)
    assert np.array_equal(margins(heap, rows), booster.inplace_predict(rows, predict_type="margin"))
    stumps = compile_trees(document(fitted(3, 5, gamma=1e9)))
    assert stumps.depth == 0
    assert np.isfinite(margins(stumps, rows)).all()


def test_base_margin_is_exact_for_many_base_scores() -> None:
    rng = np.random.default_rng(2)
    row = np.zeros((1, 3), np.float32)
    data = xgboost.DMatrix(np.zeros((2, 3), np.float32), np.array([0.0, 1.0], np.float32))
    for score in rng.uniform(0.001, 0.999, 300):
        params = {"objective": "binary:logistic", "base_score": float(score), "gamma": 1e9}
        booster = xgboost.train(params, data, 0)
        stored = json.loads(document(booster))["learner"]["learner_model_param"]["base_score"]
        assert _base_margin(stored) == booster.inplace_predict(row, predict_type="margin")[0]


def test_probability_agrees_and_one_row_equals_a_batch() -> None:
    booster = fitted(6, 40)
    heap = compile_trees(document(booster))
    rows = hard_rows(3, heap.n_features, heap.thresholds)
    model = (heap.codes, heap.thresholds, heap.leaves, heap.base_margin, heap.depth, 9)
    single = np.array([score_row(row, *model, 1.0, 0.0) for row in rows])
    assert np.max(np.abs(single - booster.inplace_predict(rows))) <= 1e-7
    for slope, offset in ((1.0, 0.0), (0.37, -0.2)):
        single = np.array([score_row(row, *model, slope, offset) for row in rows])
        batch = calibrate(margins(heap, rows).astype(np.float64), slope, offset)
        assert np.array_equal(single, batch)


def test_a_row_of_another_shape_or_type_is_an_error() -> None:
    heap = compile_trees(document(fitted(2, 3)))
    model = (heap.codes, heap.thresholds, heap.leaves, heap.base_margin, heap.depth, 9)
    with pytest.raises(ValueError, match="number of features"):
        score_row(np.zeros(8, np.float32), *model, 1.0, 0.0)
    with pytest.raises(ValueError, match="number of features"):
        margins(heap, np.zeros((2, 10), np.float32))
    with pytest.raises(TypeError):
        score_row(np.zeros(9), *model, 1.0, 0.0)
    with pytest.raises(TypeError):
        score_row(np.zeros(18, np.float32)[::2], *model, 1.0, 0.0)


def test_deep_trees_are_refused() -> None:
    with pytest.raises(BadInput, match="depth 10"):
        compile_trees(document(fitted(10, 2, learning_rate=1.0, reg_lambda=0.0)))


def test_dart_is_refused() -> None:
    with pytest.raises(BadInput, match="'dart'"):
        compile_trees(document(fitted(2, 2, booster="dart")))


def test_another_objective_is_refused() -> None:
    with pytest.raises(BadInput, match="reg:absoluteerror"):
        compile_trees(document(fitted(2, 2, objective="reg:absoluteerror")))


def test_trees_that_learn_a_value_start_at_their_base_as_it_is() -> None:
    booster = fitted(4, 30, objective="reg:squarederror", base_score=0.25)
    rows = np.random.default_rng(5).normal(size=(500, booster.num_features())).astype(np.float32)
    theirs = booster.inplace_predict(rows, predict_type="margin")
    assert np.array_equal(margins(compile_trees(document(booster)), rows), theirs)


def test_several_classes_are_refused() -> None:
    booster = fitted(2, 2, objective="multi:softprob", num_class=3)
    with pytest.raises(BadInput, match="multi:softprob"):
        compile_trees(document(booster))


def test_a_categorical_split_is_refused() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 4, (400, 1)).astype(np.float32)
    data = xgboost.DMatrix(kind, kind[:, 0] % 2, feature_types=["c"], enable_categorical=True)
    booster = xgboost.train({"objective": "binary:logistic", "tree_method": "hist"}, data, 2)
    with pytest.raises(BadInput, match="categorical"):
        compile_trees(document(booster))


@pytest.mark.parametrize("junk", [b"", b"{}", b"[1]", b"\xff\xfe", b'{"learner": {}}'])
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(BadInput, match="no XGBoost model document"):
        compile_trees(junk)
