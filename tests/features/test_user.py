"""Own features: in the row, in the fingerprint, in stream, batch and checks; no foot outside."""

import importlib
import math

import numpy as np
import pytest
from numba import njit

from core.errors import BadInput
from core.types import Cadence
from features.batch import compute
from features.check import run_checks
from features.interpreted import check_steps
from features.parity import check_leaks, check_parity
from features.spec import Block, make_spec, spec_named, with_features
from features.user import feature, source_digest
from features.warmup import check_warmup

WEIGHT = 0.25


@feature(name="slow_mean", formula="close / EMA - 1", unit="bps", window=8, warmup=120, state=2)
def slow_mean(state, sample):
    if state[0] == 0.0:
        state[0], state[1] = 1.0, sample.close
    state[1] += WEIGHT * (sample.close - state[1])
    return 1e4 * (sample.close / state[1] - 1.0)


@feature(name="body", formula="(close - open) / pip", unit="pips", window=1, warmup=1, state=0)
def body(state, sample):
    return (sample.close - sample.open) / sample.pip


def own(*features, cadence=Cadence.BAR):
    return make_spec("own", cadence, tuple(Block(mine.kind) for mine in features))


@pytest.mark.parametrize("name", ["full-bar", "full-tick"])
def test_own_columns_come_after_the_specs_and_do_what_they_say(name, make_minutes):
    columns = make_minutes(600)
    spec = with_features(spec_named(name), "mine", slow_mean, body)
    assert spec.names[-2:] == ("slow_mean", "body")
    rows, plain = compute(spec, columns, 1e-4), compute(spec_named(name), columns, 1e-4)
    assert rows.rows[:, :-2].tobytes() == plain.rows.tobytes()
    mid = 0.5 * (columns.bid + columns.ask)
    mean, means = mid[0], []
    for close in mid:
        mean += WEIGHT * (close - mean)
        means.append(mean)
    warm = rows.warm
    np.testing.assert_allclose(
        rows.rows[warm, -2], (1e4 * (mid / means - 1))[warm], rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(
        rows.rows[warm, -1], ((mid - columns.open) / 1e-4)[warm], rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("name", ["full-bar", "full-tick"])
def test_all_checks_hold_for_a_full_spec_with_own_features(name, make_minutes):
    spec = with_features(spec_named(name), "mine", slow_mean, body)
    report = run_checks(spec, make_minutes(1_200), 1e-4, n_points=4)
    assert report.problems == ()
    assert report.ok
    assert report.steps.checked == (slow_mean.kind, body.kind)
    assert report.warmup.measured["slow_mean"] > 20


def test_the_fingerprint_follows_source_constants_and_callees():
    def build(weight, inner):
        def step(state, sample):
            return weight * inner(sample.close)

        return source_digest(step)

    @njit
    def double(x):
        return 2.0 * x

    @njit
    def triple(x):
        return 3.0 * x

    digests = {build(1.0, double), build(2.0, double), build(1.0, triple)}
    assert len(digests) == 3
    assert build(1.0, double) in digests
    spec = spec_named("full-bar")
    mine = with_features(spec, spec.name, body)
    assert mine.fingerprint != spec.fingerprint
    assert body.kind.split(":")[2] in mine.blocks[-1].kind


def test_the_fingerprint_follows_arrays_and_constants_of_other_modules(tmp_path, monkeypatch):
    (tmp_path / "my_numbers.py").write_text("SCALE = 2.0\n")
    (tmp_path / "my_step.py").write_text(
        "import math, os\nimport my_numbers\nimport numpy as np\n"
        "TABLE, MEANT = np.arange(3.0), {}\n"
        "def step(state, sample):\n"
        "    return my_numbers.SCALE * TABLE[1] * np.mean(state) + math.pi + os.path.os.F_OK\n"
        "def odd(state, sample):\n    return MEANT\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    numbers, mine = (importlib.import_module(name) for name in ("my_numbers", "my_step"))
    digests = [source_digest(mine.step)]
    monkeypatch.setattr(numbers, "SCALE", 3.0)
    digests.append(source_digest(mine.step))
    mine.TABLE[2] = 7.0
    digests.append(source_digest(mine.step))
    assert len(set(digests)) == 3
    assert source_digest(mine.step) == digests[-1]
    with pytest.raises(BadInput, match="MEANT is a dict"):
        source_digest(mine.odd)


def test_a_feature_of_another_source_is_refused():
    stale = body.kind[:-16] + 16 * "0"
    with pytest.raises(BadInput, match="its source differs"):
        make_spec("s", Cadence.BAR, (Block(stale),))
    with pytest.raises(BadInput, match="import the module"):
        make_spec("s", Cadence.BAR, (Block("user:nobody:0"),))


@pytest.mark.parametrize("wrong", [{"name": "a b"}, {"warmup": 0}, {"state": -1}, {"window": 0}])
def test_numbers_that_cannot_be_are_refused(wrong):
    good = {"name": "a", "formula": "f", "unit": "1", "window": 1, "warmup": 1, "state": 0}
    with pytest.raises(BadInput, match="needs an identifier"):
        feature(**(good | wrong))


@feature(name="too_young", formula="mean so far", unit="1", window=1, warmup=5, state=2)
def too_young(state, sample):
    state[0] += 1.0
    state[1] += sample.close
    return 1e4 * (sample.close / (state[1] / state[0]) - 1.0)


@feature(name="odd", formula="1 / (close - close)", unit="1", window=1, warmup=1, state=0)
def odd(state, sample):
    return 1.0 / (sample.close - sample.close)


@feature(name="outside", formula="state[1]", unit="1", window=1, warmup=1, state=1)
def outside(state, sample):
    return state[1 + int(sample.first)]


def test_a_step_that_leaves_its_state_is_found(make_minutes):
    report = check_steps(own(outside), make_minutes(50), 1e-4)
    assert len(report.problems) == 1
    assert "leaves its state of 1" in report.problems[0]


@feature(name="strays", formula="state[samples]", unit="1", window=1, warmup=1, state=300)
def strays(state, sample):
    state[0] += 1.0
    state[int(state[0])] = sample.close
    return 1.0


@pytest.mark.parametrize("cadence", [Cadence.BAR, Cadence.TICK])
def test_a_step_that_leaves_its_state_late_gives_no_number_and_touches_nobody(
    cadence, make_minutes
):
    columns = make_minutes(400)
    both = compute(own(slow_mean, strays, body, cadence=cadence), columns, 1e-4)
    clean = compute(own(slow_mean, body, cadence=cadence), columns, 1e-4)
    inside = np.arange(len(both)) < 299
    assert (both.rows[both.warm & inside, 1] == 1.0).all()
    assert np.isnan(both.rows[both.warm & ~inside, 1]).all()
    assert both.warm[~inside].all()
    assert both.rows[both.warm][:, [0, 2]].tobytes() == clean.rows[clean.warm].tobytes()


def test_a_warm_up_that_is_too_short_is_found(make_minutes):
    report = check_warmup(own(too_young), make_minutes(400), 1e-4)
    assert not report.ok
    assert report.understated[0][:2] == ("too_young", 5)
    assert report.served_early[0][0] == "too_young"


def test_a_value_that_is_not_finite_is_told_by_name(make_minutes):
    report = run_checks(own(odd), make_minutes(100), 1e-4, n_points=2)
    assert report.not_finite == ("odd",)
    assert "column odd has a warm value that is not finite" in report.problems
    assert not report.ok


@pytest.mark.parametrize("cadence", [Cadence.BAR, Cadence.TICK])
def test_own_features_are_in_parity_and_leak_checks(cadence, make_ticks):
    columns = make_ticks(4_000)
    spec = own(body, slow_mean, cadence=cadence)
    if cadence is Cadence.TICK:
        assert check_parity(spec, columns, 1e-4).ok
        assert check_leaks(spec, columns, 1e-4, n_points=3).ok
        assert math.isfinite(compute(spec, columns, 1e-4).rows[-1, 1])
    report = check_steps(spec, columns, 1e-4)
    assert report.problems == ()
