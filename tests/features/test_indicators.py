import numpy as np
import pytest

from features import indicators as ind
from tests import naive


@pytest.fixture(params=["walk", "jumps", "quiet"])
def prices(request):
    rng = np.random.default_rng(4)
    steps = {
        "walk": rng.normal(0, 1e-3, 400),
        "jumps": rng.choice([0, 0, 0, 1e-5, -1e-5, 0.05, -0.05], 400),
        "quiet": rng.choice([0, 1e-5, -1e-5], 400),
    }[request.param]
    close = 1.5 + np.cumsum(steps)
    high, low = close + rng.random(400) * 1e-4, close - rng.random(400) * 1e-4
    return high.tolist(), low.tolist(), close.tolist()


def run(step, size, args, *series):
    state = np.zeros(size + 5)
    return np.array([step(state, 5, *args, *values) for values in zip(*series, strict=True)])


def assert_close(got, expected, scale=1.5):
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("n", [2, 14, 26])
def test_kernels_agree_with_their_naive_twins(prices, n):
    high, low, close = prices
    assert_close(run(ind.sma_step, ind.sma_size(n), (n,), close), naive.sma(close, n))
    assert_close(run(ind.ema_step, ind.EMA_SIZE, (n,), close), naive.ema(close, n))
    assert_close(
        run(ind.atr_step, ind.ATR_SIZE, (n,), high, low, close), naive.atr(high, low, close, n)
    )
    got = run(ind.bollinger_step, ind.bollinger_size(n), (n,), close)
    mean, sigma = naive.bollinger(close, n)
    assert_close(got[:, 0], mean)
    assert_close(got[:, 1], sigma)
    changes = np.diff(close, prepend=close[0])
    expected = np.sqrt(naive.sma((changes**2).tolist(), n))
    assert_close(run(ind.volatility_step, ind.volatility_size(n), (n,), changes.tolist()), expected)


@pytest.mark.parametrize("n", [2, 14])
def test_rsi_agrees_with_its_naive_twin(prices, n):
    close = prices[2]
    assert_close(run(ind.rsi_step, ind.RSI_SIZE, (n,), close), naive.rsi(close, n), scale=1e4)


@pytest.mark.parametrize("windows", [(12, 26, 9), (3, 10, 4)])
def test_macd_agrees_with_its_naive_twin(prices, windows):
    close = prices[2]
    got = run(ind.macd_step, ind.macd_size(), windows, close)
    for column, expected in zip(got.T, naive.macd(close, *windows), strict=True):
        assert_close(column, expected)


def test_rsi_of_a_price_that_never_fell_is_100_and_of_a_flat_one_50():
    rising = run(ind.rsi_step, ind.RSI_SIZE, (14,), [1.0 + 0.01 * i for i in range(40)])
    assert (rising[14:] == 100.0).all()
    falling = run(ind.rsi_step, ind.RSI_SIZE, (14,), [2.0 - 0.01 * i for i in range(40)])
    assert (falling[14:] == 0.0).all()
    flat = run(ind.rsi_step, ind.RSI_SIZE, (14,), [1.1] * 40)
    assert np.isnan(flat[:14]).all()
    assert (flat[14:] == 50.0).all()


def test_rsi_is_wilders_and_not_of_the_last_14_changes():
    # A fall before the last 14 changes still counts: the simple mean would say 100.
    x = [2.0] * 16 + [1.0 + 0.01 * i for i in range(20)]
    assert run(ind.rsi_step, ind.RSI_SIZE, (14,), x)[-1] < 75.0


def test_bollinger_of_a_flat_price_has_no_width():
    got = run(ind.bollinger_step, ind.bollinger_size(20), (20,), [1.0, 9.0] + [1.57593] * 30)
    assert (got[21:, 1] == 0.0).all()
