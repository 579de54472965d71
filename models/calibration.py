"""From margins to probabilities, fitted on later data than the model: Platt scaling, isotonic."""

import msgspec
import numpy as np
from numba import njit
from numpy.typing import NDArray

from models.inference.heap import calibrate, interpolate

F8 = NDArray[np.float64]

MIN_LABELS = 10.0
# A free curve needs more to go by than a line; under this Platt's line is fitted instead.
MIN_LABELS_ISOTONIC = 200.0
_MAX_STEPS = 100


class Calibration(msgspec.Struct, frozen=True):
    """How a margin becomes a probability.

    `kind` is ``platt`` for ``p = 1 / (1 + exp(-(slope * margin + offset)))`` with the parameters
    ``slope`` and ``offset``, ``base_rate`` (the same with slope 0: the margins told nothing),
    ``identity`` (no parameters) or ``isotonic`` for the line through knots (`margins`, `p`).
    """

    kind: str = "identity"
    params: dict[str, float] = msgspec.field(default_factory=dict)
    margins: tuple[float, ...] = ()
    p: tuple[float, ...] = ()

    @property
    def slope(self) -> float:
        """Factor on the margin; 1 for the identity."""
        return self.params.get("slope", 1.0)

    @property
    def offset(self) -> float:
        """Added to the scaled margin; 0 for the identity."""
        return self.params.get("offset", 0.0)

    def knots(self) -> tuple[F8, F8]:
        """Margins and probabilities of the knots, float64[k] each; of ``isotonic`` only."""
        return np.array(self.margins, np.float64), np.array(self.p, np.float64)

    def sound(self) -> bool:
        """Tell whether every number is finite and knots, where needed, ascend within [0, 1]."""
        x, y = self.knots()
        if not np.isfinite([*self.params.values(), *self.margins, *self.p]).all():
            return False
        if self.kind != "isotonic":
            return len(x) == len(y) == 0
        ascend = bool((np.diff(x) > 0.0).all() and (np.diff(y) >= 0.0).all())
        return len(x) == len(y) > 0 and ascend and y[0] >= 0.0 and y[-1] <= 1.0

    def apply(self, margins: NDArray[np.floating]) -> F8:
        """Probabilities of margins, float64[k]; by the very function that serves single rows."""
        at = np.ascontiguousarray(margins, np.float64)
        if self.kind == "isotonic":
            return interpolate(at, *self.knots())
        return calibrate(at, self.slope, self.offset)


def fit_platt(
    margins: NDArray[np.floating], up: NDArray[np.bool_], weight: F8 | None = None
) -> Calibration:
    """Fit slope and offset by maximum likelihood.

    Newton's method with the smoothed targets of Platt (1999) as corrected by Lin, Lin and Weng,
    "A note on Platt's probabilistic outputs for support vector machines" (2007). The rows must be
    later than those the model was fitted on.

    Parameters
    ----------
    margins : float[k]
        Log-odds of the model.
    up : bool[k]
        Outcomes.
    weight : float64[k], optional
        Weights whose sum is the number of independent labels (`models.labels.uniqueness`); fewer of
        them draw the targets further away from 0 and 1. Ones when absent.

    Returns
    -------
    Calibration
        Identity when the rows cannot carry a fit (under `MIN_LABELS`, one class only, constant
        margins, no convergence). The base rate when the slope is not positive: later data says that
        the margins order nothing, and neither trusting them as they are nor turning them upside
        down would be honest.
    """
    x = np.asarray(margins, np.float64)
    w = np.ones(len(x)) if weight is None else weight
    n_up, n_down = float(w[up].sum()), float(w[~up].sum())
    if n_up + n_down < MIN_LABELS or min(n_up, n_down) == 0.0 or float(np.ptp(x)) < 1e-9:
        return Calibration()
    target = np.where(up, (n_up + 1.0) / (n_up + 2.0), 1.0 / (n_down + 2.0))
    prior = float(np.log((n_up + 1.0) / (n_down + 1.0)))
    fitted = _newton(x, target, w, prior)
    if fitted is None or not np.isfinite(fitted).all():
        return Calibration()
    if fitted[0] <= 0.0:
        return Calibration("base_rate", {"slope": 0.0, "offset": prior})
    return Calibration("platt", {"slope": float(fitted[0]), "offset": float(fitted[1])})


