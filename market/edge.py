"""The simulator's parameters and the edge they declare: what can be known of the future."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F8 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketModel:
    """Parameters of the simulated market; lengths in minutes of open market, prices in pips."""

    tick_secs: float = 5.0
    volatility_pips: float = 1.25
    busy_factor: float = 1.5
    calm_minutes: float = 240.0
    busy_minutes: float = 60.0
    drift_ratio: float = 0.3
    drift_minutes: float = 90.0
    jumps_per_day: float = 3.0
    jump_pips: float = 6.0
    weekend_gap_pips: float = 15.0
    silences_per_day: float = 1.0
    silence_minutes: float = 4.0
    noise_pips: float = 0.05
    spread_pips: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What can be known of the simulated future, declared.

    Attributes
    ----------
    horizon_minutes : int
        Horizon that the figures are for.
    accuracy : float
        P(the sign of the mid move is told right) by who knows the hidden drift at the start: the
        upper bound for any model. Who must infer it from past returns gets `filter_accuracy`.
    filter_accuracy : float
        Hit rate, on this tape, of the exact Bayes filter over past minute returns.
    expected_move_pips : float
        E|mid move| over the horizon on this tape, in pips.
    drift_ratio, drift_minutes : float
        The parameters that make it: drift per volatility in one minute, and mean dwell.
    """

    horizon_minutes: int
    accuracy: float
    filter_accuracy: float
    expected_move_pips: float
    drift_ratio: float
    drift_minutes: float


def declared_edge(
    secs: F8, mid_pips: F8, volatility: F8, model: MarketModel, horizon_minutes: int = 15
) -> Edge:
    """Theory and hit rate of the exact filter on one latent path, for the given horizon."""
    grid = np.arange(0.0, secs[-1], 60.0)
    at = np.maximum(np.searchsorted(secs, grid, side="right") - 1, 0)
    minutes = mid_pips[at]
    moves = minutes[horizon_minutes:] - minutes[:-horizon_minutes]
    scaled = np.diff(minutes) / volatility[at[:-1]]
    belief = _filter(scaled, model)[: len(moves)]
    decided = belief != 0.0
    hits = np.sign(moves) == np.sign(belief)
    return Edge(
        horizon_minutes=horizon_minutes,
        accuracy=known_drift_accuracy(horizon_minutes, model),
        filter_accuracy=float(hits[decided].mean()) if decided.any() else 0.5,
        expected_move_pips=float(np.abs(moves).mean()) if len(moves) else 0.0,
        drift_ratio=model.drift_ratio,
        drift_minutes=model.drift_minutes,
    )


def known_drift_accuracy(horizon_minutes: int, model: MarketModel) -> float:
    """P(sign of the move = sign of the drift at the start), jumps and changing volatility aside.

    The drift may flip on the way: the sum runs over the distribution of its net minutes.
    """
    flip = _flip_probability(model)
    size = 2 * horizon_minutes + 1
    up, down = np.zeros(size), np.zeros(size)  # probability by net minutes, last state apart
    up[horizon_minutes] = 1.0
    for _ in range(horizon_minutes):
        up, down = np.roll(up, 1), np.roll(down, -1)
        up, down = (1 - flip) * up + flip * down, (1 - flip) * down + flip * up
    net = np.arange(size) - horizon_minutes
    scores = model.drift_ratio * net / math.sqrt(horizon_minutes)
    chances = [0.5 * (1.0 + math.erf(score / math.sqrt(2.0))) for score in scores]
    return float(np.dot(up + down, chances))


def _flip_probability(model: MarketModel) -> float:
    """P(drift differs a minute later) of the two-state chain."""
    return 0.5 * (1.0 - math.exp(-2.0 / model.drift_minutes))


def _filter(scaled_returns: F8, model: MarketModel) -> F8:
    """Belief P(up) - P(down) before each minute, by the forward recursion of the hidden chain."""
    keep = 1.0 - 2.0 * _flip_probability(model)
    belief, beliefs = 0.0, [0.0]
    for score in np.tanh(model.drift_ratio * scaled_returns).tolist():
        belief = keep * (belief + score) / (1.0 + belief * score)
        beliefs.append(belief)
    return np.array(beliefs)
