"""A restart goes on bit-equal; foreign and damaged snapshots are refused and change nothing."""

import hashlib

import numpy as np
import pytest

from core.errors import SnapshotRefused
from features import kernel
from features.engine import FeatureEngine
from features.parity import check_snapshots
from features.spec import spec_named

PIPS = (1e-4, 1e-2)
SPECS = ["core-bar", "full-bar", "full-tick"]


@pytest.fixture
def engine(make_minutes):
    engine = FeatureEngine(spec_named("full-bar"), PIPS)
    engine.rebuild(0, make_minutes(400))
    engine.rebuild(1, make_minutes(350, seed=3, price=86.0))
    engine.late = 3
    return engine


@pytest.mark.parametrize("name", SPECS)
def test_snapshots_at_100_random_quotes_change_no_bit(name, make_minutes):
    report = check_snapshots(spec_named(name), make_minutes(700), 1e-4, n_points=100)
    assert report.ok
    assert report.warm_rows > 400


@pytest.mark.parametrize("name", ["full-bar", "full-tick"])
def test_snapshots_at_100_random_quotes_change_no_bit_on_real_files(name, tape):
    report = check_snapshots(spec_named(name), tape.columns, tape.pip, n_points=100)
    assert report.equal


def test_a_restored_engine_is_the_same_in_everything(engine, make_minutes):
    fresh = FeatureEngine(engine.spec, PIPS)
    fresh.restore(engine.snapshot())
    assert fresh.snapshot() == engine.snapshot()
    assert fresh.late == 3
    assert fresh.is_warm(0)
    assert fresh.last_row(1).tobytes() == engine.last_row(1).tobytes()
    quote = next(make_minutes(500)[450:].quotes(0))
    assert fresh.update(quote).tobytes() == engine.update(quote).tobytes()


def refused(engine, data, why):
    before = engine.snapshot()
    with pytest.raises(SnapshotRefused, match=why):
        engine.restore(data)
    assert engine.snapshot() == before


def test_foreign_snapshots_are_refused(engine, monkeypatch):
    data = engine.snapshot()
    refused(FeatureEngine(spec_named("full-tick"), PIPS), data, "fingerprint")
    refused(FeatureEngine(engine.spec, PIPS[:1]), data, "pips")
    refused(FeatureEngine(engine.spec, PIPS[::-1]), data, "pips")
    monkeypatch.setattr(kernel, "SOURCES", "another")
    refused(engine, data, "kernels")


def signed(body):
    return body + hashlib.sha256(body).digest()


def test_damaged_snapshots_are_refused(engine):
    data = engine.snapshot()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 50).tolist():
        damaged = bytearray(data)
        damaged[at] ^= 1
        refused(engine, bytes(damaged), "snapshot")
    for length in (0, 5, 40, len(data) - 1):
        refused(engine, data[:length], "snapshot")
    body = data[:-32]
    refused(engine, signed(body + b"\0"), "another length")
    refused(engine, signed(b"TPFS\2\0" + body[6:]), "version")
    refused(engine, signed(body[:10] + b"\xc1" + body[11:]), "header")
