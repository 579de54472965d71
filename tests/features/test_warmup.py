"""Measured warm-up: what ships claims enough, and a claim that is too short is found."""

import msgspec
import pytest

from core.types import Cadence
from features import spec as specs
from features.check import run_checks
from features.spec import Block, make_spec, spec_named
from features.warmup import check_warmup

SPECS = ["core-bar", "core-tick", "full-bar", "full-tick"]


@pytest.mark.parametrize("name", SPECS)
def test_no_column_claims_less_than_it_needs(name, make_minutes, make_ticks):
    for columns in (make_minutes(3_000), make_ticks(60_000 if name.endswith("bar") else 8_000)):
        report = check_warmup(spec_named(name), columns, 1e-4, n_cuts=6, seed=1)
        assert report.samples > 0
        assert report.understated == ()
        assert report.ok
        # It measures: windows show, and seeds take a while.
        assert report.measured["sma_20"] == 20
        assert report.measured["rsi_14"] > 100
        assert report.measured["day_sin"] == 1


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("real", ["fxcm GBPUSD minutes", "histdata EURUSD ticks"])
def test_claims_hold_on_real_tapes(name, real, load_real):
    tape = load_real(real)
    report = check_warmup(spec_named(name), tape.columns[:9_000], tape.pip)
    assert report.understated == ()


def test_a_claim_that_is_too_short_is_found(make_minutes, monkeypatch):
    def hasty(n):
        return (msgspec.structs.replace(honest(n)[0], warmup=n + 5),)

    kind = specs.kind_named("ema")
    honest = kind.columns
    monkeypatch.setattr(
        specs, "kind_named", lambda _: type(kind)(kind.op, kind.n_windows, kind.size, hasty)
    )
    spec = make_spec("s", Cadence.BAR, (Block("ema", (12,)),))
    report = check_warmup(spec, make_minutes(600), 1e-4)
    assert not report.ok
    name, claimed, need = report.understated[0]
    assert (name, claimed) == ("ema_12", 17)
    assert 60 < need <= 130
    assert report.served_early == ((name, 17, need),)
    full = run_checks(spec, make_minutes(600), 1e-4, n_points=2)
    assert full.problems == (f"column ema_12 claims 17 samples of warm-up and needs {need}",)


def test_nothing_to_compare_is_not_a_pass(make_minutes):
    report = check_warmup(spec_named("full-bar"), make_minutes(100), 1e-4)
    assert not report.ok
