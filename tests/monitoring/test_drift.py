"""False alarms and power of the drift thresholds, by simulation, beside those of PSI > 0.1."""

import numpy as np
import pytest
from scipy import special, stats

from monitoring.distributions import (
    gamma_tail,
    kolmogorov_tail,
    student_tail,
    threshold,
)
from monitoring.drift import (
    LEAST_ROWS,
    LEAST_WINDOWS,
    Sketch,
    distance,
    sketch,
    thresholds,
    usual,
    window_sizes,
)

LEVEL = 0.01
WIDELY_USED = 0.1


@pytest.mark.parametrize("shape", [0.3, 0.5, 3.0, 4.5, 60.0])
@pytest.mark.parametrize("x", [0.001, 0.4, 3.0, 12.0, 90.0])
def test_gamma_tail_is_that_of_scipy(x: float, shape: float) -> None:
    assert gamma_tail(x, shape) == pytest.approx(special.gammaincc(shape, x), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("dof", [1.0, 4.0, 19.5, 200.0])
@pytest.mark.parametrize("t", [-3.0, 0.0, 0.7, 2.5, 30.0])
def test_student_tail_is_that_of_scipy(t: float, dof: float) -> None:
    assert student_tail(t, dof) == pytest.approx(stats.t.sf(t, dof), rel=1e-8, abs=1e-15)


@pytest.mark.parametrize("n", [128, 1024, 50_000])
@pytest.mark.parametrize("chance", [0.2, 0.01, 1e-4])
def test_kolmogorov_tail_is_near_the_exact_one(n: int, chance: float) -> None:
    assert kolmogorov_tail(stats.kstwo.isf(chance, n), n) == pytest.approx(chance, rel=0.03)


def test_a_threshold_is_where_the_tail_is_at_the_level() -> None:
    found = threshold(lambda x: gamma_tail(x, 2.0), 1e-5, 1e-3)
    assert gamma_tail(found, 2.0) == pytest.approx(1e-5, rel=1e-6)


def autoregressive(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    """Standard normal values, neighbours correlated by `phi`."""
    noise = rng.standard_normal(n)
    out = np.empty(n)
    out[0] = noise[0]
    for k in range(1, n):
        out[k] = phi * out[k - 1] + np.sqrt(1.0 - phi * phi) * noise[k]
    return out


def shares_of_alarms(
    rows: int, phi: float = 0.0, shift: float = 0.0, trainings: int = 12, each: int = 50
) -> tuple[float, float, float]:
    """Share of live windows over our thresholds, over PSI 0.1, over those of independent rows."""
    rng = np.random.default_rng(3)
    ours = fixed = independent = 0
    for _ in range(trainings):
        reference = sketch("x", autoregressive(rng, 30 * rows, phi), (rows,))
        bound = stats.chi2.isf(LEVEL, 9) * (1.0 / rows + 1.0 / reference.rows)
        for _ in range(each):
            seen = distance(reference, autoregressive(rng, rows, phi) + shift)
            ours += seen.p_value < LEVEL
            fixed += seen.psi > WIDELY_USED
            independent += seen.psi > bound
    count = trainings * each
    return ours / count, fixed / count, independent / count


def test_a_fixed_psi_cries_wolf_on_small_windows_and_ours_does_not() -> None:
    ours, fixed, _ = shares_of_alarms(LEAST_ROWS)
    assert ours <= 2.5 * LEVEL
    assert fixed > 0.1


def test_a_fixed_psi_sleeps_on_large_windows_and_ours_does_not() -> None:
    ours, fixed, _ = shares_of_alarms(4_096, shift=0.12, trainings=3, each=10)
    assert ours > 0.9
    assert fixed == 0.0


@pytest.mark.parametrize("phi", [0.9, 0.99])
def test_rows_that_resemble_their_neighbours_raise_no_alarm(phi: float) -> None:
    ours, _, independent = shares_of_alarms(256, phi)
    assert ours <= 2.5 * LEVEL
    assert independent > 0.5


def test_a_change_is_seen_through_dependence() -> None:
    ours, _, _ = shares_of_alarms(2_048, 0.9, shift=0.8, trainings=3, each=10)
    assert ours > 0.9


def test_independent_rows_give_the_thresholds_of_theory() -> None:
    rng = np.random.default_rng(5)
    rows = 512
    reference = sketch("x", rng.standard_normal(200 * rows), (rows,))
    psi, ks = thresholds(reference, rows, LEVEL)
    m = reference.rows
    assert psi == pytest.approx(stats.chi2.isf(LEVEL, 9) * (1.0 / rows + 1.0 / m), rel=0.2)
    assert ks == pytest.approx(stats.kstwo.isf(LEVEL, rows * m // (rows + m)), rel=0.2)


def test_thresholds_fall_as_windows_grow() -> None:
    rng = np.random.default_rng(6)
    sizes = (128, 512, 2_048)
    reference = sketch("x", autoregressive(rng, 45_000, 0.9), sizes)
    found = [thresholds(reference, rows, LEVEL) for rows in sizes]
    assert found == sorted(found, reverse=True)


def constant(value: float) -> Sketch:
    return sketch("x", np.full(4_000, value, np.float32), (128,))


@pytest.mark.parametrize("moved", [-1.0, 1.0])
def test_a_column_that_never_changed_alarms_when_it_does(moved: float) -> None:
    reference = constant(0.5)
    assert distance(reference, np.full(128, 0.5, np.float32)).p_value == 1.0
    assert distance(reference, np.full(128, 0.5 + moved, np.float32)).p_value < 1e-6


def test_a_flag_alarms_when_it_is_raised_more_often() -> None:
    rng = np.random.default_rng(7)
    flags = (rng.random(20_000) < 0.1).astype(np.float32)
    reference = sketch("flag", flags, (512,))
    assert distance(reference, flags[:512]).p_value > LEVEL
    raised = (rng.random(512) < 0.25).astype(np.float32)
    assert distance(reference, raised).p_value < 1e-4


def test_results_alarm_for_worse_and_not_for_better() -> None:
    rng = np.random.default_rng(8)
    known = usual(rng.normal(-0.02, 0.5, 40_000), 1_024)
    assert known.tail(-0.02) == pytest.approx(0.5, abs=0.3)
    assert known.tail(0.1) < 1e-4
    assert known.tail(-0.2) > 0.99


def test_sizes_leave_enough_windows_to_tell_chance() -> None:
    assert window_sizes(LEAST_ROWS * LEAST_WINDOWS - 1) == ()
    assert window_sizes(LEAST_ROWS * LEAST_WINDOWS) == (LEAST_ROWS,)
    assert window_sizes(50_000)[-1] == 2_048