def _loss(x: F8, target: F8, w: F8, at: F8) -> float:
    z = at[0] * x + at[1]
    return float(np.sum(w * (np.logaddexp(0.0, z) - target * z)))


def _newton(x: F8, target: F8, w: F8, start: float) -> F8 | None:
    """Minimise the cross-entropy; None when it does not settle."""
    at = np.array([0.0, start])
    design = np.stack([x, np.ones_like(x)])
    for _ in range(_MAX_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(at @ design, -700.0, 700.0)))
        gradient = design @ (w * (p - target))
        if float(np.abs(gradient).max()) < 1e-8 * w.sum():
            return at
        hessian = (design * (w * p * (1.0 - p))) @ design.T + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        scale = _backtrack(x, target, w, at, step)
        if scale == 0.0:
            return at if float(np.abs(gradient).max()) < 1e-5 * w.sum() else None
        at = at - scale * step
    return None


def _backtrack(x: F8, target: F8, w: F8, at: F8, step: F8) -> float:
    """Largest of 1, 1/2, 1/4, ... that lowers the loss; 0 when none does."""
    now = _loss(x, target, w, at)
    scale = 1.0
    while scale > 1e-10:
        if _loss(x, target, w, at - scale * step) < now:
            return scale
        scale *= 0.5
    return 0.0


def fit_isotonic(
    margins: NDArray[np.floating], up: NDArray[np.bool_], weight: F8 | None = None
) -> Calibration:
    """Fit the non-decreasing curve of least squares through the outcomes.

    Pool adjacent violators (Ayer et al., 1955; Zadrozny and Elkan, "Transforming classifier scores
    into accurate multiclass probability estimates", 2002): each pool becomes a knot at its mean
    margin, lines join the knots. No pool is trusted to be certain: p stays 1 / (n + 2) away from 0
    and 1, n being the sum of the weights.

    Parameters
    ----------
    margins, up, weight
        As in `fit_platt`.

    Returns
    -------
    Calibration
        What `fit_platt` gives when the weights add up to less than `MIN_LABELS_ISOTONIC`; the base
        rate when one pool holds everything, for then the margins order nothing.
    """
    w = np.ones(len(margins)) if weight is None else weight
    total = float(w.sum())
    if total < MIN_LABELS_ISOTONIC or up.all() or not up.any():
        return fit_platt(margins, up, weight)
    # Equal margins cannot be told apart: they enter as one.
    x, place = np.unique(np.asarray(margins, np.float64), return_inverse=True)
    mass = np.bincount(place, w)
    levels, at = _pooled(x, np.bincount(place, w * up) / mass, mass)
    if len(levels) == 1:
        rate = (total * levels[0] + 1.0) / (total + 2.0)
        offset = float(np.log(rate / (1.0 - rate)))
        return Calibration("base_rate", {"slope": 0.0, "offset": offset})
    least = 1.0 / (total + 2.0)
    p = np.clip(levels, least, 1.0 - least)
    return Calibration("isotonic", {}, tuple(at.tolist()), tuple(p.tolist()))


@njit(cache=True)
def _pooled(x, y, w):  # type: ignore[no-untyped-def]
    """Pool adjacent violators; mean outcome and mean margin of each pool, ascending."""
    level, at, mass = np.empty_like(y), np.empty_like(y), np.empty_like(y)
    top = -1
    for k in range(x.shape[0]):
        top += 1
        level[top], at[top], mass[top] = y[k], x[k], w[k]
        while top > 0 and level[top - 1] >= level[top]:
            both = mass[top - 1] + mass[top]
            share = mass[top] / both
            level[top - 1] += share * (level[top] - level[top - 1])
            at[top - 1] += share * (at[top] - at[top - 1])
            mass[top - 1] = both
            top -= 1
    return level[: top + 1].copy(), at[: top + 1].copy()
