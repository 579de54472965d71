import itertools

import msgspec
import numpy as np
import pytest

from core.types import tick
from features.batch import compute
from features.engine import FeatureEngine
from features.spec import spec_named

PIPS = (1e-4, 1e-2)


@pytest.fixture(params=["core-bar", "core-tick"])
def spec(request):
    return spec_named(request.param)


@pytest.fixture
def quotes(make_minutes):
    return list(make_minutes(400).quotes(0))


def feed(engine, quotes):
    return [None if (row := engine.update(q)) is None else row.copy() for q in quotes]


def snapshot(engine, instrument=0):
    return (
        engine._slots[instrument].ints.tobytes(),
        engine._slots[instrument].state.tobytes(),
        engine._rows[instrument].tobytes(),
        engine.late,
        engine.malformed,
    )


def test_rows_come_after_warm_up_only(spec, quotes):
    engine = FeatureEngine(spec, PIPS)
    rows = feed(engine, quotes[:279])
    assert rows == [None] * 279
    assert not engine.is_warm(0)
    assert engine.last_row(0) is None
    row = engine.update(quotes[279])
    assert row.dtype == np.float32
    assert row.shape == (32,)
    assert np.isfinite(row).all()
    assert engine.is_warm(0)
    assert engine.last_row(0).tobytes() == row.tobytes()


def test_the_row_is_one_preallocated_array_and_last_row_a_copy(quotes):
    engine = FeatureEngine(spec_named("core-tick"), PIPS)
    feed(engine, quotes[:300])
    kept = engine.last_row(0)
    before = kept.copy()
    first, second = engine.update(quotes[300]), engine.update(quotes[301])
    assert first is second
    assert kept.tobytes() == before.tobytes() != first.tobytes()


def test_instruments_do_not_touch_each_other(spec, quotes, make_minutes):
    others = list(make_minutes(400, seed=9, price=86.6).quotes(1))
    both, alone = FeatureEngine(spec, PIPS), FeatureEngine(spec, PIPS)
    for mine, theirs in zip(quotes, others, strict=True):
        both.update(mine)
        both.update(theirs)
        alone.update(mine)
    assert both.last_row(0).tobytes() == alone.last_row(0).tobytes()
    assert not alone.is_warm(1)


def test_late_quotes_are_counted_and_not_applied(spec, quotes):
    engine, clean = FeatureEngine(spec, PIPS), FeatureEngine(spec, PIPS)
    feed(clean, quotes)
    rows = feed(engine, [*quotes[:300], quotes[299 - 5], quotes[10], *quotes[300:]])
    assert rows[300:302] == [None, None]
    assert engine.late == 2
    assert engine.last_row(0).tobytes() == clean.last_row(0).tobytes()


def test_ticks_with_equal_timestamps_are_applied(make_ticks):
    engine = FeatureEngine(spec_named("core-tick"), PIPS)
    quotes = list(make_ticks(400).quotes(0))
    assert any(a.ts_event == b.ts_event for a, b in itertools.pairwise(quotes))
    assert sum(row is not None for row in feed(engine, quotes)) == 121
    assert engine.late == 0


def test_a_malformed_quote_is_counted_and_does_not_poison_the_state(spec, quotes):
    engine, clean = FeatureEngine(spec, PIPS), FeatureEngine(spec, PIPS)
    feed(clean, quotes)
    bad = [
        msgspec.structs.replace(quotes[300], **{field: value})
        for field in ("bid", "ask", "open", "high", "low", "volume")
        for value in (float("nan"), float("inf"))
    ]
    feed(engine, quotes[:300])
    assert [engine.update(q) for q in bad] == [None] * len(bad)
    assert (engine.malformed, engine.late) == (len(bad), 0)
    feed(engine, quotes[300:])
    assert engine.last_row(0).tobytes() == clean.last_row(0).tobytes()


def test_an_integer_price_is_taken_as_a_float(spec):
    engine, floats = FeatureEngine(spec, PIPS), FeatureEngine(spec, PIPS)
    for second in range(300):
        at = 60_000_000_000 * (second + 1)
        engine.update(tick(0, second + 1, at, 1, 2))
        floats.update(tick(0, second + 1, at, 1.0, 2.0))
    assert snapshot(engine) == snapshot(floats)


