"""Blocks: one indicator each, turned into scale-free columns of a row.

A block is called once per sample with the state, the `base` of its own slice there, its windows,
the row and its first column there. It computes in float64; storing into the float32 row is the only
rounding. `features.catalogue` declares name, windows, state length, columns and warm-up of each.

The state begins with the sample (`features.sample`).
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.columns import F8
from features.indicators import (
    atr_step,
    bollinger_step,
    ema_step,
    macd_step,
    sma_step,
    volatility_step,
)
from features.sample import ELAPSED_SECS, IS_FIRST, N_TICKS, PIP, RETURN_BPS
from features.windows import extremes_step, lag_step, sum_size, sum_step
from market.bars import CLOSE, HIGH, LOW, SPREAD

F4 = NDArray[np.float32]

BPS = 1e4
DAY_NS = 86_400_000_000_000
WEEK_NS = 7 * DAY_NS
# The epoch was a Thursday; weeks begin on Monday.
MONDAY_NS = 3 * DAY_NS


@njit(forceinline=True)
def return_block(state: F8, base: int, n: int, row: F4, at: int) -> None:
    """Log return over `n` samples."""
    row[at] = BPS * math.log(state[CLOSE] / lag_step(state, base, n, state[CLOSE]))


@njit(forceinline=True)
def volatility_block(state: F8, base: int, short: int, long: int, row: F4, at: int) -> None:
    """Realised volatility over a short and a long window, and the first relative to the second."""
    if state[IS_FIRST] != 0.0:
        return
    quick = volatility_step(state, base, short, state[RETURN_BPS])
    slow = volatility_step(state, base + sum_size(short), long, state[RETURN_BPS])
    row[at], row[at + 1] = quick, slow
    row[at + 2] = quick / slow if slow > 0.0 else 1.0


@njit(forceinline=True)
def spread_block(state: F8, base: int, n: int, row: F4, at: int) -> None:
    """Spread in pips and relative to its mean over `n` samples."""
    mean = sma_step(state, base, n, state[SPREAD])
    row[at] = state[SPREAD] / state[PIP]
    row[at + 1] = state[SPREAD] / mean if mean > 0.0 else 1.0


@njit(forceinline=True)
def rate_block(state: F8, base: int, short: int, long: int, row: F4, at: int) -> None:
    """Quotes per second over a short window, and relative to a long one."""
    if state[IS_FIRST] != 0.0:
        return
    one, two = sum_size(short), sum_size(long)
    quick = sum_step(state, base, short, state[N_TICKS])
    quick /= max(sum_step(state, base + one, short, state[ELAPSED_SECS]), 1e-3)
    base += 2 * one
    slow = sum_step(state, base, long, state[N_TICKS])
    slow /= max(sum_step(state, base + two, long, state[ELAPSED_SECS]), 1e-3)
    row[at] = math.log1p(quick)
    row[at + 1] = math.log(quick / slow)


@njit(forceinline=True)
def time_block(ts: int, row: F4, at: int) -> None:
    """Time of day and of the week (UTC, from Monday) on a circle."""
    day = 2.0 * math.pi * ((ts % DAY_NS) / DAY_NS)
    week = 2.0 * math.pi * (((ts + MONDAY_NS) % WEEK_NS) / WEEK_NS)
    row[at], row[at + 1] = math.sin(day), math.cos(day)
    row[at + 2], row[at + 3] = math.sin(week), math.cos(week)


@njit(forceinline=True)
def sma_block(state: F8, base: int, n: int, row: F4, at: int) -> None:
    """Distance of the close from its simple mean."""
    row[at] = BPS * (state[CLOSE] / sma_step(state, base, n, state[CLOSE]) - 1.0)


@njit(forceinline=True)
def ema_block(state: F8, base: int, n: int, row: F4, at: int) -> None:
    """Distance of the close from its exponential mean."""
    row[at] = BPS * (state[CLOSE] / ema_step(state, base, n, state[CLOSE]) - 1.0)


@njit(forceinline=True)
def macd_block(state: F8, base: int, fast: int, slow: int, signal: int, row: F4, at: int) -> None:
    """MACD line, signal and histogram relative to the close."""
    scale = BPS / state[CLOSE]
    line, trigger, histogram = macd_step(state, base, fast, slow, signal, state[CLOSE])
    row[at], row[at + 1], row[at + 2] = scale * line, scale * trigger, scale * histogram


@njit(forceinline=True)
def bollinger_block(state: F8, base: int, n: int, row: F4, at: int) -> None:
    """Place of the close between the bands at 2 sigma, and the bands' distance."""
    mean, sigma = bollinger_step(state, base, n, state[CLOSE])
    row[at] = 0.5 + (state[CLOSE] - mean) / (4.0 * sigma) if sigma > 0.0 else 0.5
    row[at + 1] = BPS * 4.0 * sigma / mean


@njit(forceinline=True)
def atr_block(state: F8, base: int, n: int, row: F4, at: int) -> None:
    """Average true range relative to the close."""
    average = atr_step(state, base, n, state[HIGH], state[LOW], state[CLOSE])
    row[at] = BPS * average / state[CLOSE]


@njit(forceinline=True)
def range_block(state: F8, base: int, n: int, row: F4, at: int) -> None:
    """Range of the last `n` samples relative to the close, and where in it the close lies."""
    top, bottom = extremes_step(state, base, n, state[HIGH], state[LOW])
    row[at] = BPS * (top - bottom) / state[CLOSE]
    row[at + 1] = (state[CLOSE] - bottom) / (top - bottom) if top > bottom else 0.5
