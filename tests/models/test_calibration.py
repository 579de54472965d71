"""Platt scaling finds the line, falls back where it must, and is one formula everywhere."""

import math

import numpy as np
import pytest

from models.calibration import Calibration, fit_isotonic, fit_platt


def drawn(slope: float, offset: float, n: int = 40_000, seed: int = 0) -> tuple:
    rng = np.random.default_rng(seed)
    margins = rng.normal(size=n)
    return margins, rng.random(n) < 1.0 / (1.0 + np.exp(-(slope * margins + offset)))


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.3, -0.4), (2.5, 1.0)])
def test_platt_recovers_the_line(slope: float, offset: float) -> None:
    found = fit_platt(*drawn(slope, offset))
    assert found.kind == "platt"
    assert (found.slope, found.offset) == pytest.approx((slope, offset), abs=0.06)
    assert all(type(value) is float for value in found.params.values())


def test_platt_is_at_the_minimum() -> None:
    margins, up = drawn(0.7, 0.1, 500)
    found = fit_platt(margins, up)
    n_up, n_down = up.sum(), (~up).sum()
    target = np.where(up, (n_up + 1) / (n_up + 2), 1 / (n_down + 2))
    error = found.apply(margins) - target
    assert abs(error.mean()) < 1e-6
    assert abs((error * margins).mean()) < 1e-6


def test_weights_count_independent_labels() -> None:
    margins, up = drawn(0.7, 0.1, 500)
    twice = fit_platt(np.repeat(margins, 2), np.repeat(up, 2), np.full(1_000, 0.5))
    once = fit_platt(margins, up)
    assert (twice.slope, twice.offset) == pytest.approx((once.slope, once.offset), abs=1e-6)
    few = np.full(500, 12.0 / 500.0)
    assert 0.0 < fit_platt(margins, up, few).slope < once.slope
    assert fit_platt(margins, up, few / 2.0).kind == "identity"


def test_perfectly_separated_classes_still_give_finite_numbers() -> None:
    margins = np.concatenate([np.linspace(-3, -1, 200), np.linspace(1, 3, 200)])
    found = fit_platt(margins, margins > 0)
    assert np.isfinite([found.slope, found.offset]).all()
    p = found.apply(margins)
    assert ((p > 0.0) & (p < 1.0)).all()


@pytest.mark.parametrize(
    ("margins", "up"),
    [
        (np.linspace(-1, 1, 8), np.arange(8) % 2 == 0),
        (np.linspace(-1, 1, 200), np.ones(200, bool)),
        (np.full(200, 0.3), np.arange(200) % 2 == 0),
    ],
    ids=["few rows", "one class", "constant margins"],
)
def test_degenerate_rows_give_the_identity(margins: np.ndarray, up: np.ndarray) -> None:
    assert fit_platt(margins, up) == Calibration("identity", {})


def test_scores_that_order_nothing_give_the_base_rate() -> None:
    margins, up = drawn(-0.5, 0.4)
    found = fit_platt(margins, up)
    assert found.kind == "base_rate"
    assert found.apply(np.array([-5.0, 0.0, 5.0])) == pytest.approx(up.mean(), abs=1e-4)


def test_extreme_margins_do_not_overflow() -> None:
    p = Calibration().apply(np.array([-1e9, -800.0, 0.0, 800.0, 1e9]))
    assert p.tolist() == [0.0, math.exp(-800.0), 0.5, 1.0, 1.0]


def test_one_by_one_equals_the_vector() -> None:
    margins, _ = drawn(1.0, 0.0, 2_000, seed=5)
    calibration = Calibration("platt", {"slope": 0.61, "offset": -0.07})
    single = [calibration.apply(margins[k : k + 1])[0] for k in range(len(margins))]
    assert np.array_equal(calibration.apply(margins), single)


def test_isotonic_finds_a_curve_that_no_line_fits() -> None:
    rng = np.random.default_rng(0)
    margins = rng.uniform(-2, 2, 40_000)
    truth = np.where(margins < 0, 0.3, np.where(margins < 1, 0.5, 0.9))
    up = rng.random(40_000) < truth
    found = fit_isotonic(margins, up)
    assert found.kind == "isotonic"
    assert found.sound()
    at = np.array([-1.5, -0.5, 0.5, 1.5])
    assert found.apply(at) == pytest.approx([0.3, 0.3, 0.5, 0.9], abs=0.03)
    p = found.apply(np.linspace(-9, 9, 1_000))
    assert (np.diff(p) >= 0).all()
    assert 0.0 < p[0] < p[-1] < 1.0
    later = rng.uniform(-2, 2, 40_000)
    truth = np.where(later < 0, 0.3, np.where(later < 1, 0.5, 0.9))
    line = fit_platt(margins, up).apply(later)
    assert np.mean((found.apply(later) - truth) ** 2) < 0.2 * np.mean((line - truth) ** 2)


def test_isotonic_trusts_no_pool_to_be_certain() -> None:
    margins = np.linspace(-1, 1, 500)
    found = fit_isotonic(margins, margins > 0)
    assert (found.p[0], found.p[-1]) == pytest.approx((1 / 502, 501 / 502))


def test_isotonic_falls_back_where_it_must() -> None:
    margins, up = drawn(0.7, 0.1, 150)
    assert fit_isotonic(margins, up) == fit_platt(margins, up)
    few = np.full(3_000, 0.05)
    margins, up = drawn(0.7, 0.1, 3_000)
    assert fit_isotonic(margins, up, few) == fit_platt(margins, up, few)
    fallen = fit_isotonic(-np.arange(400.0), np.arange(400) >= 200)
    assert fallen.kind == "base_rate"
    assert fallen.apply(np.array([-3.0, 3.0])) == pytest.approx(0.5)
    assert fit_isotonic(margins, np.ones(3_000, bool)).kind == "identity"


def test_isotonic_one_by_one_equals_the_vector() -> None:
    found = fit_isotonic(*drawn(1.0, 0.0, 5_000, seed=5))
    margins = np.concatenate([np.random.default_rng(1).normal(size=500), found.knots()[0]])
    single = [found.apply(margins[k : k + 1])[0] for k in range(len(margins))]
    assert np.array_equal(found.apply(margins), single)
    plain = np.interp(margins, *found.knots())
    assert found.apply(margins) == pytest.approx(plain, abs=1e-15)


@pytest.mark.parametrize(
    "broken",
    [
        Calibration("isotonic"),
        Calibration("isotonic", {}, (0.0, 1.0), (0.5,)),
        Calibration("isotonic", {}, (1.0, 0.0), (0.4, 0.5)),
        Calibration("isotonic", {}, (0.0, 1.0), (0.6, 0.5)),
        Calibration("isotonic", {}, (0.0, 1.0), (0.5, 1.1)),
        Calibration("isotonic", {}, (0.0, math.nan), (0.5, 0.6)),
        Calibration("platt", {"slope": math.inf, "offset": 0.0}),
        Calibration("platt", {"slope": 1.0, "offset": 0.0}, (0.0,), (0.5,)),
    ],
)
def test_knots_that_are_no_curve_are_not_sound(broken: Calibration) -> None:
    assert not broken.sound()
