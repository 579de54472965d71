"""Compile XGBoost's own model document into heaps, without XGBoost.

The document is the JSON of ``Booster.save_raw("json")`` (schema of XGBoost 3.x). What the engine
cannot carry exactly is refused by name.
"""

import json
import math
from typing import Any

import numpy as np
from numba import float32, njit

from core.errors import BadInput
from models.inference.heap import MAX_DEPTH, MAX_FEATURES, HeapTrees

_LEAF = -1


def compile_trees(document: bytes) -> HeapTrees:
    """Compile a ``gbtree`` model of one output: log-odds of a class, or a value.

    Parameters
    ----------
    document : bytes
        UTF-8 JSON as written by ``Booster.save_raw("json")``.

    Raises
    ------
    BadInput
        For a document that is no such model, another booster (DART, linear) or objective, several
        classes or targets, categorical splits, trees deeper than 8 or too many features.
    """
    learner = _learner(document)
    trees: list[dict[str, Any]] = learner["gradient_booster"]["model"]["trees"]
    n_features = int(learner["learner_model_param"]["num_feature"])
    if n_features > MAX_FEATURES:
        raise BadInput(f"the model has {n_features} features; at most {MAX_FEATURES} fit")
    depths = [_depth(tree) for tree in trees]
    depth = max(depths, default=0)
    if depth > MAX_DEPTH:
        raise BadInput(f"tree {depths.index(depth)} has depth {depth}; at most {MAX_DEPTH} fit")
    codes = np.zeros((len(trees), 2**depth - 1), np.int16)
    thresholds = np.zeros((len(trees), 2**depth - 1), np.float32)
    leaves = np.zeros((len(trees), 2**depth), np.float32)
    for index, tree in enumerate(trees):
        _fill(tree, depth, codes[index], thresholds[index], leaves[index])
    base = _BASES[learner["objective"]["name"]](learner["learner_model_param"]["base_score"])
    return HeapTrees(codes.ravel(), thresholds.ravel(), leaves.ravel(), base, depth, n_features)


def _learner(document: bytes) -> dict[str, Any]:
    try:
        learner: dict[str, Any] = json.loads(document)["learner"]
        booster = learner["gradient_booster"]["name"]
        objective = learner["objective"]["name"]
        params = learner["learner_model_param"]
        outputs = max(int(params["num_class"]), int(params["num_target"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"this is no XGBoost model document: {error!r}") from error
    if booster != "gbtree":
        raise BadInput(f"booster {booster!r} cannot be compiled; only 'gbtree' can")
    if objective not in _BASES:
        known = " and ".join(repr(name) for name in _BASES)
        raise BadInput(f"objective {objective!r} cannot be compiled; only {known} can")
    if outputs > 1:
        raise BadInput(f"the model has {outputs} classes or targets; only one can be compiled")
    return learner


def _depth(tree: dict[str, Any]) -> int:
    """Levels of inner nodes of one tree; refuse categorical splits and vector leaves."""
    if any(tree["split_type"]) or tree["categories"]:
        raise BadInput(f"tree {tree['id']} has a categorical split, which cannot be compiled")
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise BadInput(f"tree {tree['id']} has vector leaves, which cannot be compiled")
    deepest, open_nodes = 0, [(0, 0)]
    while open_nodes:
        node, level = open_nodes.pop()
        if tree["left_children"][node] == _LEAF:
            deepest = max(deepest, level)
        else:
            open_nodes.append((tree["left_children"][node], level + 1))
            open_nodes.append((tree["right_children"][node], level + 1))
    return deepest


def _fill(
    tree: dict[str, Any],
    depth: int,
    codes: np.ndarray,
    thresholds: np.ndarray,
    leaves: np.ndarray,
) -> None:
    """Write one tree into its slices; a leaf above the last level is repeated below it."""
    level_nodes = [0]
    for level in range(depth):
        first = 2**level - 1
        below: list[int] = []
        for place, node in enumerate(level_nodes, first):
            left = tree["left_children"][node]
            if left == _LEAF:
                below += [node, node]
                continue
            below += [left, tree["right_children"][node]]
            codes[place] = 2 * tree["split_indices"][node] + (not tree["default_left"][node])
            thresholds[place] = tree["split_conditions"][node]
        level_nodes = below
    leaves[:] = [tree["split_conditions"][node] for node in level_nodes]


@njit(float32(float32), cache=True)
def _logf(x):  # type: ignore[no-untyped-def]
    return math.log(x)


def _base_margin(base_score: str | float) -> np.float32:
    """Log-odds of base_score as ``-logf(1 / base_score - 1)`` in C float arithmetic.

    XGBoost writes a vector of one since 3.1 ("[3.9E-1]"). numpy's float32 log is 1 ulp off the C
    library's on some values, and the margin would be too.
    """
    score = np.float32(str(base_score).strip("[]"))
    one = np.float32(1.0)
    return np.float32(-np.float32(_logf(one / score - one)))


def _base_value(base_score: str | float) -> np.float32:
    """Give base_score of a value as it is."""
    return np.float32(str(base_score).strip("[]"))


_BASES = {"binary:logistic": _base_margin, "reg:squarederror": _base_value}
