"""Stream = batch to the bit on every real file, and no look-ahead; the checks can fail."""

import dataclasses

import numpy as np
import pytest

from features import batch
from features.engine import FeatureEngine
from features.parity import check_leaks, check_parity
from features.spec import spec_named

# Rows and warm rows. 33 closed minutes of USDJPY never warm up columns that need 280 samples.
EXPECTED = {
    ("fxcm GBPUSD minutes", "core-bar"): (29_770, 29_491),
    ("fxcm GBPUSD minutes", "core-tick"): (29_770, 29_491),
    ("histdata EURUSD ticks", "core-bar"): (360, 81),
    ("histdata EURUSD ticks", "core-tick"): (9_500, 9_221),
    ("truefx USDJPY ticks", "core-bar"): (33, 0),
    ("truefx USDJPY ticks", "core-tick"): (1_000, 721),
    ("EURUSD hours", "core-bar"): (5_000, 4_721),
    ("EURUSD hours", "core-tick"): (5_000, 4_721),
    ("fxcm GBPUSD minutes", "full-bar"): (29_770, 29_491),
    ("fxcm GBPUSD minutes", "full-tick"): (29_770, 29_491),
    ("histdata EURUSD ticks", "full-bar"): (360, 81),
    ("histdata EURUSD ticks", "full-tick"): (9_500, 9_049),
    ("truefx USDJPY ticks", "full-bar"): (33, 0),
    ("truefx USDJPY ticks", "full-tick"): (1_000, 251),
    ("EURUSD hours", "full-bar"): (5_000, 4_721),
    ("EURUSD hours", "full-tick"): (5_000, 4_721),
}
SPECS = ["core-bar", "core-tick", "full-bar", "full-tick"]


@pytest.mark.parametrize("spec_name", SPECS)
def test_stream_equals_batch_to_the_bit_on_real_files(tape, real_name, spec_name):
    report = check_parity(spec_named(spec_name), tape.columns, tape.pip)
    assert report.equal, report
    assert (report.rows, report.warm_rows) == EXPECTED[real_name, spec_name]
    cold = report.warm_rows == 0
    assert cold == (real_name == "truefx USDJPY ticks" and spec_name.endswith("bar"))
    assert report.ok is not cold


@pytest.mark.parametrize("spec_name", SPECS)
def test_rows_of_real_files_are_finite_and_do_not_look_ahead(tape, real_name, spec_name):
    spec = spec_named(spec_name)
    rows = batch.compute(spec, tape.columns, tape.pip)
    assert np.isfinite(rows.rows[rows.warm]).all()
    report = check_leaks(spec, tape.columns, tape.pip, n_points=8, seed=3)
    assert report.leaks == ()
    assert report.points == (8 if EXPECTED[real_name, spec_name][1] else 0)


def test_parity_counts_late_quotes_alike(make_minutes):
    columns = make_minutes(500)
    order = np.r_[0:300, 100:110, 300:500]
    report = check_parity(spec_named("core-bar"), columns[order], 1e-4)
    assert report.ok
    assert report.late == 10


def test_parity_sees_one_bit(make_minutes):
    def off_by_a_bit(spec, columns, pip):
        rows = batch.compute(spec, columns, pip)
        rows.rows.view(np.uint32)[300, 7] ^= 1
        return rows

    spec = spec_named("core-bar")
    report = check_parity(spec, make_minutes(500), 1e-4, compute=off_by_a_bit)
    assert not report.ok
    assert report.first_difference == (300, spec.names[7])


def test_parity_sees_a_missing_row(make_minutes):
    def without_one(spec, columns, pip):
        rows = batch.compute(spec, columns, pip)
        warm = rows.warm.copy()
        warm[300] = False
        return dataclasses.replace(rows, warm=warm)

    report = check_parity(spec_named("core-bar"), make_minutes(500), 1e-4, compute=without_one)
    assert not report.ok
    assert report.first_difference == (300, "")


def test_parity_of_nothing_warm_is_not_a_pass(make_minutes):
    report = check_parity(spec_named("core-bar"), make_minutes(200), 1e-4)
    assert report.equal
    assert not report.ok


def peek(spec, columns, pip):
    """Put the next quote's mid into one column."""
    rows = batch.compute(spec, columns, pip)
    following = np.minimum(rows.index + 1, len(columns) - 1)
    rows.rows[:, 4] += 0.5 * (columns.bid + columns.ask)[following]
    return rows


def scale_by_all(spec, columns, pip):
    """Put a row relative to a mean of the whole tape."""
    rows = batch.compute(spec, columns, pip)
    rows.rows[:, 9] /= np.float32(np.mean(columns.ask))
    return rows


@pytest.mark.parametrize(("planted", "column"), [(peek, 4), (scale_by_all, 9)])
def test_the_leak_check_finds_a_planted_leak(planted, column, make_minutes):
    spec = spec_named("core-bar")
    report = check_leaks(spec, make_minutes(600), 1e-4, n_points=5, compute=planted)
    assert report.points == 5
    assert len(report.leaks) == 5
    assert {name for _, name in report.leaks} == {spec.names[column]}
    assert not report.ok


def test_the_leak_check_of_nothing_warm_is_not_a_pass(make_minutes):
    report = check_leaks(spec_named("core-bar"), make_minutes(200), 1e-4)
    assert report.points == 0
    assert not report.ok


def test_a_stream_begun_elsewhere_converges_after_warm_up(make_minutes):
    # What the wash-out of seeds is for: a much later start gives the same row.
    columns = make_minutes(2_000)
    spec = spec_named("core-bar")
    engine = FeatureEngine(spec, (1e-4,))
    engine.rebuild(0, columns[1_000:])
    far = batch.compute(spec, columns, 1e-4).rows[-1]
    np.testing.assert_allclose(engine.last_row(0), far, rtol=1e-6, atol=1e-6)
