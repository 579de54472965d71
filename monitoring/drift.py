"""Whether a window of values has another distribution than those that a model was made with.

Two distances, each against a frozen sketch: the Population Stability Index over ten bins and the
Kolmogorov-Smirnov distance over fifty. How large a distance is chance depends on the window's size
and on how alike neighbours are, so there is no fixed threshold: every sketch holds, for several
sizes, what windows of the training itself came to.

For n independent values against m, PSI / (1/n + 1/m) is chi-squared with bins - 1 degrees of
freedom (Yurdakul and Naranjo 2020, J. Risk Model Validation 14(4)) and KS is Kolmogorov's. Rows of
a tape are not independent: what is a sum of squares of correlated shares is nearly a scaled
chi-squared (Satterthwaite 1946; Rao and Scott 1981, JASA 76), as is the square of KS. Scale and
degrees of freedom are fitted by mean and variance over windows of the training rows, and a verdict
is never stricter than for independent values.
"""

import math
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitoring.distributions import chi_squared_tail, kolmogorov_tail, student_tail, threshold

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]

LEAST_ROWS, LEAST_WINDOWS = 128, 20
_FINE, _COARSE = 50, 10


class Scaled(msgspec.Struct, frozen=True):
    """A statistic that is nearly `scale` times a chi-squared variable."""

    scale: float
    dof: float

    def tail(self, value: float) -> float:
        """P(statistic > value) by chance."""
        if self.scale <= 0.0:  # nothing ever moved it
            return 0.0 if value > 0.0 else 1.0
        return chi_squared_tail(value / self.scale, self.dof)


class Null(msgspec.Struct, frozen=True):
    """What chance makes of PSI and of the square of KS in windows of `rows`."""

    rows: int
    psi: Scaled
    ks_squared: Scaled


class Usual(msgspec.Struct, frozen=True):
    """What the mean of a figure over `rows` values came to in `windows` windows."""

    rows: int
    mean: float
    deviation: float
    windows: float

    def tail(self, value: float) -> float:
        """P(mean > value) in one more such window, by Student's t."""
        spread = self.deviation * math.sqrt(1.0 + 1.0 / self.windows)
        if spread <= 0.0:
            return 0.0 if value > self.mean else 1.0
        return student_tail((value - self.mean) / spread, max(self.windows - 1.0, 1.0))


class Sketch(msgspec.Struct, frozen=True):
    """The distribution of one column as it was at training.

    Attributes
    ----------
    edges : tuple of float
        Upper ends of the bins but the last, rising.
    shares : tuple of float
        Share of the reference in each bin, one more than edges.
    rows : int
        Values that the shares were counted from.
    nulls : tuple of Null
        By rising size of the window.
    """

    name: str
    edges: tuple[float, ...]
    shares: tuple[float, ...]
    rows: int
    nulls: tuple[Null, ...]

    def null(self, rows: int) -> Null:
        """Return what chance makes of windows of `rows`, one of the sizes that were fitted."""
        return next(null for null in self.nulls if null.rows == rows)


class Distance(msgspec.Struct, frozen=True):
    """How far a window is from its reference; `p_value` allows for both statistics."""

    psi: float
    ks: float
    p_value: float


def window_sizes(rows: int) -> tuple[int, ...]:
    """Sizes that enough windows of `rows` values can tell the chance of: powers of two."""
    sizes = (LEAST_ROWS << k for k in range(32))
    return tuple(size for size in sizes if size * LEAST_WINDOWS <= rows)


def sketch(name: str, values: NDArray[np.floating], sizes: Sequence[int]) -> Sketch:
    """Freeze a column, in time order, with the chance of windows of each size."""
    edges = _edges(values)
    counts = _counted(values, edges)
    shares = counts[-1] / len(values)
    nulls = tuple(_null(counts, shares, size) for size in sizes)
    return Sketch(name, tuple(edges.tolist()), tuple(shares.tolist()), len(values), nulls)


