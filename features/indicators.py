"""Indicators as numba kernels: one step each, state in, state out, float64 throughout.

Each has a state slice (all zeros when fresh) of the length that its ``_size`` function gives, and a
step that takes one sample and returns the value, NaN until there is one. Definitions and seeds are
TA-Lib's (https://ta-lib.org) unless said otherwise. Kernels here call kernels of `windows` only.
"""

import math

from numba import njit

from core.columns import F8
from features.windows import moments_size, moments_step, sum_size, sum_step

EMA_SIZE = 2
RSI_SIZE = 4
ATR_SIZE = 4


def sma_size(n: int) -> int:
    """State length of `sma_step`."""
    return sum_size(n)


@njit(forceinline=True)
def sma_step(state: F8, base: int, n: int, x: float) -> float:
    """Mean of the last `n` values."""
    return sum_step(state, base, n, x) / n


@njit(forceinline=True)
def ema_step(state: F8, base: int, n: int, x: float) -> float:
    """Exponential moving average with alpha 2 / (n + 1), seeded with the mean of the first n."""
    return _smooth(state, base, n, 2.0 / (n + 1), x)


@njit(forceinline=True)
def wilder_step(state: F8, base: int, n: int, x: float) -> float:
    """Wilder's smoothing: alpha 1 / n, seeded with the mean of the first n."""
    return _smooth(state, base, n, 1.0 / n, x)


@njit(forceinline=True)
def _smooth(state: F8, base: int, n: int, alpha: float, x: float) -> float:
    if state[base] >= n:
        state[base + 1] += alpha * (x - state[base + 1])
        return state[base + 1]
    state[base] += 1.0
    state[base + 1] += x
    if state[base] < n:
        return math.nan
    state[base + 1] /= n
    return state[base + 1]


@njit(forceinline=True)
def rsi_step(state: F8, base: int, n: int, x: float) -> float:
    """Wilder's relative strength index, 0 to 100, from the changes of `x`.

    Average loss zero gives 100; both averages zero (a flat price) give 50, where TA-Lib gives 0.
    Averages are seeded with the mean of the first n changes (Wilder 1978).
    """
    if state[base] == 0.0:
        state[base], state[base + 1] = 1.0, x
        return math.nan
    change = x - state[base + 1]
    state[base + 1] = x
    gain, loss = max(change, 0.0), max(-change, 0.0)
    if state[base] > n:
        state[base + 2] = (state[base + 2] * (n - 1) + gain) / n
        state[base + 3] = (state[base + 3] * (n - 1) + loss) / n
        return _strength(state[base + 2], state[base + 3])
    state[base] += 1.0
    state[base + 2] += gain
    state[base + 3] += loss
    if state[base] <= n:
        return math.nan
    state[base + 2] /= n
    state[base + 3] /= n
    return _strength(state[base + 2], state[base + 3])


@njit(forceinline=True)
def _strength(gain: float, loss: float) -> float:
    total = gain + loss
    return 100.0 * (gain / total) if total > 0.0 else 50.0


def macd_size() -> int:
    """State length of `macd_step`: a count and three averages."""
    return 1 + 3 * EMA_SIZE


@njit(forceinline=True)
def macd_step(
    state: F8, base: int, fast: int, slow: int, signal: int, x: float
) -> tuple[float, float, float]:
    """MACD line, its signal line and the histogram (line minus signal), in units of `x`.

    As in TA-Lib, the fast average is seeded with the `fast` values before the slow one's start, so
    that both begin together.
    """
    state[base] += 1.0
    if state[base] <= slow - fast:
        ema_step(state, base + 3, slow, x)
        return math.nan, math.nan, math.nan
    quick = ema_step(state, base + 1, fast, x)
    line = quick - ema_step(state, base + 3, slow, x)
    if math.isnan(line):
        return math.nan, math.nan, math.nan
    trigger = ema_step(state, base + 5, signal, line)
    return line, trigger, line - trigger


def bollinger_size(n: int) -> int:
    """State length of `bollinger_step`."""
    return moments_size(n)


@njit(forceinline=True)
def bollinger_step(state: F8, base: int, n: int, x: float) -> tuple[float, float]:
    """Mean of the last `n` values and their population standard deviation."""
    mean, squares = moments_step(state, base, n, x)
    return mean, math.sqrt(squares / n)


@njit(forceinline=True)
def atr_step(state: F8, base: int, n: int, high: float, low: float, close: float) -> float:
    """Wilder's average true range; the first sample only gives the close before the second."""
    if state[base] == 0.0:
        state[base], state[base + 1] = 1.0, close
        return math.nan
    before = state[base + 1]
    state[base + 1] = close
    return wilder_step(state, base + 2, n, max(high, before) - min(low, before))


def volatility_size(n: int) -> int:
    """State length of `volatility_step`."""
    return sum_size(n)


@njit(forceinline=True)
def volatility_step(state: F8, base: int, n: int, change: float) -> float:
    """Root mean square of the last `n` returns: realised volatility per sample, mean not taken."""
    return math.sqrt(sum_step(state, base, n, change * change) / n)
