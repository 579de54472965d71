"""Windows of rows: the stream's are those of the batch, and nothing is given before one is full."""

import numpy as np
import pytest

from core.errors import SnapshotRefused
from features.batch import compute
from features.engine import FeatureEngine
from features.recent import RecentRows
from features.spec import spec_named

PIPS = (1e-4, 1e-2)
WINDOW = 8


@pytest.fixture(params=["core-bar", "core-tick"])
def spec(request):
    return spec_named(request.param)


@pytest.fixture
def columns(make_minutes):
    return make_minutes(700)


def engine_of(spec, window=WINDOW):
    engine = FeatureEngine(spec, PIPS)
    assert engine.keep(0, window)
    return engine


def expected(spec, columns):
    rows = compute(spec, columns, PIPS[0])
    warm = rows.rows[rows.warm]
    return np.lib.stride_tricks.sliding_window_view(warm, WINDOW, 0).transpose(0, 2, 1)


def stream(engine, quotes):
    return [row.copy() for q in quotes if (row := engine.update(q)) is not None]


def test_windows_of_the_stream_are_those_of_the_batch_to_the_bit(spec, columns):
    wanted = expected(spec, columns)
    found = stream(engine_of(spec), columns.quotes(0))
    assert len(wanted) == len(found) > 8 * WINDOW  # the array was begun anew several times
    assert all(a.tobytes() == b.tobytes() for a, b in zip(wanted, found, strict=True))


def test_an_instrument_is_warm_once_its_window_is_full(columns):
    spec = spec_named("core-tick")
    engine = engine_of(spec)
    quotes = list(columns.quotes(0))
    warm_rows = spec.warmup + WINDOW - 1
    assert stream(engine, quotes[: warm_rows - 1]) == []
    assert not engine.is_warm(0)
    assert engine.last_row(0) is None
    window = engine.update(quotes[warm_rows - 1])
    assert window.shape == (WINDOW, spec.n_features)
    assert engine.is_warm(0)
    kept = engine.last_row(0)
    assert kept.tobytes() == window.tobytes()
    engine.update(quotes[warm_rows])
    assert kept.tobytes() != engine.last_row(0).tobytes()


def test_preview_gives_the_window_of_the_next_row_and_changes_nothing(spec, columns):
    engine = engine_of(spec)
    quotes = list(columns.quotes(0))
    for quote in quotes[: spec.warmup + WINDOW - 2]:
        engine.update(quote)
    for quote in quotes[spec.warmup + WINDOW - 2 :][:20]:
        before = engine.last_row(0)
        preview = engine.preview(quote)
        after = engine.last_row(0)
        assert (before is None) == (after is None)
        assert before is None or before.tobytes() == after.tobytes()
        assert preview.tobytes() == engine.update(quote).tobytes()


def test_a_rebuild_fills_the_window_and_a_gap_empties_it(spec, columns):
    through, rebuilt = engine_of(spec), engine_of(spec)
    stream(through, columns.quotes(0))
    rebuilt.rebuild(0, columns)
    assert rebuilt.is_warm(0)
    assert rebuilt.last_row(0).tobytes() == through.last_row(0).tobytes()
    rebuilt.make_cold(0)
    assert not rebuilt.is_warm(0)
    rebuilt.rebuild(0, columns[: spec.warmup + WINDOW - 2])
    assert not rebuilt.is_warm(0)
    last = list(columns.quotes(0))[spec.warmup + WINDOW - 2]
    assert rebuilt.update(last).shape == (WINDOW, spec.n_features)


def test_only_a_longer_memory_needs_a_rebuild(columns):
    engine = FeatureEngine(spec_named("core-tick"), PIPS)
    assert not engine.keep(0, 1)
    assert engine.keep(0, WINDOW)
    assert not engine.keep(0, WINDOW)
    assert (engine.window(0), engine.window(1)) == (WINDOW, 1)
    stream(engine, columns.quotes(0))
    assert not engine.keep(0, 1)
    assert engine.last_row(0).shape == (engine.spec.n_features,)


def test_a_snapshot_holds_the_window(spec, columns):
    engine, fresh = engine_of(spec), engine_of(spec)
    quotes = list(columns.quotes(0))
    stream(engine, quotes[:500])
    fresh.restore(engine.snapshot())
    for quote in quotes[500:600]:
        assert engine.update(quote).tobytes() == fresh.update(quote).tobytes()
    with pytest.raises(SnapshotRefused, match="lengths"):
        engine_of(spec, WINDOW + 1).restore(engine.snapshot())


def test_rows_are_moved_rarely_and_never_mixed_up():
    recent = RecentRows(1, 3)
    for k in range(100):
        window = recent.push(np.array([k], np.float32))
        assert (window is None) == (k < 2)
        assert window is None or window.ravel().tolist() == [k - 2, k - 1, k]
    assert recent.with_row(np.array([7], np.float32)).ravel().tolist() == [98, 99, 7]
    recent.clear()
    assert not recent.full()
    assert recent.with_row(np.array([7], np.float32)) is None
