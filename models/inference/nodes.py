"""Boosted trees walked node by node: the engine for what does not fit a heap.

Trees of any depth and categorical splits, in flat arrays; about ten times slower than the heap
engine and just as exact: XGBoost's own comparisons, and a float32 sum in tree order.
"""

from dataclasses import dataclass, replace

import numpy as np
from numba import float32, int32, int64, njit, types, uint32, void
from numpy.typing import NDArray

F4 = NDArray[np.float32]
I4 = NDArray[np.int32]
U4 = NDArray[np.uint32]

NODE_FILES = (
    *("node_roots.npy", "node_left.npy", "node_codes.npy", "node_values.npy"),
    *("node_sets.npy", "node_words.npy", "base_margin.npy"),
)
NODE_DTYPES = ("int32", "int32", "int32", "float32", "int32", "uint32", "float32")
LEAF = -1
# XGBoost takes a category at or above this for none at all.
_NO_CATEGORY = np.float32(2**24 + 1)


@dataclass(frozen=True, slots=True, eq=False)
class NodeTrees:
    """A compiled model.

    Attributes
    ----------
    roots : int32[trees]
        First node of each tree.
    left : int32[nodes]
        Left child, the right one follows it; -1 for a leaf.
    codes : int32[nodes]
        ``2 * feature + 1`` where NaN goes right, ``2 * feature`` where it goes left.
    values : float32[nodes]
        A row goes left when its feature is below; for a leaf what it adds.
    sets : int32[2, nodes]
        First word and number of words of the categories that go right; -1 and 0 for numbers.
    words : uint32[words]
        Bit sets of categories, lowest bit first.
    base_margin : float32
        Start of the sum, as log-odds.
    n_features : int
        Length of a row.
    """

    roots: I4
    left: I4
    codes: I4
    values: F4
    sets: I4
    words: U4
    base_margin: np.float32
    n_features: int

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return len(self.roots)

    def first(self, trees: int) -> "NodeTrees":
        """Give the same model with its first trees only; the arrays are shared."""
        return replace(self, roots=self.roots[:trees])

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Arrays in the order of `NODE_FILES`."""
        base = np.array([self.base_margin], np.float32)
        return self.roots, self.left, self.codes, self.values, self.sets, self.words, base


def from_arrays(arrays: tuple[np.ndarray, ...], n_features: int) -> NodeTrees | None:
    """Model of arrays in the order of `NODE_FILES`; None when a walk could leave them."""
    roots, left, codes, values, sets, words, base = arrays
    if [str(array.dtype) for array in arrays] != list(NODE_DTYPES):
        return None
    n = len(left)
    if not (codes.shape == values.shape == left.shape == (n,) and sets.shape == (2, n)):
        return None
    inner = left != LEAF
    # A child after its parent means that every walk ends.
    forward = left[inner] > np.flatnonzero(inner)
    first, count = sets
    sound = (
        base.shape == (1,)
        and words.ndim == roots.ndim == 1
        and len(roots) > 0
        and roots.min() >= 0
        and roots.max() < n
        and bool(forward.all())
        and (not inner.any() or int(left.max()) + 1 < n)
        and codes.min() >= 0
        and codes.max() < 2 * n_features
        and count.min() >= 0
        and bool(((first == LEAF) | ((first >= 0) & (first + count <= len(words)))).all())
        and bool(np.isfinite(values[~inner]).all() and np.isfinite(base).all())
    )
    return (
        NodeTrees(roots, left, codes, values, sets, words, base[0], n_features) if sound else None
    )


@njit(cache=True, inline="always")
def _goes_right(x, threshold, first, count, words):  # type: ignore[no-untyped-def]
    if first < 0:
        return x >= threshold
    # What is no category goes left: negative, endless, or beyond the set.
    if x < 0 or x >= _NO_CATEGORY:
        return False
    category = np.int64(x)
    word = category >> 5
    if word >= count:
        return False
    return (words[first + word] >> np.uint32(category & 31)) & np.uint32(1) == np.uint32(1)


_MODEL = (
    *(int32[::1], int32[::1], int32[::1], float32[::1], int32[:, ::1], uint32[::1]),
    *(float32, int64),
)
_ROWS_READ_ONLY = types.Array(float32, 2, "C", readonly=True)


@njit(
    [
        void(float32[:, ::1], *_MODEL, float32[::1]),
        void(_ROWS_READ_ONLY, *_MODEL, float32[::1]),
    ],
    cache=True,
    nogil=True,
)
def _margins(rows, roots, left, codes, values, sets, words, base, n_features, out):  # type: ignore[no-untyped-def]
    if rows.shape[1] != n_features:
        raise ValueError("the rows do not have the model's number of features")
    for k in range(rows.shape[0]):
        total = base
        for root in roots:
            node = root
            while left[node] >= 0:
                code = codes[node]
                x = rows[k, code >> 1]
                if np.isnan(x):
                    right = (code & 1) == 1
                else:
                    right = _goes_right(x, values[node], sets[0, node], sets[1, node], words)
                node = left[node] + np.int32(right)
            total += values[node]
        out[k] = total


def margins(trees: NodeTrees, rows: F4) -> F4:
    """Raw log-odds of rows float32[k, n_features], C-contiguous; equal to XGBoost's to the bit."""
    out = np.empty(len(rows), np.float32)
    _margins(
        rows,
        trees.roots,
        trees.left,
        trees.codes,
        trees.values,
        trees.sets,
        trees.words,
        trees.base_margin,
        trees.n_features,
        out,
    )
    return out
