"""The engine that walks nodes against XGBoost: any depth, categories, and walks that must end."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xgboost

from core.errors import ArtifactRefused, BadInput
from models.export import write_artifact
from models.inference.artifact import files_of, load_verified
from models.inference.heap import HeapTrees
from models.inference.heap import margins as heap_margins
from models.inference.nodes import NodeTrees, from_arrays, margins
from models.trees import NoHeap, compile_model, compile_nodes, compile_trees
from tests.models.synthetic import CONFIG, make_dataset, train_on
from tests.models.test_artifact import resealed
from tests.models.test_heap import document, fitted, hard_rows


def categorical(one_hot: int = 1, trees: int = 6) -> xgboost.Booster:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3_000, 4)).astype(np.float32)
    rows[:, 1] = rng.integers(0, 70, 3_000)
    rows[:, 3] = rng.integers(0, 5, 3_000)
    rows[rng.random(rows.shape) < 0.05] = np.nan
    up = (np.nan_to_num(rows[:, 1]) % 7 < 3) ^ (np.nan_to_num(rows[:, 0]) > 0)
    kinds = ["q", "c", "q", "c"]
    data = xgboost.DMatrix(rows, up.astype(np.float32), feature_types=kinds)
    params = {
        "objective": "binary:logistic",
        "max_depth": 7,
        "max_cat_to_onehot": one_hot,
        "nthread": 1,
    }
    return xgboost.train(params, data, trees)


def category_rows() -> np.ndarray:
    """Known and unknown categories, fractions of them, and what is no category at all."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(4_000, 4)).astype(np.float32)
    odd = [0, 1, 31, 32, 63, 64, 69, 70, 500, 3.7, -1, -0.5, 2**24, 2**24 + 2, 3e9, np.inf, -np.inf]
    for column in (1, 3):
        rows[:, column] = rng.integers(0, 70, len(rows))
        some = rng.random(len(rows)) < 0.4
        rows[some, column] = rng.choice(np.array(odd, np.float32), int(some.sum()))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows


def equal_to_the_bit(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return bool(np.array_equal(ours.view(np.int32), theirs.view(np.int32)))


@pytest.mark.parametrize("depth", [1, 5, 9, 10, 14])
def test_any_depth_equals_xgboost_to_the_bit(depth: int) -> None:
    booster = fitted(depth, 20, seed=depth)
    nodes = compile_nodes(document(booster))
    rows = hard_rows(depth, nodes.n_features, nodes.values)
    assert equal_to_the_bit(
        margins(nodes, rows), booster.inplace_predict(rows, predict_type="margin")
    )
    first = margins(nodes.first(7), rows)
    assert equal_to_the_bit(first, booster[:7].inplace_predict(rows, predict_type="margin"))


@pytest.mark.parametrize("one_hot", [1, 100])
def test_categories_equal_xgboost_to_the_bit(one_hot: int) -> None:
    booster = categorical(one_hot)
    nodes = compile_nodes(document(booster))
    assert len(nodes.words) > 0
    rows = category_rows()
    theirs = booster.inplace_predict(rows, predict_type="margin")
    assert equal_to_the_bit(margins(nodes, rows), theirs)
    finite = rows[~np.isinf(rows).any(axis=1)]
    data = xgboost.DMatrix(finite, feature_types=["q", "c", "q", "c"])
    assert equal_to_the_bit(margins(nodes, finite), booster.predict(data, output_margin=True))


def test_the_two_engines_are_one_where_both_can() -> None:
    text = document(fitted(6, 30))
    heap, nodes = compile_trees(text), compile_nodes(text)
    rows = hard_rows(2, heap.n_features, heap.thresholds)
    assert equal_to_the_bit(heap_margins(heap, rows), margins(nodes, rows))


def test_what_no_heap_holds_falls_to_the_nodes_with_a_logged_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert isinstance(compile_model(document(fitted(4, 3))), HeapTrees)
        assert not caplog.records
        assert isinstance(compile_model(document(fitted(10, 3))), NodeTrees)
        assert isinstance(compile_model(document(categorical())), NodeTrees)
    deep, sets = (record.getMessage() for record in caplog.records)
    assert "depth 10; at most 8 fit" in deep
    assert "has a categorical split" in sets
    with pytest.raises(NoHeap):
        compile_trees(document(fitted(9, 2)))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"booster": "dart"}, "booster 'dart'"),
        ({"objective": "multi:softprob", "num_class": 3}, "objective 'multi:softprob'"),
        ({"objective": "count:poisson"}, "objective 'count:poisson'"),
    ],
)
def test_neither_engine_takes_what_it_cannot_carry(more: dict[str, object], told: str) -> None:
    for depth in (3, 10):
        text = document(fitted(depth, 2, **more))
        for build in (compile_model, compile_nodes, compile_trees):
            with pytest.raises(BadInput, match=told):
                build(text)


