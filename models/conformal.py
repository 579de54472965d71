"""Split-conformal interval of the move: as wide as later data says it must be."""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

F8 = NDArray[np.float64]

LEVEL = 0.9


class Conformal(msgspec.Struct, frozen=True):
    """Half-width of the interval around the expected move that holds `level` of the moves."""

    level: float
    radius_pips: float

    def interval(self, p: float, expected_move_pips: float) -> tuple[float, float]:
        """Interval of the mid move over the horizon, in pips, for a calibrated p."""
        centre = (2.0 * p - 1.0) * expected_move_pips
        return centre - self.radius_pips, centre + self.radius_pips

    def holds(self, p: F8, move_pips: F8, expected_move_pips: float) -> NDArray[np.bool_]:
        """Tell which moves lie inside of their interval; bool[n] for float64[n]."""
        centre = (2.0 * p - 1.0) * expected_move_pips
        return np.abs(move_pips - centre) <= self.radius_pips


def radius_of(conformal: Conformal | None) -> float:
    """Give the radius in pips; 0 without an interval, which then holds nothing back."""
    return 0.0 if conformal is None else conformal.radius_pips


def fit_conformal(
    p: F8, move_pips: F8, expected_move_pips: float, level: float = LEVEL
) -> Conformal | None:
    """Take the radius from the residuals of rows that the model was not fitted on.

    Lei et al., "Distribution-free predictive inference for regression", JASA 113 (2018): the
    ceil((n + 1) level)-th smallest absolute residual covers a new exchangeable row with at least
    that probability. Rows of a market are not exchangeable and overlap, so the share of tested
    moves that the interval held is reported beside it.

    Parameters
    ----------
    p : float64[n]
        Calibrated P(up).
    move_pips : float64[n]
        What the mid then did.

    Returns
    -------
    Conformal or None
        None when the rows are too few for the level.
    """
    n = len(p)
    rank = math.ceil((n + 1) * level)
    if rank > n:
        return None
    residuals = np.abs(move_pips - (2.0 * p - 1.0) * expected_move_pips)
    return Conformal(level, float(np.partition(residuals, rank - 1)[rank - 1]))
