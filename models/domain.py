"""How far a row lies outside of what the model has learnt from.

The score of a row adds up, over its features, by how much each one leaves the range that held all
but the rarest training rows, in widths of that range. Rows later than those show which scores are
ordinary; a row above that limit is out of the training domain, and the decision holds.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from numba import float32, float64, njit, types
from numpy.typing import NDArray

F4 = NDArray[np.float32]
F8 = NDArray[np.float64]

TAIL = 0.001
# The clock always moves on to where it has not been; it says nothing of the state of the market.
CLOCK = ("day_", "week_", "session_", "month_")
_SLACK = 2.0
_LEAST, _MOST = 0.5, 3.0
_ANY = 1e30


class Domain(msgspec.Struct, frozen=True):
    """Range of each feature and the largest score that is ordinary.

    Attributes
    ----------
    low, high : tuple of float
        One pair per feature, float32 values.
    limit : float
        Rows that score higher are out of the domain.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    limit: float

    def sound(self, n_features: int) -> bool:
        """Tell whether the numbers are finite, ordered and as many as the features."""
        low, high = np.array(self.low), np.array(self.high)
        return (
            len(low) == len(high) == n_features
            and bool(np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all())
            and 0.0 <= self.limit < np.inf
        )

    def arrays(self) -> tuple[F4, F4, F4]:
        """Give low, high and 1 / width as float32[n_features], as `score_row` takes them."""
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        return low, high, (1.0 / np.maximum(high - low, np.float32(1e-30))).astype(np.float32)

    def scores(self, rows: F4) -> F8:
        """Scores of rows float32[k, n_features], float64[k]."""
        return scores(np.ascontiguousarray(rows, np.float32), *self.arrays())


def fit_domain(rows: F4, later_rows: F4, names: Sequence[str]) -> Domain:
    """Learn the ranges from training rows and the limit from rows after them.

    Parameters
    ----------
    rows, later_rows : float32[m, n], float32[k, n]
        At least one row to learn from. The limit is twice the score that `TAIL` of the later rows
        exceed, but from half a width, so that a quiet stretch does not make it nothing, to three,
        so that a weekend's gap among the later rows does not make it everything.
    names : sequence of str
        Columns. Those of the clock may take any finite value, and so may those that never changed:
        no tree can have split on them.
    """
    low, high = np.quantile(rows, [0.5 * TAIL, 1.0 - 0.5 * TAIL], axis=0).astype(np.float32)
    rare = low == high  # flags, such as candlestick patterns: each value that occurred is known
    low[rare], high[rare] = rows[:, rare].min(axis=0), rows[:, rare].max(axis=0)
    free = (low == high) | np.array([name.startswith(CLOCK) for name in names])
    low[free], high[free] = -_ANY, _ANY
    found = Domain(tuple(low.tolist()), tuple(high.tolist()), 0.0)
    tail = float(np.quantile(found.scores(later_rows), 1.0 - TAIL)) if len(later_rows) else 0.0
    return Domain(found.low, found.high, min(max(_LEAST, _SLACK * tail), _MOST))


_ROW = (types.Array(float32, 1, "C", readonly=True), float32[::1], float32[::1], float32[::1])


@njit([float64(float32[::1], float32[::1], float32[::1], float32[::1]), float64(*_ROW)], cache=True)
def score_row(row, low, high, per_width):  # type: ignore[no-untyped-def]
    """Score of one row; infinite when a feature is not finite."""
    if row.shape[0] != low.shape[0]:
        raise ValueError("the row does not have the domain's number of features")
    total = 0.0
    for k in range(row.shape[0]):
        x = row[k]
        if not np.isfinite(x):
            return np.inf
        if x < low[k]:
            total += (low[k] - x) * per_width[k]
        elif x > high[k]:
            total += (x - high[k]) * per_width[k]
    return total


@njit(cache=True, nogil=True)
def scores(rows, low, high, per_width):  # type: ignore[no-untyped-def]
    """`score_row` of each row, float64[k]."""
    out = np.empty(rows.shape[0], np.float64)
    for k in range(rows.shape[0]):
        out[k] = score_row(rows[k], low, high, per_width)
    return out


_WINDOW = (types.Array(float32, 2, "C", readonly=True), float32[::1], float32[::1], float32[::1])


@njit(
    [float64(float32[:, ::1], float32[::1], float32[::1], float32[::1]), float64(*_WINDOW)],
    cache=True,
)
def score_window(window, low, high, per_width):  # type: ignore[no-untyped-def]
    """Score of the newest row of a window; infinite when anything in it is not finite.

    The older rows have each been the newest, and were judged then.
    """
    for j in range(window.shape[0]):
        for k in range(window.shape[1]):
            if not np.isfinite(window[j, k]):
                return np.inf
    return score_row(window[window.shape[0] - 1], low, high, per_width)