def test_several_base_scores_are_refused_by_name() -> None:
    text = document(fitted(3, 2))
    start = text.index(b'"base_score":"[') + len(b'"base_score":"[')
    several = text[:start] + b"1E-1,2E-1" + text[text.index(b"]", start) :]
    for build in (compile_model, compile_nodes):
        with pytest.raises(BadInput, match="base scores 1E-1,2E-1; only one"):
            build(several)


def test_arrays_that_a_walk_could_leave_are_no_model() -> None:
    nodes = compile_nodes(document(categorical()))
    arrays = nodes.arrays()
    again = from_arrays(arrays, nodes.n_features)
    assert again is not None
    rows = category_rows()
    assert equal_to_the_bit(margins(again, rows), margins(nodes, rows))

    def broken(at: int, value: object, where: object = 0) -> None:
        changed = [array.copy() for array in arrays]
        changed[at][where] = value
        assert from_arrays(tuple(changed), nodes.n_features) is None

    inner = int(np.flatnonzero(nodes.left != -1)[-1])
    leaf = int(np.flatnonzero(nodes.left == -1)[0])
    with_set = int(np.flatnonzero(nodes.sets[0] >= 0)[0])
    broken(0, len(nodes.left))
    broken(1, inner, inner)  # a circle
    broken(1, len(nodes.left) - 1, inner)  # its right child is beyond the end
    broken(2, 2 * nodes.n_features, inner)
    broken(2, -1, inner)
    broken(3, np.nan, leaf)
    broken(4, len(nodes.words) + 1, (1, with_set))
    broken(6, np.inf)
    assert from_arrays((arrays[0].astype(np.int64), *arrays[1:]), nodes.n_features) is None
    assert from_arrays((*arrays[:2], arrays[2][:-1], *arrays[3:]), nodes.n_features) is None


def test_a_deep_model_is_trained_written_loaded_and_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = make_dataset(0, n=2_500)
    with caplog.at_level(logging.WARNING):
        result = train_on(dataset, replace(CONFIG, depth=11, min_child_weight=0.1, trees=12))
    assert "at most 8 fit" in caplog.text
    manifest, sha256 = write_artifact(tmp_path / "a", result, dataset, code_revision="abc")
    assert manifest.engine == "nodes"
    assert set(manifest.files) == files_of("nodes")
    model = load_verified(tmp_path / "a", sha256)
    rows = dataset.holdout().rows
    own = result.model.learned.own_margins(rows)
    assert equal_to_the_bit(model.engine.margins(rows), own)
    assert np.array_equal(model.predict(rows), result.model.predict(rows))
    assert [model.predict_row(row) for row in rows[:40]] == model.predict(rows[:40]).tolist()
    model.warm()
    for bad in (rows[0][:-1].copy(), rows[0].astype(np.float64), rows[:, 0]):
        with pytest.raises((ValueError, TypeError)):
            model.predict_row(bad)

    left = np.load(tmp_path / "a" / "node_left.npy")
    left[0] = 0
    np.save(tmp_path / "a" / "node_left.npy", left)
    with pytest.raises(ArtifactRefused, match="arrays are no nodes of 32 features"):
        load_verified(tmp_path / "a", resealed(tmp_path / "a"))
    with pytest.raises(ArtifactRefused, match="engine 'c' is unknown here"):
        load_verified(tmp_path / "a", resealed(tmp_path / "a", engine="c"))
