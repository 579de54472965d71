import math
from fractions import Fraction

import numpy as np
import pytest

from features.windows import (
    extremes_size,
    extremes_step,
    lag_size,
    lag_step,
    moments_size,
    moments_step,
    sum_size,
    sum_step,
)

BASE = 3  # slices lie anywhere in the state


def run(step, size, n, *series):
    state = np.zeros(BASE + size(n) + 2)
    state[:BASE] = state[-2:] = 77.0
    out = [step(state, BASE, n, *values) for values in zip(*series, strict=True)]
    # A slice keeps to itself.
    assert (state[:BASE] == 77.0).all()
    assert (state[-2:] == 77.0).all()
    return np.array(out)


@pytest.mark.parametrize("n", [1, 2, 3, 20, 60])
def test_each_window_is_that_of_the_last_n_values(n):
    x = np.random.default_rng(n).normal(1.3, 0.2, 200)
    lows = x - 0.1
    windows = [x[i - n + 1 : i + 1] for i in range(n - 1, len(x))]
    lagged = run(lag_step, lag_size, n, x.tolist())
    assert np.isnan(lagged[:n]).all()
    assert lagged[n:].tolist() == x[:-n].tolist()
    sums = run(sum_step, sum_size, n, x.tolist())
    assert np.isnan(sums[: n - 1]).all()
    np.testing.assert_allclose(sums[n - 1 :], [math.fsum(w) for w in windows], rtol=1e-14)
    moments = run(moments_step, moments_size, n, x.tolist())
    assert np.isnan(moments[: n - 1]).all()
    np.testing.assert_allclose(moments[n - 1 :, 0], [w.mean() for w in windows], rtol=1e-14)
    np.testing.assert_allclose(
        moments[n - 1 :, 1], [((w - w.mean()) ** 2).sum() for w in windows], rtol=1e-10, atol=0
    )
    extremes = run(extremes_step, extremes_size, n, x.tolist(), lows.tolist())
    assert np.isnan(extremes[: n - 1]).all()
    assert extremes[n - 1 :, 0].tolist() == [w.max() for w in windows]
    assert extremes[n - 1 :, 1].tolist() == [w.min() - 0.1 for w in windows]


def exact_squares(window):
    values = [Fraction(v) for v in window]
    mean = sum(values) / len(values)
    return float(sum((v - mean) ** 2 for v in values))


def test_variance_of_quiet_prices_after_a_jump_keeps_its_digits():
    # A running sum of squares would be left with noise of 1e-16 * 150**2 once the jump is gone.
    rng = np.random.default_rng(1)
    x = np.concatenate([[86.0, 150.0], np.round(86.65 + 1e-3 * rng.integers(0, 2, 300), 3)])
    moments = run(moments_step, moments_size, 20, x.tolist())
    exact = np.array([exact_squares(x[i - 19 : i + 1]) for i in range(30, len(x))])
    np.testing.assert_allclose(moments[30:, 1], exact, rtol=1e-9, atol=0)


def test_flat_prices_after_a_jump_have_no_variance_at_all():
    x = [86.0, 150.0, 3.0] + [86.655] * 60
    moments = run(moments_step, moments_size, 20, x)
    assert (moments[22:, 1] == 0.0).all()
    assert (moments[22:, 0] == 86.655).all()


def test_a_sum_forgets_a_spike_completely():
    x = [1e-3, 1e12] + [1e-3] * 60
    sums = run(sum_step, sum_size, 20, x)
    np.testing.assert_allclose(sums[21:], 0.02, rtol=1e-14)
