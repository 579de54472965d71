import numpy as np
import pytest

from core.columns import QuoteColumns, concat
from features.batch import compute
from features.catalogue import BLOCKS
from features.spec import spec_named, spec_names
from features.strength import usd_strength
from tests import naive

MINUTE = 60_000_000_000


def assert_rows_are_naive(spec, columns, pip, dollar=None):
    strength = None if dollar is None else usd_strength(*dollar)
    got = compute(spec, columns, pip, strength)
    rows, index, late = naive.features(spec, columns, pip, dollar)
    assert got.index.tolist() == index.tolist()
    assert got.late == late
    ready = np.isfinite(rows).all(axis=1)
    assert got.warm.tolist() == [i >= spec.warmup - 1 and ready[i] for i in range(len(index))]
    assert np.isnan(got.rows[~got.warm]).all()
    assert got.rows.dtype == np.float32
    expected = rows[got.warm]
    for k, name in enumerate(spec.names):
        # Half a unit of float32, and the noise of differences of prices in basis points.
        np.testing.assert_allclose(
            got.rows[got.warm][:, k], expected[:, k], rtol=7e-8, atol=1e-9, err_msg=name
        )
    return int(got.warm.sum())


NAMES = ["core-bar", "core-tick", "full-bar", "full-tick"]


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_minutes_are_those_of_the_naive_twins(name, make_minutes):
    columns = make_minutes(700)
    assert assert_rows_are_naive(spec_named(name), columns, 1e-4) == 421


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_ticks_are_those_of_the_naive_twins(name, make_ticks):
    columns = make_ticks(30_000 if name.endswith("bar") else 4_000, price=86.6)
    assert assert_rows_are_naive(spec_named(name), columns, 1e-2) > 50


@pytest.mark.parametrize("name", ["full-bar", "full-tick"])
def test_rows_of_real_files_are_those_of_the_naive_twins(name, tape, real_name):
    warm = assert_rows_are_naive(spec_named(name), tape.columns[:4_000], tape.pip)
    assert warm > 0 or (name == "full-bar" and "ticks" in real_name)


@pytest.mark.parametrize("name", ["cross-bar", "cross-tick"])
def test_rows_of_several_instruments_are_those_of_the_naive_twins(name, make_ticks, make_minutes):
    sides = {"EURUSD": -1, "USDJPY": 1, "GBPUSD": -1}
    if name.endswith("bar"):
        tapes = {s: make_minutes(600, seed=k, price=1.1 + k) for k, s in enumerate(sides)}
    else:
        tapes = {s: make_ticks(4_500, seed=k, price=1.1 + k) for k, s in enumerate(sides)}
    columns = concat([tapes["EURUSD"][:300], tapes["EURUSD"][250:260], tapes["EURUSD"][300:]])
    tapes["EURUSD"] = columns
    assert assert_rows_are_naive(spec_named(name), columns, 1e-4, (tapes, sides)) > 200


def test_every_block_that_ships_has_a_naive_twin(make_minutes):
    """Each column of every spec comes from the tests above; nothing else can be in a spec."""
    shipped = {block.kind for name in spec_names() for block in spec_named(name).blocks}
    assert shipped - {kind for kind in shipped if kind.startswith("user:")} == set(BLOCKS)
    checked = {block.kind for name in (*NAMES, "cross-bar") for block in spec_named(name).blocks}
    assert checked == set(BLOCKS)


def shuffled(columns: QuoteColumns) -> QuoteColumns:
    """Some quotes come again, later than newer ones."""
    late = columns[100:110]
    return concat([columns[:300], late, columns[300:]])


@pytest.mark.parametrize("name", NAMES)
def test_late_quotes_are_counted_and_change_nothing(name, make_minutes):
    columns = make_minutes(600)
    clean = compute(spec_named(name), columns, 1e-4)
    dirty = compute(spec_named(name), shuffled(columns), 1e-4)
    assert (clean.late, dirty.late) == (0, 10)
    assert dirty.rows.tobytes() == clean.rows.tobytes()
    assert_rows_are_naive(spec_named(name), shuffled(columns), 1e-4)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -1.1])
@pytest.mark.parametrize("field", ["bid", "ask", "open", "high", "low"])
def test_malformed_quotes_are_counted_and_change_nothing(field, bad, make_minutes):
    columns = make_minutes(400)
    spec = spec_named("core-bar")
    values = {name: getattr(columns[300:301], name).copy() for name in columns.__slots__}
    values[field][0] = bad
    dirty = concat([columns[:301], QuoteColumns(**values), columns[301:]])
    clean, got = compute(spec, columns, 1e-4), compute(spec, dirty, 1e-4)
    assert (got.malformed, got.late) == (1, 0)
    assert got.rows.tobytes() == clean.rows.tobytes()


def test_no_quotes_give_no_rows(make_minutes):
    got = compute(spec_named("core-bar"), make_minutes(10)[:0], 1e-4)
    assert got.rows.shape == (0, 32)
    assert len(got) == got.late == 0


def test_columns_may_be_read_only_or_strided(make_minutes):
    columns = make_minutes(600)
    expected = compute(spec_named("core-bar"), columns[::2], 1e-4)
    frozen = columns[:]
    for name in columns.__slots__:
        getattr(frozen, name).setflags(write=False)
    got = compute(spec_named("core-bar"), frozen[::2], 1e-4)
    assert got.rows.tobytes() == expected.rows.tobytes()


def test_columns_do_not_depend_on_the_unit_of_price(make_minutes):
    # A model transfers: the same moves at another price level, pip and all, give the same row.
    at_one, at_128 = make_minutes(500, price=1.0), make_minutes(500, price=128.0)
    one = compute(spec_named("core-bar"), at_one, 2.0**-13)
    other = compute(spec_named("core-bar"), at_128, 2.0**-6)
    np.testing.assert_allclose(other.rows[-1], one.rows[-1], rtol=1e-5, atol=1e-6)


def test_time_columns_follow_the_clock_in_utc(make_minutes):
    spec = spec_named("core-bar")
    columns = make_minutes(300)
    monday_noon = 1_580_731_200_000_000_000  # 2020-02-03 12:00 UTC
    values = {name: getattr(columns, name) for name in columns.__slots__}
    values["ts"] = monday_noon - MINUTE * np.arange(299, -1, -1)
    row = compute(spec, QuoteColumns(**values), 1e-4).rows[-1]
    at = {name: row[spec.names.index(name)] for name in spec.names}
    assert at["day_sin"] == pytest.approx(0.0, abs=1e-6)
    assert at["day_cos"] == pytest.approx(-1.0)
    angle = 2 * np.pi / 14
    assert at["week_sin"] == pytest.approx(np.sin(angle), abs=1e-6)
    assert at["week_cos"] == pytest.approx(np.cos(angle), abs=1e-6)