def test_preview_of_the_next_quote_is_its_row_and_advances_nothing(spec, quotes):
    engine = FeatureEngine(spec, PIPS)
    feed(engine, quotes[:300])
    before = snapshot(engine)
    preview = engine.preview(quotes[300])
    other = engine.preview(msgspec.structs.replace(quotes[300], bid=1.2, ask=1.21, high=1.3))
    assert snapshot(engine) == before
    assert preview.tobytes() == engine.update(quotes[300]).tobytes() != other.tobytes()


def test_preview_of_a_tick_inside_a_bar_closes_the_bar_with_it(make_ticks):
    spec = spec_named("core-bar")
    engine = FeatureEngine(spec, PIPS)
    quotes = list(make_ticks(30_000).quotes(0))
    feed(engine, quotes)
    assert engine.is_warm(0)
    last = quotes[-1]
    inside = tick(0, 0, last.ts_event, last.bid + 0.01, last.ask + 0.01)
    preview, unmoved = engine.preview(inside), engine.last_row(0)
    at = spec.names.index("return_1")
    assert preview[at] > unmoved[at] + 50
    # The next bar's first tick ends the bar without being part of it; the row is the same.
    engine.update(inside)
    bar_ns = spec.bar_ns
    following = tick(0, 0, (last.ts_event // bar_ns + 1) * bar_ns, 1.0, 1.1)
    assert engine.update(following).tobytes() == preview.tobytes()


def test_preview_gives_none_for_what_update_would_not_apply(spec, quotes):
    engine = FeatureEngine(spec, PIPS)
    assert engine.preview(quotes[0]) is None
    feed(engine, quotes[:300])
    before = snapshot(engine)
    assert engine.preview(quotes[5]) is None
    assert engine.preview(msgspec.structs.replace(quotes[300], bid=float("nan"))) is None
    assert snapshot(engine) == before


def test_a_cold_instrument_gives_no_row_until_rebuilt(spec, quotes, make_minutes):
    engine, straight = FeatureEngine(spec, PIPS), FeatureEngine(spec, PIPS)
    feed(straight, quotes)
    feed(engine, quotes[:300])
    engine.make_cold(0)
    assert engine.cold == 1
    assert not engine.is_warm(0)
    assert engine.last_row(0) is None
    assert engine.preview(quotes[300]) is None
    assert engine.update(quotes[300]) is None
    columns = make_minutes(400)
    engine.rebuild(0, columns[:350])
    assert engine.is_warm(0)
    expected = compute(spec, columns[:350], PIPS[0]).rows[-1]
    assert engine.last_row(0).tobytes() == expected.tobytes()
    rows = feed(engine, quotes[350:])
    assert all(row is not None for row in rows)
    assert snapshot(engine)[:3] == snapshot(straight)[:3]


def test_rebuilding_from_too_little_leaves_the_instrument_cold(spec, quotes, make_minutes):
    engine = FeatureEngine(spec, PIPS)
    feed(engine, quotes[:300])
    engine.rebuild(0, make_minutes(400)[:100])
    assert not engine.is_warm(0)
    assert engine.last_row(0) is None
    engine.rebuild(0, make_minutes(400)[:0])
    assert not engine.is_warm(0)


def test_two_samples_that_end_with_one_quote_give_one_row(make_minutes):
    spec = spec_named("core-bar")
    columns = make_minutes(400)
    engine = FeatureEngine(spec, PIPS)
    quotes = list(columns.quotes(0))
    feed(engine, quotes[:300])
    forming = tick(0, 0, quotes[299].ts_event + 5, 1.1, 1.1001)
    assert engine.update(forming) is None
    # Of the minute after the forming one: ends that bar and its own.
    row = engine.update(quotes[301]).copy()
    assert engine._slots[0].ints[5 + 1] == 302
    at = spec.names.index("return_1")
    mid = 0.5 * (quotes[301].bid + quotes[301].ask)
    assert row[at] == pytest.approx(1e4 * np.log(mid / (0.5 * (1.1 + 1.1001))), rel=1e-5)
