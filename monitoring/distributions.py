"""Tails of the distributions that drift is judged by; the standard library has none of them.

Continued fractions and series as in Abramowitz and Stegun (1964): 6.5.29 and 6.5.31 for the
incomplete gamma function, 26.5.8 for the incomplete beta function.
"""

import math
from collections.abc import Callable

_TERMS, _TINY, _EXACT = 500, 1e-300, 1e-14


def gamma_tail(x: float, shape: float) -> float:
    """P(X > x) of a gamma variable of scale 1: the regularised upper incomplete gamma function."""
    if x <= 0.0:
        return 1.0
    front = math.exp(shape * math.log(x) - x - math.lgamma(shape))
    if x < shape + 1.0:
        term = total = 1.0 / shape
        for k in range(1, _TERMS):
            term *= x / (shape + k)
            total += term
            if term < total * _EXACT:
                break
        return max(0.0, 1.0 - front * total)

    def terms(k: int) -> tuple[float, float]:
        return -k * (k - shape), x + 2.0 * k + 1.0 - shape

    return front / _continued(x + 1.0 - shape, terms)


def chi_squared_tail(x: float, dof: float) -> float:
    """P(X > x) of a chi-squared variable; `dof` need not be whole."""
    return gamma_tail(0.5 * x, 0.5 * dof)


def student_tail(t: float, dof: float) -> float:
    """P(X > t) of Student's t."""
    half = 0.5 * _incomplete_beta(dof / (dof + t * t), 0.5 * dof, 0.5)
    return half if t >= 0.0 else 1.0 - half


def kolmogorov_tail(d: float, n: float) -> float:
    """P(D > d) of the two-sided Kolmogorov statistic for `n` independent values.

    The limit of Kolmogorov (1933) with the correction of Stephens (1970, J. R. Stat. Soc. B 32) for
    finite n.
    """
    root = math.sqrt(n)
    x = d * (root + 0.12 + 0.11 / root)
    if x < 0.2:
        return 1.0
    total = sum((-1.0) ** (k - 1) * math.exp(-2.0 * (k * x) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2.0 * total))


def threshold(tail: Callable[[float], float], level: float, start: float) -> float:
    """Value whose falling `tail` is `level`, by bisection from a positive `start`."""
    low, high = 0.0, start
    while tail(high) > level:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if tail(middle) > level else (low, middle)
    return high


def _incomplete_beta(x: float, a: float, b: float) -> float:
    if not 0.0 < x < 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(1.0 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(scale + a * math.log(x) + b * math.log1p(-x)) / a

    def terms(k: int) -> tuple[float, float]:
        m = k // 2
        if k % 2:
            return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)), 1.0
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), 1.0

    return front / _continued(1.0, terms)


def _continued(first: float, terms: Callable[[int], tuple[float, float]]) -> float:
    """``first + a1 / (b1 + a2 / (b2 + ...))`` by Lentz's method; ``terms(k)`` is ``(ak, bk)``."""
    value = first or _TINY
    up, down = value, 0.0
    for k in range(1, _TERMS):
        a, b = terms(k)
        down = 1.0 / ((b + a * down) or _TINY)
        up = (b + a / up) or _TINY
        value *= up * down
        if abs(up * down - 1.0) < _EXACT:
            break
    return value
