"""Against libraries that are used in tests only: purgedcv and scikit-learn."""

import math
from itertools import combinations

import numpy as np
import pytest

from models.calibration import fit_isotonic
from models.combinatorial import combinatorial_splits, path_splits
from models.overfitting import (
    Record,
    deflated_sharpe,
    min_backtest_years,
    min_track_record,
    overfitting_logits,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_statistics_equal_purgedcv() -> None:
    purgedcv = pytest.importorskip("purgedcv", reason="purgedcv is a test-only oracle")
    rng = np.random.default_rng(0)
    returns = rng.standard_t(5, 5_000) * 0.01 + 0.0004
    record = Record.of(returns)
    # It takes moments without bias, we take those of the population: alike at this length.
    for trials, variance in ((1, 0.01), (20, 1e-4), (500, 4e-4)):
        theirs = purgedcv.deflated_sharpe_ratio(returns, trials, variance)
        assert deflated_sharpe(record, trials, variance) == pytest.approx(theirs, abs=1e-4)
    theirs = purgedcv.min_track_record_length(
        record.sharpe, 0.0, 0.05, record.skew, record.kurtosis
    )
    assert math.ceil(min_track_record(record)) == theirs
    assert min_backtest_years(45) == pytest.approx(purgedcv.minimum_backtest_length(45))


def test_pbo_equals_purgedcv() -> None:
    purgedcv = pytest.importorskip("purgedcv", reason="purgedcv is a test-only oracle")
    rng = np.random.default_rng(1)
    returns = rng.normal(size=(9, 240)) + 0.1 * rng.normal(size=(9, 1))
    theirs = purgedcv.probability_of_backtest_overfitting(returns, n_splits=8)
    # Same choices, in and out of sample exchanged: the same set of results.
    assert sorted(overfitting_logits(returns, 8)) == pytest.approx(sorted(theirs.logits))


def test_splits_equal_purgedcv() -> None:
    purgedcv = pytest.importorskip("purgedcv", reason="purgedcv is a test-only oracle")
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(2)
    # Its label intervals are half-open, ours closed: even starts and odd ends never touch.
    ts = 2 * rng.integers(1, 30, 300).cumsum()
    end = np.maximum.accumulate(ts + 2 * rng.integers(1, 120, 300) + 1)
    times = [pandas.Series(pandas.to_datetime(x, unit="s")) for x in (ts, end)]
    splitter = purgedcv.CombinatorialPurgedCV(
        6, 2, prediction_times=times[0], evaluation_times=times[1]
    )
    ours = combinatorial_splits(ts, end)
    for split, (train, test) in zip(ours, splitter.split(np.zeros((300, 1))), strict=True):
        assert split.test.tolist() == test.tolist()
        assert split.train.tolist() == train.tolist()
    chosen = list(combinations(range(6), 2))
    marks = [np.repeat(np.float64(k), 100) for k in range(len(chosen))]
    theirs = splitter.reconstruct_paths(marks)
    assert theirs[:, ::50].tolist() == path_splits().tolist()


@pytest.mark.parametrize("seed", range(4))
def test_pools_equal_scikit_learn(seed: int) -> None:
    isotonic = pytest.importorskip("sklearn.isotonic")
    rng = np.random.default_rng(seed)
    margins = rng.normal(size=2_000).round(2 if seed % 2 else 12)
    up = rng.random(2_000) < 1.0 / (1.0 + np.exp(-margins + 0.5))
    weight = rng.uniform(0.2, 1.0, 2_000)
    found = fit_isotonic(margins, up, weight)
    theirs = isotonic.IsotonicRegression().fit(margins, up, weight).predict(margins)
    least = 1.0 / (weight.sum() + 2.0)
    levels = np.unique(np.clip(theirs, least, 1.0 - least).round(12))
    assert found.kind == "isotonic"
    assert np.unique(np.array(found.p).round(12)) == pytest.approx(levels)
