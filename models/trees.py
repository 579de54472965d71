"""Compile XGBoost's own model document for an engine of ours, without XGBoost.

The document is the JSON of ``Booster.save_raw("json")`` (schema of XGBoost 3.x). What the engine
cannot carry exactly is refused by name.
"""

import json
import logging
import math
from typing import Any

import numpy as np
from numba import float32, njit

from core.errors import BadInput
from models.inference.heap import MAX_DEPTH, MAX_FEATURES, HeapTrees
from models.inference.nodes import LEAF, NodeTrees

_LEAF = LEAF

log = logging.getLogger(__name__)


def compile_model(document: bytes) -> HeapTrees | NodeTrees:
    """Compile for the heap engine, or with a logged reason for the one that walks nodes.

    Raises
    ------
    BadInput
        As `compile_trees`, but for depth, categorical splits and the number of features.
    """
    try:
        return compile_trees(document)
    except NoHeap as reason:
        log.warning("the heap engine is left out, nodes are walked instead: %s", reason)
        return compile_nodes(document)


class NoHeap(BadInput):
    """The trees are sound and do not fit into heaps."""


def compile_trees(document: bytes) -> HeapTrees:
    """Compile a ``gbtree`` model of one output into heaps: log-odds of a class, or a value.

    Parameters
    ----------
    document : bytes
        UTF-8 JSON as written by ``Booster.save_raw("json")``.

    Raises
    ------
    BadInput
        For a document that is no such model, another booster (DART, linear) or objective, several
        classes, targets or base scores, or vector leaves.
    NoHeap
        For categorical splits, trees deeper than 8 or too many features.
    """
    learner = _learner(document)
    trees = _trees(learner)
    n_features = int(learner["learner_model_param"]["num_feature"])
    if n_features > MAX_FEATURES:
        raise NoHeap(f"the model has {n_features} features; at most {MAX_FEATURES} fit")
    depths = [_depth(tree) for tree in trees]
    depth = max(depths, default=0)
    if depth > MAX_DEPTH:
        raise NoHeap(f"tree {depths.index(depth)} has depth {depth}; at most {MAX_DEPTH} fit")
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


def _trees(learner: dict[str, Any]) -> list[dict[str, Any]]:
    trees: list[dict[str, Any]] = learner["gradient_booster"]["model"]["trees"]
    for tree in trees:
        if int(tree["tree_param"]["size_leaf_vector"]) > 1:
            raise BadInput(f"tree {tree['id']} has vector leaves, which cannot be compiled")
    return trees


def _depth(tree: dict[str, Any]) -> int:
    """Levels of inner nodes of one tree; refuse categorical splits."""
    if any(tree["split_type"]) or tree["categories"]:
        raise NoHeap(f"tree {tree['id']} has a categorical split, which no heap holds")
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


def compile_nodes(document: bytes) -> NodeTrees:
    """Compile a ``gbtree`` model of one output, of any depth, categorical splits included.

    Raises
    ------
    BadInput
        For a document that is no such model, as `compile_trees`.
    """
    learner = _learner(document)
    trees = _trees(learner)
    roots: list[int] = []
    left: list[int] = []
    codes: list[int] = []
    values: list[float] = []
    first: list[int] = []
    words: list[np.ndarray] = []
    counts: list[int] = []
    for tree in trees:
        roots.append(len(left))
        order = _breadth_first(tree)
        place = {node: roots[-1] + at for at, node in enumerate(order)}
        sets = _category_sets(tree)
        for node in order:
            below = tree["left_children"][node]
            inner = below != _LEAF
            left.append(place[below] if inner else LEAF)
            code = 2 * tree["split_indices"][node] + (not tree["default_left"][node])
            codes.append(code if inner else 0)
            values.append(tree["split_conditions"][node])
            chosen = sets.get(node) if inner else None
            first.append(LEAF if chosen is None else sum(map(len, words)))
            counts.append(0 if chosen is None else len(chosen))
            if chosen is not None:
                words.append(chosen)
    params = learner["learner_model_param"]
    return NodeTrees(
        roots=np.array(roots, np.int32),
        left=np.array(left, np.int32),
        codes=np.array(codes, np.int32),
        values=np.array(values, np.float32),
        sets=np.array([first, counts], np.int32),
        words=np.concatenate(words) if words else np.zeros(0, np.uint32),
        base_margin=_BASES[learner["objective"]["name"]](params["base_score"]),
        n_features=int(params["num_feature"]),
    )


def _breadth_first(tree: dict[str, Any]) -> list[int]:
    """Nodes of a tree, siblings side by side, children after their parents."""
    order, at = [0], 0
    while at < len(order):
        node = order[at]
        at += 1
        if tree["left_children"][node] != _LEAF:
            order += [tree["left_children"][node], tree["right_children"][node]]
    return order


def _category_sets(tree: dict[str, Any]) -> dict[int, np.ndarray]:
    """Bit sets of the categories that go right, by node."""
    found = {}
    segments = zip(
        tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"], strict=True
    )
    for node, start, size in segments:
        members = np.array(tree["categories"][start : start + size], np.int64)
        words = np.zeros(int(members.max(initial=0)) // 32 + 1, np.uint32)
        np.bitwise_or.at(words, members >> 5, np.uint32(1) << (members & 31).astype(np.uint32))
        found[node] = words
    return found


@njit(float32(float32), cache=True)
def _logf(x):  # type: ignore[no-untyped-def]
    return math.log(x)


def _base_margin(base_score: str | float) -> np.float32:
    """Log-odds of base_score as ``-logf(1 / base_score - 1)`` in C float arithmetic.

    XGBoost writes a vector of one since 3.1 ("[3.9E-1]"). numpy's float32 log is 1 ulp off the C
    library's on some values, and the margin would be too.
    """
    score = _only_score(base_score)
    one = np.float32(1.0)
    return np.float32(-np.float32(_logf(one / score - one)))


def _base_value(base_score: str | float) -> np.float32:
    """Give base_score of a value as it is."""
    return _only_score(base_score)


def _only_score(base_score: str | float) -> np.float32:
    text = str(base_score).strip("[]")
    if "," in text:
        raise BadInput(f"the model has the base scores {text}; only one can be compiled")
    return np.float32(text)


_BASES = {"binary:logistic": _base_margin, "reg:squarederror": _base_value}
