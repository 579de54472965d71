"""The dollar's strength: by hand, the same in batch, stream and chunks, and no look-ahead."""

import math

import numpy as np
import pytest

from core.columns import QuoteColumns, concat, from_ticks
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from features import peers
from features.batch import chunks_of, compute, compute_chunks, compute_many
from features.check import run_checks
from features.engine import FeatureEngine
from features.parity import check_parity, check_snapshots
from features.peers import DollarTapes
from features.spec import spec_named
from features.strength import Strength, StrengthMeter, dollar_side, usd_strength
from market.simulator import simulate

SIDES = {"EURUSD": -1, "GBPUSD": -1, "USDJPY": 1}
MINUTE = 60_000_000_000


@pytest.fixture(scope="module")
def tapes():
    rng = np.random.default_rng(3)
    out = {}
    for symbol in SIDES:
        columns = simulate(DEFAULT_INSTRUMENTS.by_symbol(symbol), seed=4, days=1.0).columns
        # Now and then a quote comes late, and one tape falls silent for half an hour.
        place = np.arange(len(columns)) + 9.5 * (rng.random(len(columns)) < 0.01)
        out[symbol] = columns[np.argsort(place, kind="stable")]
    gbp = out["GBPUSD"]
    hole = (gbp.ts > gbp.ts[9_000]) & (gbp.ts < gbp.ts[9_000] + 30 * MINUTE)
    out["GBPUSD"] = gbp[~hole]
    return out


@pytest.fixture(scope="module")
def strength(tapes):
    return usd_strength(tapes, SIDES)


def merged(tapes, skew_ns=0):
    """Quotes of all tapes by time, the tape of one instrument running behind the others."""
    quotes = [q for i, columns in enumerate(tapes.values()) for q in columns.quotes(i)]
    newest = [0] * len(tapes)
    keys = []
    for q in quotes:
        newest[q.instrument] = max(newest[q.instrument], q.ts_event)
        keys.append(newest[q.instrument] + (skew_ns if q.instrument == 2 else 0))
    return [quotes[k] for k in np.argsort(keys, kind="stable").tolist()]


def test_sides():
    assert {s: dollar_side(DEFAULT_INSTRUMENTS.by_symbol(s)) for s in SIDES} == SIDES
    assert dollar_side(DEFAULT_INSTRUMENTS.by_symbol("XAUUSD")) == -1


def test_values_are_those_of_the_definition(tapes, strength):
    def index(minute):
        total = 0.0
        for symbol, side in SIDES.items():
            c = tapes[symbol]
            before = np.flatnonzero(c.ts < minute * MINUTE)
            newest = before[c.ts[before] == c.ts[before].max()][-1]
            total += side * math.log(0.5 * (c.bid[newest] + c.ask[newest]))
        return 1e4 * total / 3

    assert len(strength) > 1_000
    assert (np.diff(strength.minute) >= 1).all()
    for k in (0, 100, 700, len(strength) - 1):
        before = strength.minute[k - 1] if k else strength.minute[0] - 1
        change = index(strength.minute[k]) - index(before)
        assert strength.values[k, 0] == pytest.approx(change, abs=1e-9)
        if k >= 15:
            change = index(strength.minute[k]) - index(strength.minute[k - 15])
            assert strength.values[k, 1] == pytest.approx(change, abs=1e-9)


def test_a_rising_dollar_is_positive_whatever_its_side():
    ts = MINUTE * np.arange(1, 40)
    up, down = np.exp(1e-4 * np.arange(39)), np.exp(-1e-4 * np.arange(39))
    tapes = {"USDJPY": from_ticks(ts, up, up), "EURUSD": from_ticks(ts, down, down)}
    got = usd_strength(tapes, {"USDJPY": 1, "EURUSD": -1})
    np.testing.assert_allclose(got.values, [[1.0, 15.0]] * len(got), rtol=1e-9)


@pytest.mark.parametrize("skew_ns", [0, 59_000_000_000])
def test_the_meter_tells_the_same_minutes_to_the_bit(tapes, strength, skew_ns):
    meter = StrengthMeter(dict(enumerate(SIDES.values())))
    told = [entry for quote in merged(tapes, skew_ns) for entry in meter.update(quote)]
    n = len(told)
    assert len(strength) - n <= 3  # the last minutes are not complete yet
    assert [minute for minute, _ in told] == strength.minute[:n].tolist()
    assert np.array([values for _, values in told]).tobytes() == strength.values[:n].tobytes()


@pytest.mark.parametrize("name", ["cross-bar", "cross-tick"])
@pytest.mark.parametrize("skew_ns", [0, 59_000_000_000])
def test_the_stream_of_all_quotes_gives_the_batch_of_each_tape(name, skew_ns, tapes, strength):
    spec = spec_named(name)
    pips = [DEFAULT_INSTRUMENTS.by_symbol(symbol).pip for symbol in tapes]
    meter = StrengthMeter(dict(enumerate(SIDES.values())))
    engine = FeatureEngine(spec, pips)
    streamed = [[] for _ in tapes]
    for quote in merged(tapes, skew_ns):
        for minute, values in meter.update(quote):
            engine.push_strength(minute, values)
        row = engine.update(quote)
        if row is not None:
            streamed[quote.instrument].append(row.tobytes())
    batches = compute_many(
        spec, {s: (c, pip) for (s, c), pip in zip(tapes.items(), pips, strict=True)},
        strength=strength,
    )  # fmt: skip
    for rows, got in zip(batches.values(), streamed, strict=True):
        assert rows.warm.sum() > 500
        assert [row.tobytes() for row in rows.rows[rows.warm]] == got


