"""Windows of consecutive feature rows, gathered when they are asked for and not before."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F4 = NDArray[np.float32]

BATCH = 512


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """All warm rows of a tape, float32[m, n], in time order, and when their samples ended."""

    rows: F4
    ts: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """One window for each of `at`.

    Held whole, the windows of a data set would take `length` times its memory.

    Attributes
    ----------
    history : History
    at : int64[k]
        Position in the history of each window's newest row; at least ``length - 1``.
    length : int
        Rows of a window, oldest first.
    """

    history: History
    at: NDArray[np.int64]
    length: int

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, which: slice | NDArray[np.int64]) -> F4:
        """Gather windows, float32[j, length, n]."""
        steps = np.arange(1 - self.length, 1)
        found: F4 = self.history.rows[self.at[which][:, None] + steps]
        return found


Inputs = F4 | Windows
"""What a model reads: feature rows float32[k, n], or windows of them."""


def batches(inputs: Inputs, size: int = BATCH) -> Iterator[F4]:
    """Give inputs as float32[j, window, n], `size` of them at a time."""
    for first in range(0, len(inputs), size):
        block = inputs[first : first + size]
        yield block if block.ndim == 3 else block[:, None, :]


def spread(inputs: Inputs, count: int) -> F4:
    """At most `count` inputs, evenly spread over time: float32[j, n] or float32[j, window, n]."""
    at = np.unique(np.linspace(0, len(inputs) - 1, min(count, len(inputs))).astype(np.int64))
    return np.ascontiguousarray(inputs[at])
