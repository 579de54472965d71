"""Columns of closed bars of a stated length: several horizons, range volatility, patterns.

Samples are collected into bars of `secs` seconds by the rules of `market.bars`: a bar closes when a
sample of a later bucket comes, or at once when a sample ends exactly with it. Until the bars that a
block looks at are there, it says so in ``COLD_BLOCKS`` and the row is withheld. The first bar of a
tape may have begun before it, so one more is asked for where its range or opening would count.

A slice begins with the bar that is forming, ``N_BAR`` floats, all zeros when fresh.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.columns import F8
from features import patterns
from features.sample import COLD_BLOCKS, ENDS
from features.windows import sum_size, sum_step
from market.bars import CLOSE, HIGH, LOW, OPEN

F4 = NDArray[np.float32]

BPS = 1e4
_SEC = 1_000_000_000
_FORMING, _BUCKET, _O, _H, _L, _C, _CLOSED = range(7)
N_BAR = 7
# After the bar: the last closed one's close, return, range and location of the close.
_LAST, _RETURN, _RANGE, _PLACE = range(N_BAR, N_BAR + 4)
HORIZON_SIZE = N_BAR + 4
HORIZON_NEEDS = 2
_PARKINSON = 1.0 / (4.0 * math.log(2.0))
_GARMAN_KLASS = 2.0 * math.log(2.0) - 1.0


@njit(forceinline=True)
def _closes_before(state: F8, base: int, bucket: float) -> bool:
    return bool(state[base + _FORMING] > 0.0 and bucket > state[base + _BUCKET])


@njit(forceinline=True)
def _closes_with(state: F8, bucket: float, ts: int, secs: int) -> bool:
    return bool(state[ENDS] != 0.0 and ts == (int(bucket) + 1) * (secs * _SEC))


@njit(forceinline=True)
def _bucket(state: F8, ts: int, secs: int) -> float:
    return float((ts - int(state[ENDS])) // (secs * _SEC))


@njit(forceinline=True)
def _add(state: F8, base: int, bucket: float) -> None:
    if state[base + _FORMING] == 0.0:
        state[base + _O] = state[OPEN]
        state[base + _H], state[base + _L] = state[HIGH], state[LOW]
    state[base + _H] = max(state[base + _H], state[HIGH])
    state[base + _L] = min(state[base + _L], state[LOW])
    state[base + _C] = state[CLOSE]
    state[base + _FORMING], state[base + _BUCKET] = 1.0, bucket


@njit(forceinline=True)
def _end(state: F8, base: int) -> None:
    state[base + _FORMING] = 0.0
    state[base + _CLOSED] += 1.0


@njit(forceinline=True)
def horizon_block(state: F8, base: int, secs: int, ts: int, row: F4, at: int) -> None:
    """Return, range and place of the close of the last closed bar."""
    bucket = _bucket(state, ts, secs)
    # A sample can close the bar before it and its own.
    for own in range(2):
        if own == 1:
            _add(state, base, bucket)
            if not _closes_with(state, bucket, ts, secs):
                continue
        elif not _closes_before(state, base, bucket):
            continue
        close, last = state[base + _C], state[base + _LAST]
        width = state[base + _H] - state[base + _L]
        state[base + _RETURN] = BPS * math.log(close / last) if last > 0.0 else 0.0
        state[base + _RANGE] = BPS * width / close
        state[base + _PLACE] = (close - state[base + _L]) / width if width > 0.0 else 0.5
        state[base + _LAST] = close
        _end(state, base)
    row[at], row[at + 1] = state[base + _RETURN], state[base + _RANGE]
    row[at + 2] = state[base + _PLACE]
    if state[base + _CLOSED] < HORIZON_NEEDS:
        state[COLD_BLOCKS] += 1.0


def range_volatility_size(_: int, n: int) -> int:
    """State length of `range_volatility_block`."""
    return N_BAR + 2 + 2 * sum_size(n)


@njit(forceinline=True)
def range_volatility_block(
    state: F8, base: int, secs: int, n: int, ts: int, row: F4, at: int
) -> None:
    """Volatility per bar from the ranges of the last `n` closed bars.

    Parkinson (1980) from high and low; Garman and Klass (1980) with the body as well. Each term of
    the sums is at least zero, since a body is no longer than its range.
    """
    bucket = _bucket(state, ts, secs)
    for own in range(2):
        if own == 1:
            _add(state, base, bucket)
            if not _closes_with(state, bucket, ts, secs):
                continue
        elif not _closes_before(state, base, bucket):
            continue
        width = math.log(state[base + _H] / state[base + _L])
        body = math.log(state[base + _C] / state[base + _O])
        squares = width * width
        term = max(0.0, 0.5 * squares - _GARMAN_KLASS * body * body)
        sums = base + N_BAR + 2
        squares_sum = sum_step(state, sums, n, squares)
        terms_sum = sum_step(state, sums + sum_size(n), n, term)
        state[base + N_BAR] = BPS * math.sqrt(_PARKINSON * squares_sum / n)
        state[base + N_BAR + 1] = BPS * math.sqrt(terms_sum / n)
        _end(state, base)
    row[at], row[at + 1] = state[base + N_BAR], state[base + N_BAR + 1]
    if state[base + _CLOSED] < n + 1:
        state[COLD_BLOCKS] += 1.0


PATTERNS_SIZE = N_BAR + patterns.SIZE
PATTERNS_NEED = patterns.CANDLES_NEEDED + 1


@njit(forceinline=True)
def patterns_block(state: F8, base: int, secs: int, ts: int, row: F4, at: int) -> None:
    """Candlestick patterns that end with the last closed bar."""
    bucket = _bucket(state, ts, secs)
    for own in range(2):
        if own == 1:
            _add(state, base, bucket)
            if not _closes_with(state, bucket, ts, secs):
                continue
        elif not _closes_before(state, base, bucket):
            continue
        patterns.candle_step(
            state,
            base + N_BAR,
            state[base + _O],
            state[base + _H],
            state[base + _L],
            state[base + _C],
        )
        _end(state, base)
    for k in range(patterns.N_PATTERNS):
        row[at + k] = state[base + N_BAR + patterns.OUT + k]
    if state[base + _CLOSED] < PATTERNS_NEED:
        state[COLD_BLOCKS] += 1.0