@pytest.mark.parametrize("name", ["cross-bar", "cross-tick"])
def test_rows_hold_the_newest_minute_that_is_old_enough(name, tapes, strength):
    spec, columns = spec_named(name), tapes["GBPUSD"]
    rows = compute(spec, columns, 1e-4, strength)
    full = compute(spec_named(name.replace("cross", "full")), columns, 1e-4)
    at = np.searchsorted((strength.minute + 1) * MINUTE, columns.ts[rows.index], side="right") - 1
    expected = strength.values[at[rows.warm]].astype(np.float32)
    assert rows.rows[rows.warm, -2:].tobytes() == expected.tobytes()
    assert (at[rows.warm] >= 0).all()
    both = rows.warm & full.warm
    assert rows.rows[both, :-2].tobytes() == full.rows[both].tobytes()


@pytest.mark.parametrize("name", ["cross-bar", "cross-tick"])
@pytest.mark.parametrize("n_quotes", [100, 5_000])
def test_chunks_carry_the_minutes_on(name, n_quotes, tapes, strength):
    spec, columns = spec_named(name), tapes["GBPUSD"][:12_000]
    parts = list(compute_chunks(spec, chunks_of(columns, n_quotes), 1e-4, strength))
    whole = compute(spec, columns, 1e-4, strength)
    assert b"".join(part.rows.tobytes() for part in parts) == whole.rows.tobytes()


@pytest.mark.parametrize("name", ["cross-bar", "cross-tick"])
def test_checks_hold_and_snapshots_keep_waiting_minutes(name, tapes, strength):
    spec, columns = spec_named(name), tapes["EURUSD"][:12_000]
    assert check_parity(spec, columns, 1e-4, strength=strength).ok
    assert check_snapshots(spec, columns, 1e-4, 100, strength=strength).ok
    report = run_checks(spec, columns, 1e-4, n_points=2, n_cuts=2, dollar=DollarTapes(tapes, SIDES))
    assert report.problems == ()


@pytest.mark.parametrize("name", ["cross-bar", "cross-tick"])
@pytest.mark.parametrize("early_minutes", [0, 2])
def test_no_tapes_future_is_in_a_row_and_minutes_told_too_early_are_found(
    name, early_minutes, tapes, monkeypatch
):
    def early(*of):
        series = usd_strength(*of)
        return Strength(series.minute - early_minutes, series.values)

    monkeypatch.setattr(peers, "usd_strength", early)
    part = {symbol: columns[:12_000] for symbol, columns in tapes.items()}
    report = run_checks(
        spec_named(name), part["EURUSD"], 1e-4, n_points=4, dollar=DollarTapes(part, SIDES)
    )
    leaks = report.leaks
    assert leaks.points == 4
    assert leaks.ok is (early_minutes == 0)
    assert {column for _, column in leaks.leaks} <= {"usd_strength_1", "usd_strength_15"}
    if early_minutes:
        assert "moved with the future" in report.problems[0]


@pytest.mark.parametrize("field", ["bid", "high", "volume"])
def test_a_malformed_quote_from_the_future_tells_no_minute(field, tapes, strength):
    spec, columns = spec_named("cross-tick"), tapes["EURUSD"][:8_000]
    bad = {name: getattr(columns[5_000:5_001], name).copy() for name in columns.__slots__}
    bad["ts"] += 3 * 60 * MINUTE
    bad[field][0] = np.nan
    bad = QuoteColumns(**bad)
    dirty = concat([columns[:5_001], bad, columns[5_001:]])
    clean, got = (compute(spec, c, 1e-4, strength) for c in (columns, dirty))
    assert got.malformed == 1
    assert got.rows.tobytes() == clean.rows.tobytes()
    assert check_parity(spec, dirty, 1e-4, strength=strength).ok
    meter, other = (StrengthMeter(dict(enumerate(SIDES.values()))) for _ in range(2))
    quotes = merged({symbol: c[:3_000] for symbol, c in tapes.items()})
    told = [entry for quote in quotes for entry in meter.update(quote)]
    quotes.insert(2_000, next(bad.quotes(0)))
    assert [entry for quote in quotes for entry in other.update(quote)] == told
    assert len(told) > 5


def test_a_spec_that_needs_it_is_refused_without_it(tapes):
    with pytest.raises(BadInput, match="needs the strength"):
        compute(spec_named("cross-bar"), tapes["EURUSD"], 1e-4)


def test_malformed_and_no_quotes_are_no_minutes():
    none = from_ticks(np.empty(0, np.int64), np.empty(0), np.empty(0))
    assert len(usd_strength({"EURUSD": none}, {"EURUSD": -1})) == 0
    ts = MINUTE * np.arange(1, 40)
    good = from_ticks(ts, np.full(39, 1.1), np.full(39, 1.2))
    bad = from_ticks(ts[20:21], np.array([np.nan]), np.array([1.2]))
    dirty = concat([good[:20], bad, good[20:]])
    assert isinstance(dirty, QuoteColumns)
    one, other = (usd_strength({"EURUSD": c}, {"EURUSD": -1}) for c in (good, dirty))
    assert one.values.tobytes() == other.values.tobytes()
