"""TA-Lib is the oracle: |error| <= 1e-9 x price, oscillators 1e-9 x full scale, on every file."""

import numpy as np
import pytest
import talib

from features import indicators as ind
from market.bars import bars_of


def run(step, size, args, *series):
    state = np.zeros(size)
    lists = (s.tolist() for s in series)
    return np.array([step(state, 0, *args, *values) for values in zip(*lists, strict=True)])


@pytest.fixture(params=["bars", "quotes"])
def prices(request, tape):
    """High, low and close of the tape's bars, and of its single quotes."""
    if request.param == "bars":
        bars = bars_of(tape.columns)
        return bars.high, bars.low, bars.close
    mid = 0.5 * (tape.columns.bid + tape.columns.ask)
    return tape.columns.high, tape.columns.low, mid


def assert_agrees(got, expected, scale, after):
    """Both have values from `after` on, and those agree."""
    assert np.isnan(expected[:after]).all()
    assert np.isnan(got[:after]).all()
    assert not np.isnan(expected[after:]).any()
    error = np.abs(got[after:] - expected[after:])
    assert (error <= 1e-9 * (scale[after:] if np.ndim(scale) else scale)).all(), error.max()


@pytest.mark.parametrize("n", [20, 60])
def test_sma(prices, n):
    close = prices[2]
    if len(close) < n:
        pytest.skip(f"{len(close)} samples are fewer than the window of {n}")
    got = run(ind.sma_step, ind.sma_size(n), (n,), close)
    assert_agrees(got, talib.SMA(close, n), close, n - 1)


@pytest.mark.parametrize("n", [12, 26])
def test_ema(prices, n):
    close = prices[2]
    got = run(ind.ema_step, ind.EMA_SIZE, (n,), close)
    assert_agrees(got, talib.EMA(close, n), close, n - 1)


def test_rsi(prices):
    close = prices[2]
    got = run(ind.rsi_step, ind.RSI_SIZE, (14,), close)
    expected = talib.RSI(close, 14)
    # The stated exception: a price that has been flat so far is 50 here and 0 there.
    flat = np.array([(close[: i + 1] == close[0]).all() for i in range(len(close))])
    assert (got[14:][flat[14:]] == 50.0).all()
    expected[14:][flat[14:]] = 50.0
    assert_agrees(got, expected, 100.0, 14)


def test_macd(prices):
    close = prices[2]
    if len(close) < 34:
        pytest.skip(f"{len(close)} samples never start a signal line")
    got = run(ind.macd_step, ind.macd_size(), (12, 26, 9), close)
    line, signal, histogram = talib.MACD(close, 12, 26, 9)
    # TA-Lib withholds the line until the signal starts.
    assert np.isfinite(got[25:33, 0]).all()
    got[:33, 0] = np.nan
    for column, expected in zip(got.T, (line, signal, histogram), strict=True):
        assert_agrees(column, expected, close, 33)


def test_bollinger(prices):
    close = prices[2]
    got = run(ind.bollinger_step, ind.bollinger_size(20), (20,), close)
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    assert_agrees(got[:, 0], middle, close, 19)
    assert_agrees(got[:, 0] + 2 * got[:, 1], upper, close, 19)
    assert_agrees(got[:, 0] - 2 * got[:, 1], lower, close, 19)


def test_atr(prices):
    high, low, close = prices
    got = run(ind.atr_step, ind.ATR_SIZE, (14,), high, low, close)
    assert_agrees(got, talib.ATR(high, low, close, 14), close, 14)
