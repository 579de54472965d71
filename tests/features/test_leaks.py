"""The leak check finds each of a dozen planted leaks, and nothing in what ships."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from core.columns import QuoteColumns
from features import batch
from features.batch import FeatureRows
from features.parity import check_leaks
from features.perturbation import PERTURBATIONS, with_other_future
from features.spec import spec_named

SPEC = spec_named("full-bar")
AT = 9  # the column that the leaks are planted in

Leak = Callable[[FeatureRows, QuoteColumns, np.ndarray], np.ndarray]


def planted(leak):
    """Compute rows in which one column holds what `leak` makes of all rows and columns."""

    def compute(spec, columns, pip):
        rows = batch.compute(spec, columns, pip)
        mid = 0.5 * (columns.bid + columns.ask)
        rows.rows[:, AT] = leak(rows, columns, mid).astype(np.float32)
        return rows

    return compute


def shifted(values, by):
    """Values of `by` places later, the last ones repeated."""
    return values[np.minimum(np.arange(len(values)) + by, len(values) - 1)]


def centred_window(rows, columns, mid):
    return np.convolve(mid, np.ones(5) / 5, mode="same")[rows.index]


def off_by_one_shift(rows, columns, mid):
    return shifted(mid, 1)[rows.index]


def future_fill(rows, columns, mid):
    """Take a sparse series and fill its holes from the next value."""
    sparse = np.arange(len(mid)) % 7 == 0
    following = np.searchsorted(np.flatnonzero(sparse), np.arange(len(mid)))
    known = np.append(mid[sparse], mid[-1])
    return known[following][rows.index]


def scaler_over_all(rows, columns, mid):
    return ((mid - mid.mean()) / mid.std())[rows.index]


def label_in_features(rows, columns, mid):
    return np.sign(shifted(mid, 5) - mid)[rows.index]


def right_labelled_resample(rows, columns, mid):
    """Bar of 15 minutes that a quote is in, its close as if it were known all along."""
    bucket = (columns.ts - 1) // (15 * 60 * 10**9)
    last = np.searchsorted(bucket, bucket, side="right") - 1
    return mid[last][rows.index]


def forming_bar_high(rows, columns, mid):
    """Highest price of the hour that is still forming."""
    bucket = (columns.ts - 1) // (3_600 * 10**9)
    top = {b: columns.high[bucket == b].max() for b in np.unique(bucket)}
    return np.array([top[b] for b in bucket])[rows.index]


def forward_join(rows, columns, mid):
    """Join the nearest later quote instead of the last one before."""
    other = columns.ts[::3] + 10**9
    at = np.minimum(np.searchsorted(other, columns.ts), len(other) - 1)
    return shifted(mid[::3], 0)[at][rows.index]


def global_rank(rows, columns, mid):
    return np.argsort(np.argsort(mid))[rows.index] / len(mid)


def future_volatility(rows, columns, mid):
    change = np.diff(np.log(mid), append=0.0)
    change[-1] = 0.0
    ahead = np.array([change[i : i + 10].std() for i in range(len(change))])
    return 1e4 * ahead[rows.index]


def future_spread(rows, columns, mid):
    return shifted(columns.ask - columns.bid, 2)[rows.index]


def future_volume(rows, columns, mid):
    return shifted(columns.volume, 1)[rows.index]


def time_to_next_quote(rows, columns, mid):
    return np.diff(columns.ts, append=columns.ts[-1])[rows.index] / 1e9


def quotes_to_the_end(rows, columns, mid):
    return (len(columns) - rows.index).astype(float)


def smoothed_backwards(rows, columns, mid):
    """Run an exponential mean from the end to the beginning, as a two-way filter does."""
    out = mid.copy()
    for i in range(len(out) - 2, -1, -1):
        out[i] = 0.9 * out[i] + 0.1 * out[i + 1]
    return out[rows.index]


LEAKS = [
    centred_window,
    off_by_one_shift,
    future_fill,
    scaler_over_all,
    label_in_features,
    right_labelled_resample,
    forming_bar_high,
    forward_join,
    global_rank,
    future_volatility,
    future_spread,
    future_volume,
    time_to_next_quote,
    quotes_to_the_end,
    smoothed_backwards,
]


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
def test_a_planted_leak_is_found(leak, make_minutes):
    report = check_leaks(SPEC, make_minutes(600), 1e-4, n_points=6, compute=planted(leak))
    assert report.points == 6
    assert not report.ok
    # Some look ahead only now and then, but most points see it, and the column is named.
    assert len(report.leaks) >= 3
    assert {name for _, name in report.leaks} == {SPEC.names[AT]}


def test_a_bar_that_closes_early_is_found(make_ticks):
    """A row of the forming bar's quote instead of the quote that closed it."""

    def early(spec, columns, pip):
        rows = batch.compute(spec, columns, pip)
        return dataclasses.replace(rows, index=np.maximum(rows.index - 1, 0))

    columns = make_ticks(40_000)
    assert check_leaks(SPEC, columns, 1e-4, n_points=3).ok
    report = check_leaks(SPEC, columns, 1e-4, n_points=3, compute=early)
    assert len(report.leaks) == 3


@pytest.mark.parametrize("name", ["full-bar", "full-tick", "core-bar", "core-tick"])
def test_nothing_leaks_from_what_ships(name, make_minutes):
    assert check_leaks(spec_named(name), make_minutes(700), 1e-4, n_points=20, seed=2).ok


@pytest.mark.parametrize("kind", sorted(PERTURBATIONS))
@pytest.mark.parametrize("of", ["minutes", "ticks"])
def test_a_perturbation_leaves_the_past_and_the_order_alone(kind, of, make_minutes, make_ticks):
    columns = make_minutes(200) if of == "minutes" else make_ticks(200)
    other = with_other_future(columns, 120, kind, np.random.default_rng(0))
    past, now = columns[:121], other[:121]
    for name in columns.__slots__:
        assert getattr(past, name).tobytes() == getattr(now, name).tobytes()
    assert (np.diff(other.ts[120:]) >= 0).all()
    assert (other.bid > 0).all()
    assert (other.low <= other.high).all()
    changed = len(other) != len(columns) or any(
        getattr(other, name).tobytes() != getattr(columns, name).tobytes()
        for name in columns.__slots__
    )
    assert changed
