"""What may be lost, against figures worked out by hand and distributions that are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.types import tick
from trading.mark_history import SAMPLE_NS, MarkHistory
from trading.marks import Marks
from trading.value_at_risk import LEAST_SAMPLES, historical, parametric, shocked


def test_historical_tail_is_that_of_the_samples():
    # 100 losses of 1, 2, ..., 100 for one unit of exposure: the worst five average 98.
    returns = -np.arange(1.0, 101.0)[:, None] / 100
    tail = historical(np.array([100.0]), returns, 0.95, 1.0)
    assert tail.value_at_risk == pytest.approx(96.0)
    assert tail.expected_shortfall == pytest.approx(98.0)


def test_parametric_tail_is_that_of_a_normal_distribution():
    draws = np.random.default_rng(5).normal(0.0, 0.01, (200_000, 1))
    tail = parametric(np.array([-1_000.0]), draws, 0.99, 1.0)
    assert tail.value_at_risk == pytest.approx(10 * 2.3263, rel=0.01)
    assert tail.expected_shortfall == pytest.approx(10 * 2.6652, rel=0.01)
    both = historical(np.array([-1_000.0]), draws, 0.99, 1.0)
    assert both.value_at_risk == pytest.approx(tail.value_at_risk, rel=0.02)


def test_positions_that_offset_each_other_lose_nothing():
    moves = np.random.default_rng(5).normal(0.0, 0.01, (500, 1))
    returns = np.hstack([moves, moves])
    for tail_of in (historical, parametric):
        tail = tail_of(np.array([1_000.0, -1_000.0]), returns, 0.99, 1.0)
        assert tail == pytest.approx((0.0, 0.0), abs=1e-6)


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_the_shortfall_is_never_below_the_value_at_risk_and_scales(held, seed):
    returns = np.random.default_rng(seed).normal(0, 0.01, (60, 3))
    for tail_of in (historical, parametric):
        tail = tail_of(np.array(held), returns, 0.95, 1.0)
        assert 0.0 <= tail.value_at_risk <= tail.expected_shortfall + 1e-6
        day = tail_of(np.array(held), returns, 0.95, 4.0)
        assert day.value_at_risk == pytest.approx(2 * tail.value_at_risk)


def test_too_few_samples_or_an_unknown_price_say_nothing():
    returns = np.full((LEAST_SAMPLES - 1, 2), 0.01)
    assert historical(np.array([1.0, 0.0]), returns, 0.95, 1.0) is None
    known = np.vstack([returns, returns])
    known[:, 1] = np.nan
    assert parametric(np.array([1.0, 0.0]), known, 0.95, 1.0) is not None  # it is not held
    assert parametric(np.array([1.0, 1.0]), known, 0.95, 1.0) is None


def test_a_flat_account_may_lose_nothing():
    returns = np.full((100, 2), 0.01)
    for tail_of in (historical, parametric):
        assert tail_of(np.zeros(2), returns, 0.95, 1.0) == (0.0, 0.0)


def test_a_shock_moves_each_position_by_its_own():
    assert shocked(np.array([1_000.0, -500.0]), np.array([-0.02, -0.02])) == pytest.approx(-10.0)


def observe(marks, history, minute, bid, instrument=0, part=0):
    quote = tick(instrument, 1, minute * SAMPLE_NS + part, bid, bid + 0.0002)
    history.observe(quote)
    marks.update(quote)


@pytest.fixture
def marks(house):
    return Marks(house.account.portfolio._instruments, "USD")


def test_a_row_is_of_the_end_of_its_minute_for_all_instruments(marks):
    history = MarkHistory(marks, 4)
    observe(marks, history, 10, 1.0)
    observe(marks, history, 10, 1.1, part=59)
    observe(marks, history, 11, 1.3, instrument=1)  # ends minute 10
    assert len(history) == 1
    observe(marks, history, 12, 1.21)
    observe(marks, history, 15, 9.9)
    moves = history.returns()
    assert moves.shape == (2, 4)
    assert moves[0, 0] == 0.0
    assert moves[1, 0] == pytest.approx(1.2101 / 1.1001 - 1)
    assert np.isnan(moves[0, 1])
    assert moves[1, 1] == 0.0
    assert np.isnan(moves[:, 2:]).all()


def test_the_oldest_rows_are_let_go(marks):
    history = MarkHistory(marks, 4, capacity=5)
    for minute in range(1, 30):
        observe(marks, history, minute, 1.0 + minute / 1_000)
    moves = history.returns()
    assert len(history) == 5
    assert len(moves) == 4
    assert (moves[:, 0] > 0).all()  # in order, also where the ring turns