def usual(values: F8, rows: int) -> Usual:
    """Mean and spread of a figure over the windows of `rows` values, in time order."""
    summed = np.concatenate([[0.0], np.cumsum(values)])
    starts = np.arange(0, len(values) - rows + 1, rows // 2)
    means = (summed[starts + rows] - summed[starts]) / rows
    return Usual(rows, float(means.mean()), float(means.std(ddof=1)), len(values) / rows)


def distance(reference: Sketch, values: NDArray[np.floating]) -> Distance:
    """Compare a window, of a size that was fitted, with its reference."""
    m, null = reference.rows, reference.null(len(values))
    shares = np.array(reference.shares)
    counts = np.bincount(_bins(values, np.array(reference.edges)), minlength=len(shares))
    psi, ks = _psi(counts, shares, m), _ks(counts, shares)
    p = min(_psi_tail(psi, null, shares, m), _ks_tail(ks, null, m))
    return Distance(psi, ks, min(1.0, 2.0 * p))


def thresholds(reference: Sketch, rows: int, level: float) -> tuple[float, float]:
    """PSI and KS that windows of `rows` exceed with a probability of `level` by chance."""
    null, shares, m = reference.null(rows), np.array(reference.shares), reference.rows
    psi = threshold(lambda x: _psi_tail(x, null, shares, m), level, 1e-3)
    return psi, threshold(lambda x: _ks_tail(x, null, m), level, 1e-3)


def _psi_tail(psi: float, null: Null, shares: F8, m: int) -> float:
    independent = Scaled(1.0 / null.rows + 1.0 / m, max(_groups(shares)[1] - 1, 1))
    return max(null.psi.tail(psi), independent.tail(psi))


def _ks_tail(ks: float, null: Null, m: int) -> float:
    n = null.rows * m / (null.rows + m)
    return max(null.ks_squared.tail(ks * ks), kolmogorov_tail(ks, n))


def _edges(values: NDArray[np.floating]) -> F8:
    """Quantiles, each value once; a column that never changes gets a bin below and one above."""
    quantiles = np.quantile(values, np.arange(1, _FINE) / _FINE, method="inverted_cdf")
    found: F8 = np.unique(quantiles.astype(np.float64))
    if len(found) == 1:
        found = np.concatenate([np.nextafter(found, -np.inf), found])
    return found


def _bins(values: NDArray[np.floating], edges: F8) -> I8:
    return np.searchsorted(edges, values.astype(np.float64), side="left")


def _counted(values: NDArray[np.floating], edges: F8) -> I8:
    """How many of the first k values lie in each bin, int64[m + 1, bins]."""
    ones = np.zeros((len(values) + 1, len(edges) + 1), np.int32)
    ones[np.arange(1, len(values) + 1), _bins(values, edges)] = 1
    return np.cumsum(ones, axis=0)


def _windows(counts: I8, rows: int) -> Iterator[I8]:
    """Count the bins of windows of `rows` that overlap by half."""
    for start in range(0, len(counts) - rows, rows // 2):
        yield counts[start + rows] - counts[start]


def _null(counts: I8, shares: F8, rows: int) -> Null:
    m = len(counts) - 1
    found = list(_windows(counts, rows))
    # A window that is part of the reference is nearer to it than one that is not.
    apart = (m + rows) / (m - rows)
    psi = np.array([_psi(window, shares, m) for window in found])
    ks = np.array([_ks(window, shares) for window in found])
    return Null(rows, _fitted(apart * psi, m / rows), _fitted(apart * ks**2, m / rows))


def _fitted(values: F8, windows: float) -> Scaled:
    """Scaled chi-squared of the same mean and variance, those widened for few windows."""
    mean, variance = float(values.mean()), float(values.var(ddof=1))
    if mean <= 0.0 or variance <= 0.0:
        return Scaled(0.0, 1.0)
    variance *= 1.0 + 2.0 / math.sqrt(windows)
    return Scaled(variance / (2.0 * mean), 2.0 * mean * mean / variance)


def _groups(shares: F8) -> tuple[I8, int]:
    """Which of ten bins each fine one falls into, and how many of those there are."""
    middle = np.cumsum(shares) - 0.5 * shares
    place = np.minimum((middle * _COARSE).astype(np.int64), _COARSE - 1)
    used, group = np.unique(place, return_inverse=True)
    if len(used) == 1:  # nearly constant: apart as they are
        return np.arange(len(shares)), len(shares)
    return group, len(used)


def _psi(counts: I8, shares: F8, m: int) -> float:
    """Find the Population Stability Index; half a row more in every bin, so that none is empty."""
    group, k = _groups(shares)
    seen = np.bincount(group, weights=counts, minlength=k) + 0.5
    known = np.bincount(group, weights=shares * m, minlength=k) + 0.5
    q, p = seen / seen.sum(), known / known.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def _ks(counts: I8, shares: F8) -> float:
    return float(np.max(np.abs(np.cumsum(counts) / counts.sum() - np.cumsum(shares))))
