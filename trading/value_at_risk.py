"""What positions may lose: value at risk and expected shortfall, by history and by variance.

Value at risk is the loss that is exceeded with probability 1 - confidence over the horizon,
expected shortfall the mean of the losses beyond it; both are told as positive money, never below
zero. See McNeil, Frey and Embrechts, *Quantitative Risk Management*, 2nd ed., sections 2.2 and 9.2.
A horizon longer than the sample is reached by the square root of time.
"""

from math import ceil, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEAST_SAMPLES = 30
_NORMAL = NormalDist()


class Tail(NamedTuple):
    """Value at risk and expected shortfall, in the money of the exposures."""

    value_at_risk: float
    expected_shortfall: float


def historical(exposures: Array, returns: Array, confidence: float, horizon: float) -> Tail | None:
    """Take the tail of what the positions would have earned in each past sample.

    Parameters
    ----------
    exposures : float64[instruments]
        Signed notional in account currency.
    returns : float64[samples, instruments]
        Relative moves of the prices.
    confidence : float
        Between 0.5 and 1.
    horizon : float
        In samples.

    Returns
    -------
    Tail or None
        None with fewer than `LEAST_SAMPLES` samples in which every held instrument has a move.
    """
    held, moves = _held(exposures, returns)
    if len(moves) < LEAST_SAMPLES:
        return None
    losses = np.sort(-(moves @ held))[::-1]
    # The k-th largest loss, with k the whole samples beyond the confidence, but at least one.
    count = max(1, ceil(len(losses) * (1.0 - confidence) - 1e-9))
    return _scaled(float(losses[count - 1]), float(losses[:count].mean()), horizon)


def parametric(exposures: Array, returns: Array, confidence: float, horizon: float) -> Tail | None:
    """Take the tail of a normal distribution with the samples' covariance and mean zero.

    Parameters and result as in `historical`.
    """
    held, moves = _held(exposures, returns)
    if len(moves) < LEAST_SAMPLES:
        return None
    covariance = np.atleast_2d(np.cov(moves, rowvar=False)) if held.size else np.zeros((0, 0))
    deviation = sqrt(max(0.0, float(held @ covariance @ held)))
    quantile = _NORMAL.inv_cdf(confidence)
    shortfall = _NORMAL.pdf(quantile) / (1.0 - confidence)
    return _scaled(deviation * quantile, deviation * shortfall, horizon)


def shocked(exposures: Array, moves: Array) -> float:
    """Profit of the positions when prices move by the fractions `moves` at once."""
    return float(exposures @ moves)


def _held(exposures: Array, returns: Array) -> tuple[Array, Array]:
    """Exposures that are not flat, and the samples in which all of them moved known ways."""
    chosen = np.flatnonzero(exposures)
    moves = returns[:, chosen]
    return exposures[chosen], moves[np.isfinite(moves).all(axis=1)]


def _scaled(loss: float, beyond: float, horizon: float) -> Tail:
    root = sqrt(horizon)
    return Tail(max(0.0, loss) * root, max(0.0, beyond) * root)
