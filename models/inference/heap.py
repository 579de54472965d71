"""Boosted trees as complete heaps in flat arrays: the engine that serves predictions.

Every tree is stored as a complete binary tree of the model's depth, node ``i`` having its children
at ``2 i + 1`` and ``2 i + 2``; a leaf above the last level is repeated below, so every row takes
the same number of steps and the path needs no branch. Margins equal XGBoost's to the bit: the same
float32 comparison ``x < threshold``, the same default direction for NaN, and a float32 sum that
starts at the base margin and runs in tree order.
"""

from dataclasses import dataclass, replace

import numpy as np
from numba import float32, float64, int16, int64, njit, types, void
from numpy.typing import NDArray

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]
I2 = NDArray[np.int16]

HEAP_FILES = ("codes.npy", "thresholds.npy", "leaves.npy", "base_margin.npy")
MAX_DEPTH = 8
MAX_FEATURES = 2**14 - 1

_F4_READ_ONLY = types.Array(float32, 1, "C", readonly=True)
_F4_ROWS_READ_ONLY = types.Array(float32, 2, "C", readonly=True)
_MODEL = (int16[::1], float32[::1], float32[::1], float32, int64, int64)


@dataclass(frozen=True, slots=True, eq=False)
class HeapTrees:
    """A compiled model.

    Attributes
    ----------
    codes : int16[trees * (2**depth - 1)]
        ``2 * feature + 1`` where NaN goes right, ``2 * feature`` where it goes left.
    thresholds : float32[trees * (2**depth - 1)]
        A row goes left when its feature is below.
    leaves : float32[trees * 2**depth]
        Leaf values, learning rate included.
    base_margin : float32
        Start of the sum, as log-odds.
    depth, n_features : int
        Levels of inner nodes; length of a row.
    """

    codes: I2
    thresholds: F4
    leaves: F4
    base_margin: np.float32
    depth: int
    n_features: int

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.leaves) >> self.depth

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Arrays in the order of `HEAP_FILES`."""
        base = np.array([self.base_margin], np.float32)
        return self.codes, self.thresholds, self.leaves, base

    def first(self, trees: int) -> "HeapTrees":
        """Give the same model with its first trees only; the arrays are shared."""
        inner = trees * (2**self.depth - 1)
        return replace(
            self,
            codes=self.codes[:inner],
            thresholds=self.thresholds[:inner],
            leaves=self.leaves[: trees << self.depth],
        )


@njit(cache=True, inline="always")
def _child(codes, thresholds, row, offset, i):  # type: ignore[no-untyped-def]
    """Heap place of the child that a row takes from place `i` of the tree at `offset`."""
    code = np.uint64(codes[offset + i])
    x = row[code >> np.uint64(1)]
    nan_right = np.isnan(x) & ((code & np.uint64(1)) == np.uint64(1))
    right = np.uint64((x >= thresholds[offset + i]) | nan_right)
    return np.uint64(2) * i + np.uint64(1) + right


@njit(cache=True)
def _margin(row, codes, thresholds, leaves, base, depth):  # type: ignore[no-untyped-def]
    one, eight = np.uint64(1), np.uint64(8)
    n_leaves = one << np.uint64(depth)
    n = n_leaves - one
    n_trees = np.uint64(leaves.shape[0]) >> np.uint64(depth)
    total = base
    tree = np.uint64(0)
    # Eight trees at a time: their loads do not wait for each other, the sum stays in tree order.
    while tree + eight <= n_trees:
        o0 = tree * n
        o1, o2, o3, o4 = o0 + n, o0 + np.uint64(2) * n, o0 + np.uint64(3) * n, o0 + np.uint64(4) * n
        o5, o6, o7 = o4 + n, o4 + np.uint64(2) * n, o4 + np.uint64(3) * n
        i0 = i1 = i2 = i3 = i4 = i5 = i6 = i7 = np.uint64(0)
        for _ in range(depth):
            i0 = _child(codes, thresholds, row, o0, i0)
            i1 = _child(codes, thresholds, row, o1, i1)
            i2 = _child(codes, thresholds, row, o2, i2)
            i3 = _child(codes, thresholds, row, o3, i3)
            i4 = _child(codes, thresholds, row, o4, i4)
            i5 = _child(codes, thresholds, row, o5, i5)
            i6 = _child(codes, thresholds, row, o6, i6)
            i7 = _child(codes, thresholds, row, o7, i7)
        leaf = tree * n_leaves - n
        for i in (i0, i1, i2, i3, i4, i5, i6, i7):
            total += leaves[leaf + i]
            leaf += n_leaves
        tree += eight
    while tree < n_trees:
        i0 = np.uint64(0)
        for _ in range(depth):
            i0 = _child(codes, thresholds, row, tree * n, i0)
        total += leaves[tree * n_leaves + i0 - n]
        tree += one
    return total


@njit(float64(float64, float64, float64), cache=True)
def _calibrated(margin, slope, offset):  # type: ignore[no-untyped-def]
    z = slope * margin + offset
    if z >= 0.0:  # either way exp cannot overflow
        return 1.0 / (1.0 + np.exp(-z))
    e = np.exp(z)
    return e / (1.0 + e)


@njit(float64[::1](float64[::1], float64, float64), cache=True)
def _calibrated_all(margins, slope, offset):  # type: ignore[no-untyped-def]
    out = np.empty(margins.shape[0], np.float64)
    for k in range(margins.shape[0]):
        out[k] = _calibrated(margins[k], slope, offset)
    return out


calibrate_one = _calibrated
"""p of one margin: ``calibrate_one(margin, slope, offset)``."""


def calibrate(margins: F8, slope: float, offset: float) -> F8:
    """``1 / (1 + exp(-(slope * margin + offset)))`` for float64[k], equal to `score_row`'s p.

    It lives beside `score_row` and not in `models.calibration` because numba's cache of a caller
    does not notice a changed callee in another file.
    """
    out: F8 = _calibrated_all(margins, slope, offset)
    return out


@njit(float64(float64, float64[::1], float64[::1]), cache=True)
def _interpolated(margin, x, y):  # type: ignore[no-untyped-def]
    last = x.shape[0] - 1
    if not margin > x[0]:
        return y[0]
    if margin >= x[last]:
        return y[last]
    below, above = 0, last
    while above - below > 1:
        middle = (below + above) >> 1
        if x[middle] <= margin:
            below = middle
        else:
            above = middle
    share = (margin - x[below]) / (x[above] - x[below])
    return y[below] + share * (y[above] - y[below])


@njit(float64[::1](float64[::1], float64[::1], float64[::1]), cache=True)
def _interpolated_all(margins, x, y):  # type: ignore[no-untyped-def]
    out = np.empty(margins.shape[0], np.float64)
    for k in range(margins.shape[0]):
        out[k] = _interpolated(margins[k], x, y)
    return out


interpolate_one = _interpolated
"""p of one margin: ``interpolate_one(margin, x, y)``."""


def interpolate(margins: F8, x: F8, y: F8) -> F8:
    """Probabilities of margins float64[k] on the line through knots, flat beyond the outer ones.

    Parameters
    ----------
    x, y : float64[knots]
        At least one knot; `x` strictly ascending.
    """
    out: F8 = _interpolated_all(margins, x, y)
    return out


# Signatures are stated so that an odd row (strided, float64) is an error and never a compilation
# in the middle of a tick.
@njit(
    [
        float64(float32[::1], *_MODEL, float64, float64),
        float64(_F4_READ_ONLY, *_MODEL, float64, float64),
    ],
    cache=True,
)
def score_row(row, codes, thresholds, leaves, base, depth, n_features, slope, offset):  # type: ignore[no-untyped-def]
    """Calibrated p of one row."""
    if row.shape[0] != n_features:
        raise ValueError("the row does not have the model's number of features")
    margin = _margin(row, codes, thresholds, leaves, base, depth)
    return _calibrated(np.float64(margin), slope, offset)


@njit(
    [
        float64(float32[::1], *_MODEL, float64[::1], float64[::1]),
        float64(_F4_READ_ONLY, *_MODEL, float64[::1], float64[::1]),
    ],
    cache=True,
)
def score_row_by_knots(row, codes, thresholds, leaves, base, depth, n_features, x, y):  # type: ignore[no-untyped-def]
    """Calibrated p of one row, calibrated by knots."""
    if row.shape[0] != n_features:
        raise ValueError("the row does not have the model's number of features")
    margin = _margin(row, codes, thresholds, leaves, base, depth)
    return _interpolated(np.float64(margin), x, y)


@njit(
    [
        void(float32[:, ::1], *_MODEL, float32[::1]),
        void(_F4_ROWS_READ_ONLY, *_MODEL, float32[::1]),
    ],
    cache=True,
    nogil=True,
)
def _margins(rows, codes, thresholds, leaves, base, depth, n_features, out):  # type: ignore[no-untyped-def]
    if rows.shape[1] != n_features:
        raise ValueError("the rows do not have the model's number of features")
    for k in range(rows.shape[0]):
        out[k] = _margin(rows[k], codes, thresholds, leaves, base, depth)


def margins(trees: HeapTrees, rows: F4) -> F4:
    """Raw log-odds of each row.

    Parameters
    ----------
    rows : float32[k, n_features]
        C-contiguous.

    Returns
    -------
    float32[k]
        Equal to ``Booster.predict(..., output_margin=True)`` to the bit.
    """
    out = np.empty(len(rows), np.float32)
    _margins(
        rows,
        trees.codes,
        trees.thresholds,
        trees.leaves,
        trees.base_margin,
        trees.depth,
        trees.n_features,
        out,
    )
    return out
