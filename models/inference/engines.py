"""What a loaded model predicts with: one of our engines over mapped arrays."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.columns import F8
from models.calibration import Calibration
from models.inference import heap, nodes
from models.inference.heap import HEAP_FILES, MAX_DEPTH, HeapTrees
from models.inference.network import OnnxNetwork
from models.inference.nodes import NODE_FILES, NodeTrees

F4 = NDArray[np.float32]

Scorer = tuple[Callable[..., float], tuple[Any, ...]]
"""A function and what it is called with after the row."""

HEAP, NODES, ONNX = "heap", "nodes", "onnx"
HEAP_DTYPES = ["int16", "float32", "float32", "float32"]
ENGINE_FILES: dict[str, tuple[str, ...]] = {HEAP: HEAP_FILES, NODES: NODE_FILES, ONNX: ()}
"""Files of each engine in the artifact, all arrays."""
UBJSON_FILE, ONNX_FILE = "model.ubj", "model.onnx"
MODEL_FILES = {HEAP: UBJSON_FILE, NODES: UBJSON_FILE, ONNX: ONNX_FILE}
"""The library's own file; for networks it is also what the engine runs."""
FAMILIES = {
    HEAP: frozenset({"boosted-trees"}),
    NODES: frozenset({"boosted-trees"}),
    ONNX: frozenset({"tcn", "gru", "mlp"}),
}
"""Families that an engine serves."""
TOLERANCES = {HEAP: 1e-7, NODES: 1e-7, ONNX: 1e-5}
"""Largest difference in p between an engine and its library."""


class Engine(Protocol):
    """Predicts from feature rows float32[k, n_features], or windows of them."""

    def scorer(self, calibration: Calibration) -> Scorer:
        """Give what scores one row, with no step between that could be spared."""
        ...

    def margins(self, rows: F4) -> F4:
        """Raw log-odds of rows float32[k, n_features], C-contiguous."""
        ...


class HeapEngine:
    """Complete heaps: the one for the live path."""

    def __init__(self, trees: HeapTrees) -> None:
        self.trees = trees

    def scorer(self, calibration: Calibration) -> Scorer:
        """Score in one compiled call, calibration included."""
        trees = self.trees
        model = (
            *(trees.codes, trees.thresholds, trees.leaves, trees.base_margin),
            *(trees.depth, trees.n_features),
        )
        if calibration.kind == "isotonic":
            return heap.score_row_by_knots, (*model, *calibration.knots())
        return heap.score_row, (*model, calibration.slope, calibration.offset)

    def margins(self, rows: F4) -> F4:
        """Raw log-odds of rows."""
        return heap.margins(self.trees, rows)


class NodeEngine:
    """Trees walked node by node: for what no heap holds."""

    def __init__(self, trees: NodeTrees) -> None:
        self.trees = trees

    def scorer(self, calibration: Calibration) -> Scorer:
        """Walk in compiled code, then calibrate."""

        def score(row: F4) -> float:
            return float(calibration.apply(nodes.margins(self.trees, row[None]))[0])

        return score, ()

    def margins(self, rows: F4) -> F4:
        """Raw log-odds of rows."""
        return nodes.margins(self.trees, rows)


class NetworkEngine:
    """A network in ONNX Runtime."""

    def __init__(self, network: OnnxNetwork) -> None:
        self.network = network

    def scorer(self, calibration: Calibration) -> Scorer:
        """Run the graph on one window, then calibrate."""
        margin_of = self.network.margin
        if calibration.kind == "isotonic":
            knots = calibration.knots()
            return lambda window: heap.interpolate_one(margin_of(window), *knots), ()
        slope, offset = calibration.slope, calibration.offset
        return lambda window: heap.calibrate_one(margin_of(window), slope, offset), ()

    def margins(self, rows: F4) -> F4:
        """Raw log-odds of windows float32[k, window, n_features], or of rows for a window of 1."""
        return self.network.margins(rows if rows.ndim == 3 else rows[:, None, :])


def engine_of(trees: HeapTrees | NodeTrees) -> HeapEngine | NodeEngine:
    """Return the engine for compiled trees."""
    return HeapEngine(trees) if isinstance(trees, HeapTrees) else NodeEngine(trees)


def heap_engine(arrays: tuple[np.ndarray, ...], n_features: int) -> HeapEngine | None:
    """Engine of arrays in the order of `HEAP_FILES`; None when they are no heap."""
    codes, thresholds, leaves, base = arrays
    n_trees = len(leaves) - len(codes)
    depth = (len(leaves) // max(n_trees, 1)).bit_length() - 1
    sound = (
        [str(array.dtype) for array in arrays] == HEAP_DTYPES
        and codes.shape == thresholds.shape == (n_trees * (2**depth - 1),)
        and leaves.shape == (n_trees * 2**depth,)
        and base.shape == (1,)
        and 0 <= depth <= MAX_DEPTH
        and n_trees > 0
        # The engine trusts these: a feature beyond the row would read foreign memory.
        and (codes.size == 0 or (codes.min() >= 0 and codes.max() < 2 * n_features))
        and np.isfinite(leaves).all()
        and np.isfinite(base).all()
    )
    if not sound:
        return None
    return HeapEngine(HeapTrees(codes, thresholds, leaves, base[0], depth, n_features))


def node_engine(arrays: tuple[np.ndarray, ...], n_features: int) -> NodeEngine | None:
    """Engine of arrays in the order of `NODE_FILES`; None when a walk could leave them."""
    trees = nodes.from_arrays(arrays, n_features)
    return None if trees is None else NodeEngine(trees)


ENGINES: dict[str, Callable[[tuple[np.ndarray, ...], int], Engine | None]] = {
    HEAP: heap_engine,
    NODES: node_engine,
}


def probabilities(engine: Engine, rows: F4, calibration: Calibration) -> F8:
    """Calibrated p of rows."""
    return calibration.apply(engine.margins(np.ascontiguousarray(rows, np.float32)))
