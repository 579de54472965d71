"""Candlestick patterns agree with TA-Lib exactly, on every file and where prices tie."""

import numpy as np
import pytest
import talib

from features import patterns
from features.catalogue_full import talib_name
from market.bars import bars_of


def run(*ohlc):
    state = np.zeros(patterns.SIZE + 6)
    state[:3] = state[-3:] = 77.0
    out = []
    for values in zip(*(series.tolist() for series in ohlc), strict=True):
        patterns.candle_step(state, 3, *values)
        out.append(state[3 + patterns.OUT : 3 + patterns.SIZE].copy())
    # A slice keeps to itself.
    assert (state[:3] == 77.0).all()
    assert (state[-3:] == 77.0).all()
    return np.array(out)


def assert_agrees(*ohlc):
    got = run(*ohlc)
    for k, name in enumerate(patterns.NAMES):
        expected = getattr(talib, talib_name(name))(*ohlc)
        np.testing.assert_array_equal(got[:, k], expected, err_msg=name)
    return got


@pytest.mark.parametrize("secs", [60, 300, 900])
def test_patterns_of_real_bars_are_talibs(tape, secs):
    bars = bars_of(tape.columns, secs * 10**9)
    assert_agrees(bars.open, bars.high, bars.low, bars.close)


@pytest.mark.parametrize("grid", [1e-5, 5e-6, 1e-3])
def test_patterns_of_prices_on_a_grid_are_talibs_even_where_they_tie(grid):
    rng = np.random.default_rng(7)
    n = 20_000
    close = 1.3 + np.cumsum(rng.integers(-4, 5, n)) * grid
    open_ = np.r_[1.3, close[:-1]] + rng.integers(-2, 3, n) * grid
    close, open_ = np.round(np.abs(close) + 1, 6), np.round(np.abs(open_) + 1, 6)
    high = np.round(np.maximum(open_, close) + rng.integers(0, 4, n) * grid, 6)
    low = np.round(np.minimum(open_, close) - rng.integers(0, 4, n) * grid, 6)
    got = assert_agrees(open_, high, low, close)
    assert (got != 0).any(axis=0).all()


def test_a_pattern_does_not_depend_on_where_the_tape_began():
    rng = np.random.default_rng(1)
    close = 1.3 + np.cumsum(rng.normal(0, 1e-4, 400))
    open_ = np.r_[1.3, close[:-1]]
    ohlc = (open_, np.maximum(open_, close) + 5e-5, np.minimum(open_, close) - 5e-5, close)
    late = run(*(series[100:] for series in ohlc))
    need = patterns.CANDLES_NEEDED
    np.testing.assert_array_equal(late[need:], run(*ohlc)[100 + need :])
