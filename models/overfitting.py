"""How much of a result is skill: Sharpe ratios judged for length, shape and number of trials.

Sharpe ratios here are per return, not annual; returns may be trades, days or periods of any length,
as long as all inputs of one call speak of the same.

References
----------
Bailey and López de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15(2), 2012.
Bailey and López de Prado, "The Deflated Sharpe Ratio", Journal of Portfolio Management 40(5), 2014.
Bailey, Borwein, López de Prado and Zhu, "Pseudo-Mathematics and Financial Charlatanism", Notices of
the AMS 61(5), 2014.
Bailey, Borwein, López de Prado and Zhu, "The Probability of Backtest Overfitting", Journal of
Computational Finance 20(4), 2017.
"""

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np

from core.columns import F8

MIN_RETURNS = 10
BLOCKS = 16
_EULER = 0.5772156649015329
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Record:
    """Sharpe ratio of a track record with what its error depends on.

    Attributes
    ----------
    sharpe : float
        Mean over standard deviation of the returns; 0 when they do not vary.
    n : int
        Number of returns.
    skew, kurtosis : float
        Third and fourth standardised moments; 0 and 3 for a normal distribution.
    """

    sharpe: float
    n: int
    skew: float = 0.0
    kurtosis: float = 3.0

    @classmethod
    def of(cls, returns: F8) -> "Record":
        """Record of returns float64[n], by population moments."""
        n = len(returns)
        spread = float(returns.std()) if n else 0.0
        # A constant has a spread of rounding errors, and any Sharpe ratio one likes.
        if n == 0 or spread <= 1e-12 * float(np.abs(returns).max()):
            return cls(0.0, n)
        z = (returns - returns.mean()) / spread
        sharpe = float(returns.mean()) / spread
        return cls(sharpe, n, float(np.mean(z**3)), float(np.mean(z**4)))

    @property
    def variance(self) -> float:
        """Variance of the Sharpe ratio's estimate times (n - 1): 1 - skew SR + (kurtosis-1)/4 SR^2.

        Equation 5 of Bailey and López de Prado (2012), after Mertens (2002).
        """
        return 1.0 - self.skew * self.sharpe + 0.25 * (self.kurtosis - 1.0) * self.sharpe**2


def probabilistic_sharpe(record: Record, benchmark: float = 0.0) -> float:
    """P(true Sharpe ratio > benchmark); Bailey and López de Prado (2012), equation 7.

    Returns
    -------
    float
        0 for fewer than `MIN_RETURNS` returns or returns without variance: they show nothing.
    """
    if record.n < MIN_RETURNS or record.sharpe == 0.0 or not record.variance > 0.0:
        return 0.0
    z = (record.sharpe - benchmark) * math.sqrt((record.n - 1) / record.variance)
    return _NORMAL.cdf(z)


def expected_maximum(trials: int) -> float:
    """Approximate the expected maximum of independent standard normal draws.

    ``(1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))`` with Euler's g; proposition 1 of Bailey et al. (2014,
    AMS). 0 for a single draw.
    """
    if trials < 1:
        raise ValueError("there is at least one trial, the one that is judged")
    if trials == 1:
        return 0.0
    first = _NORMAL.inv_cdf(1.0 - 1.0 / trials)
    second = _NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return (1.0 - _EULER) * first + _EULER * second


def deflated_sharpe(record: Record, trials: int, trial_variance: float | None = None) -> float:
    """P(true Sharpe ratio > 0), allowing for the best of `trials` having been picked.

    The benchmark is the Sharpe ratio that the best of as many trials without skill is expected to
    show (Bailey and López de Prado, 2014).

    Parameters
    ----------
    trials : int
        Independent configurations tried on the same data, this one included.
    trial_variance : float, optional
        Variance of the trials' Sharpe ratios, per return. Without it the variance that independent
        trials without skill have by chance over as many returns, 1 / (n - 1).
    """
    if record.n < MIN_RETURNS:
        return 0.0
    by_chance = 1.0 / (record.n - 1)
    variance = by_chance if trial_variance is None else trial_variance
    return probabilistic_sharpe(record, math.sqrt(variance) * expected_maximum(trials))


def min_track_record(record: Record, confidence: float = 0.95, benchmark: float = 0.0) -> float:
    """Fewest returns that would show a Sharpe ratio above the benchmark with this confidence.

    Bailey and López de Prado (2012), equation 11; infinite at or below the benchmark.
    """
    if not record.sharpe > benchmark:
        return math.inf
    z = _NORMAL.inv_cdf(confidence) / (record.sharpe - benchmark)
    return 1.0 + record.variance * z**2


