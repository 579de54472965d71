import msgspec
import numpy as np
import pytest

from core.errors import BadInput
from core.types import Cadence
from features.batch import compute
from features.catalogue import BLOCKS
from features.spec import Block, make_spec, plan_of, spec_named

NAMES = ("core-bar", "core-tick")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_spec_declares_each_of_its_32_columns(name):
    spec = spec_named(name)
    assert spec.name == name
    assert spec.n_features == len(set(spec.names)) == 32
    assert spec.cadence == name.removeprefix("core-")
    assert spec.warmup == max(column.warmup for column in spec.columns) == 280
    for column in spec.columns:
        assert column.formula
        assert column.unit
        assert 1 <= column.window <= 240
        assert column.warmup >= column.window


FULL = ("full-bar", "full-tick")


@pytest.mark.parametrize("name", FULL)
def test_a_full_spec_declares_each_of_its_columns(name):
    spec = spec_named(name)
    assert spec.name == name
    assert 48 <= spec.n_features == len(set(spec.names)) <= 64
    assert spec.cadence == name.removeprefix("full-")
    assert spec.warmup == 280
    assert spec.warmup_ns == 45 * 60 * 10**9
    for column in spec.columns:
        assert column.formula
        assert column.unit
        assert 1 <= column.window <= 240
        assert column.warmup >= (1 if column.warmup_ns else column.window)
    assert sum("TA-Lib CDL" in column.formula for column in spec.columns) >= 12


@pytest.mark.parametrize(
    ("name", "fingerprint"),
    [
        ("core-bar", "a62f12b3c6a12159"),
        ("full-bar", "9a0424147ef87030"),
        ("full-tick", "df4d278d890cfa1a"),
    ],
)
def test_fingerprints_of_models_in_use_stay_what_they_are(name, fingerprint):
    assert spec_named(name).fingerprint == fingerprint


def test_recursive_columns_wait_until_their_seed_has_washed_out():
    for name in NAMES:
        for column in spec_named(name).columns:
            if column.name.startswith(("ema", "macd")):
                assert column.warmup == 10 * column.window
            if column.name.startswith(("rsi", "atr")):
                assert column.warmup == 20 * column.window


def test_the_fingerprint_tells_specs_apart_and_survives_a_round_trip():
    bar, tick = (spec_named(name) for name in NAMES)
    assert bar.fingerprint != tick.fingerprint
    assert len(bar.fingerprint) == 16
    assert int(bar.fingerprint, 16) >= 0
    again = msgspec.json.decode(msgspec.json.encode(bar), type=type(bar))
    assert again == bar
    assert again.fingerprint == bar.fingerprint
    one = make_spec("s", Cadence.BAR, (Block("sma", (20,)),))
    variants = (
        make_spec("s", Cadence.BAR, (Block("sma", (21,)),)),
        make_spec("s", Cadence.TICK, (Block("sma", (20,)),)),
        make_spec("s", Cadence.BAR, (Block("sma", (20,)),), bar_ns=1),
        msgspec.structs.replace(one, revision=one.revision + 1),
    )
    assert len({spec.fingerprint for spec in (one, *variants)}) == 5


@pytest.mark.parametrize(
    ("blocks", "complaint"),
    [
        ((Block("wma", (3,)),), "unknown feature block 'wma'"),
        ((Block("sma"),), "takes 1 windows"),
        ((Block("sma", (0,)),), "at least 1 sample"),
        ((Block("macd", (26, 12, 9)),), "fast window below"),
        ((Block("sma", (3,)), Block("sma", (3,))), "distinct names"),
        ((), "distinct names"),
    ],
)
def test_a_spec_that_cannot_be_is_refused_by_name(blocks, complaint):
    with pytest.raises(BadInput, match=complaint):
        make_spec("s", Cadence.BAR, blocks)


def test_an_unknown_spec_is_refused_with_the_known_ones():
    with pytest.raises(BadInput, match="core-bar, core-tick"):
        spec_named("core")


@pytest.mark.parametrize("kind", sorted(BLOCKS))
def test_each_block_writes_its_columns_when_they_are_warm_and_no_other(kind, make_minutes):
    windows = (3, 7, 4)[: BLOCKS[kind].n_windows]
    if kind == "strength":
        pytest.skip("takes a series besides the tape, see test_strength")
    if kind in ("horizon", "range_volatility", "patterns"):
        windows = (60, *windows[1:])
    spec = make_spec("s", Cadence.BAR, (Block("time"), Block("sma", (2,))))
    if kind not in ("time",):
        spec = make_spec(
            "s", Cadence.BAR, (Block("time"), Block(kind, windows), Block("sma", (2,)))
        )
    columns = make_minutes(200)
    alone = compute(make_spec("s", Cadence.BAR, (Block("sma", (2,)),)), columns, 1e-4)
    rows = compute(spec, columns, 1e-4)
    # Closed minutes: one for each sample here.
    wait = {"horizon": 2, "range_volatility": 8, "patterns": 14, "quiet": 2}
    first = max(spec.warmup, wait.get(kind, 0)) - 1
    assert rows.warm[first:].all()
    assert not rows.warm[:first].any()
    assert np.isfinite(rows.rows[rows.warm]).all()
    # The neighbours are what they are without the block.
    np.testing.assert_array_equal(rows.rows[rows.warm][:, -1], alone.rows[rows.warm][:, 0])


def test_slices_of_the_plan_do_not_overlap():
    for name in NAMES:
        spec = spec_named(name)
        plan = plan_of(spec)
        sizes = [BLOCKS[block.kind].size(*block.windows) for block in spec.blocks]
        starts = plan.table[:, 4].tolist()
        ends = [start + size for start, size in zip(starts, sizes, strict=True)]
        assert ends[:-1] == starts[1:]
        assert ends[-1] == plan.n_state
