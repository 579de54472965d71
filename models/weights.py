"""How much each training row counts."""

import numpy as np
from numpy.typing import NDArray

from core.columns import F8
from models.dataset import Dataset
from models.labels import uniqueness

_MOST_AT_STAKE = 5.0


def sample_weights(data: Dataset, class_weight: str = "none", cost_weight: str = "none") -> F8:
    """Weights of rows in time order, float64[m].

    Independence of the label (`models.labels.uniqueness`) is always in them. The other two move
    weight between rows and leave its sum, the number of independent labels, as it is.

    Parameters
    ----------
    class_weight : str
        ``balanced``: ups and downs weigh the same together. Else ``none``.
    cost_weight : str
        ``stake``: a row counts by what taking the wrong side of it would have cost against the
        right one, net, up to five times the mean, so that a few jumps do not decide. Else ``none``.
    """
    weight = uniqueness(data.ts, data.end_ns)
    total = float(weight.sum())
    if cost_weight == "stake":
        stake = np.abs(data.net_long - data.net_short)
        mean = float(np.average(stake, weights=weight)) or 1.0
        weight = weight * np.minimum(stake / mean, _MOST_AT_STAKE)
    if class_weight == "balanced":
        share = float(np.average(data.up, weights=weight)) if weight.any() else 0.5
        if 0.0 < share < 1.0:
            weight = weight * np.where(data.up, 0.5 / share, 0.5 / (1.0 - share))
    left = float(weight.sum())
    return weight * (total / left) if left > 0.0 else weight


def targets(data: Dataset, objective: str) -> NDArray[np.bool_] | F8:
    """Give what is learnt of each row: its side, or its move in standard deviations."""
    if objective == "direction":
        return data.up
    return data.move_pips / (float(np.std(data.move_pips)) or 1.0)
