"""Sliding windows in constant time per sample, without ever subtracting what left the window.

A running sum that adds the new and subtracts the old value loses digits for good, and a variance
built that way cancels on quiet prices. Here the samples fall into blocks of n: a window is a suffix
of the block before (its aggregates are worked out once, when that block ends) joined with a prefix
of the current one (van Herk 1992, Gil and Werman 1993). Each sample enters a few additions only.

A slice of the state begins at `base` and is all zeros when fresh: first the position in the current
block, then 1 once a block has ended. Steps return NaN until the window is full.
"""

import math

from numba import njit
from numba.extending import register_jitable

from core.columns import F8


@register_jitable
def lag_size(n: int) -> int:
    """State length of `lag_step`."""
    return 2 + n


@njit(forceinline=True)
def lag_step(state: F8, base: int, n: int, x: float) -> float:
    """Value of `n` samples ago."""
    at = int(state[base])
    old = state[base + 2 + at] if state[base + 1] != 0.0 else math.nan
    state[base + 2 + at] = x
    state[base] = at + 1
    if at + 1 == n:
        state[base], state[base + 1] = 0.0, 1.0
    return old


@register_jitable
def sum_size(n: int) -> int:
    """State length of `sum_step`."""
    return 3 + n


@njit(forceinline=True)
def sum_step(state: F8, base: int, n: int, x: float) -> float:
    """Sum of the last `n` values; relative error under ``n * 2**-53`` for values of one sign."""
    at = int(state[base])
    prefix = x if at == 0 else state[base + 2] + x
    state[base + 2] = prefix
    state[base + 3 + at] = x
    if at + 1 < n:
        state[base] = at + 1
        return state[base + 3 + at + 1] + prefix if state[base + 1] != 0.0 else math.nan
    suffix = 0.0
    for j in range(n - 1, -1, -1):
        suffix += state[base + 3 + j]
        state[base + 3 + j] = suffix
    state[base], state[base + 1] = 0.0, 1.0
    return prefix


def moments_size(n: int) -> int:
    """State length of `moments_step`."""
    return 4 + 2 * n


@njit(forceinline=True)
def moments_step(state: F8, base: int, n: int, x: float) -> tuple[float, float]:
    """Mean of the last `n` values and their sum of squared deviations from it.

    Welford's update inside a block, and the pairwise merge of Chan, Golub and LeVeque (1979)
    between the two parts: nothing large is subtracted, and equal values give exactly zero.
    """
    at = int(state[base])
    if at == 0:
        state[base + 2], state[base + 3] = 0.0, 0.0
    delta = x - state[base + 2]
    mean = x if at == 0 else state[base + 2] + delta / (at + 1)
    squares = 0.0 if at == 0 else state[base + 3] + delta * (x - mean)
    state[base + 2], state[base + 3] = mean, squares
    state[base + 4 + at] = x
    if at + 1 == n:
        _end_moments_block(state, base, n)
        return mean, squares
    state[base] = at + 1
    if state[base + 1] == 0.0:
        return math.nan, math.nan
    old, new = float(n - at - 1), float(at + 1)
    gap = mean - state[base + 4 + at + 1]
    joined = state[base + 4 + n + at + 1] + squares + gap * gap * (old * new / n)
    return state[base + 4 + at + 1] + gap * (new / n), joined


@njit(forceinline=True)
def _end_moments_block(state: F8, base: int, n: int) -> None:
    mean, squares = state[base + 4 + n - 1], 0.0
    state[base + 3 + 2 * n] = 0.0
    for j in range(n - 2, -1, -1):
        x = state[base + 4 + j]
        delta = x - mean
        mean += delta / (n - j)
        squares += delta * (x - mean)
        state[base + 4 + j], state[base + 4 + n + j] = mean, squares
    state[base], state[base + 1] = 0.0, 1.0


def extremes_size(n: int) -> int:
    """State length of `extremes_step`."""
    return 4 + 2 * n


@njit(forceinline=True)
def extremes_step(state: F8, base: int, n: int, high: float, low: float) -> tuple[float, float]:
    """Highest `high` and lowest `low` of the last `n` samples."""
    at = int(state[base])
    if at == 0 or high > state[base + 2]:
        state[base + 2] = high
    if at == 0 or low < state[base + 3]:
        state[base + 3] = low
    state[base + 4 + at], state[base + 4 + n + at] = high, low
    if at + 1 == n:
        top, bottom = state[base + 2], state[base + 3]
        for j in range(n - 2, -1, -1):
            state[base + 4 + j] = max(state[base + 4 + j], state[base + 5 + j])
            state[base + 4 + n + j] = min(state[base + 4 + n + j], state[base + 5 + n + j])
        state[base], state[base + 1] = 0.0, 1.0
        return top, bottom
    state[base] = at + 1
    if state[base + 1] == 0.0:
        return math.nan, math.nan
    return max(state[base + 2], state[base + 5 + at]), min(
        state[base + 3], state[base + 5 + n + at]
    )