def min_backtest_years(trials: int, annual_sharpe: float = 1.0) -> float:
    """Years of history under which the best of `trials` without skill is expected to reach a ratio.

    ``(E[max of N] / annual_sharpe)^2``: 5 years for a Sharpe ratio of 1 after 45 trials (Bailey et
    al., 2014, AMS, theorem 1).
    """
    return (expected_maximum(trials) / annual_sharpe) ** 2


def break_even_hit_rate(cost: float, mean_move: float) -> float:
    """Hit rate at which mean moves of `mean_move` pay a round trip of `cost`: (1 + c / m) / 2.

    Both in the same unit; above 1 when no hit rate would pay.
    """
    return 0.5 * (1.0 + cost / max(mean_move, 1e-9))


def overfitting_logits(returns: F8, blocks: int = BLOCKS) -> F8:
    """Where the configuration that was best in one half of time ranks in the other half.

    Combinatorially symmetric cross-validation (Bailey et al., 2017): time is cut into `blocks`;
    each choice of half of them is once in sample. Performance is the Sharpe ratio, 0 without
    variance; ties share their mean rank.

    Parameters
    ----------
    returns : float64[configurations, periods]
        Results of every configuration over the same periods, at least two of each.
    blocks : int
        Even; fewer where a block would have less than two periods.

    Returns
    -------
    float64[C(blocks, blocks / 2)]
        ``log(w / (1 - w))`` with w = rank / (configurations + 1), 0 at the median.
    """
    unseen, best = _chosen(returns, blocks)
    rank = (unseen < best).sum(axis=1) + 0.5 * ((unseen == best).sum(axis=1) + 1.0)
    w = rank / (len(returns) + 1.0)
    logits: F8 = np.log(w / (1.0 - w))
    return logits


def loss_probability(returns: F8, blocks: int = BLOCKS) -> float:
    """Share of choices that earned nothing in the other half of time.

    The probability of loss of Bailey et al. (2017); unlike the rank of the chosen one it does not
    suffer from alternatives that are as good. Arguments as `overfitting_logits`.
    """
    _, best = _chosen(returns, blocks)
    return float(np.mean(best <= 0.0))


def _chosen(returns: F8, blocks: int) -> tuple[F8, F8]:
    """Sharpe ratios in the other half of time: of all configurations, of the one that was best.

    Returns
    -------
    float64[choices, configurations], float64[choices, 1]
    """
    n_configurations, n_periods = returns.shape
    if n_configurations < 2 or n_periods < 4:
        raise ValueError("two configurations over four periods are the least to compare")
    blocks = min(blocks, n_periods // 2) & ~1
    halves = list(combinations(range(blocks), blocks // 2))
    inside = np.zeros((len(halves), blocks))
    np.put_along_axis(inside, np.array(halves), 1.0, axis=1)
    seen = _sharpes(returns, inside)
    unseen = _sharpes(returns, 1.0 - inside)
    return unseen, unseen[np.arange(len(halves)), seen.argmax(axis=1)][:, None]


def overfitting_probability(returns: F8, blocks: int = BLOCKS) -> float:
    """Probability of backtest overfitting: share of choices that rank at or below the median later.

    1 when nothing can be told apart, as when no configuration trades. Arguments as
    `overfitting_logits`.
    """
    return float(np.mean(overfitting_logits(returns, blocks) <= 0.0))


def _sharpes(returns: F8, inside: F8) -> F8:
    """Sharpe ratio over each choice of blocks, from sums over blocks; float64[choices, configs]."""
    n_periods, blocks = returns.shape[1], inside.shape[1]
    edges = np.linspace(0, n_periods, blocks + 1).astype(np.int64)[:-1]
    centre = returns.mean(axis=1, keepdims=True)
    off = returns - centre  # so that the squares do not cancel
    sums, squares = (np.add.reduceat(x, edges, axis=1) for x in (off, off**2))
    lengths = np.diff(np.append(edges, n_periods)).astype(np.float64)
    n = inside @ lengths[:, None]
    mean = inside @ sums.T / n
    variance = inside @ squares.T / n - mean**2
    scale = 1e-12 * np.maximum(np.abs(returns).max(axis=1), 1e-300) ** 2
    varies = variance > scale
    spread = np.sqrt(np.where(varies, variance, 1.0))
    ratios: F8 = np.where(varies, (mean + centre.T) / spread, 0.0)
    return ratios
