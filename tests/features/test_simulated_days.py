"""Ten simulated days with gaps, a week-end and quotes out of order: stream = batch to the bit."""

import numpy as np
import pytest

from core.instruments import DEFAULT_INSTRUMENTS
from features.parity import check_leaks, check_parity, check_snapshots
from features.spec import spec_named
from market.simulator import simulate


@pytest.fixture(scope="module")
def disordered():
    """Ten days; a two-hundredth of the quotes comes up to thirty places late."""
    columns = simulate(DEFAULT_INSTRUMENTS.by_symbol("EURUSD"), seed=11, days=10.0).columns
    holes = np.sort(np.diff(columns.ts))
    assert holes[-1] > 40 * 3_600 * 10**9  # a week-end
    assert holes[-4] > 5 * 60 * 10**9  # and gaps on workdays
    rng = np.random.default_rng(5)
    place = np.arange(len(columns), dtype=np.float64)
    late = rng.random(len(columns)) < 0.005
    place[late] += rng.integers(2, 30, late.sum()) + 0.5
    return columns[np.argsort(place, kind="stable")], int(late.sum())


@pytest.mark.parametrize("name", ["full-bar", "full-tick"])
def test_stream_equals_batch_on_ten_disordered_days(name, disordered):
    columns, n_late = disordered
    report = check_parity(spec_named(name), columns, 1e-4)
    assert report.equal, report
    assert report.warm_rows > 10_000
    assert 0.5 * n_late < report.late <= n_late


@pytest.mark.parametrize("name", ["full-bar", "full-tick"])
def test_snapshots_at_100_random_quotes_of_these_days_change_no_bit(name, disordered):
    report = check_snapshots(spec_named(name), disordered[0], 1e-4, n_points=100, seed=9)
    assert report.equal, report


@pytest.mark.parametrize("name", ["full-bar", "full-tick"])
def test_no_look_ahead_in_disorder(name, disordered):
    columns, _ = disordered
    part = columns[:20_000]
    report = check_leaks(spec_named(name), part, 1e-4, n_points=3)
    assert report.ok
