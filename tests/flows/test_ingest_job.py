"""Ingest: nothing twice, no mix of sources, refusals in one sentence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.columns import from_ticks
from core.config import Config, StorageConfig
from core.errors import BadInput, UnknownInstrument
from core.instruments import DEFAULT_INSTRUMENTS
from flows import ingest_job
from flows.ingest_job import describe, ingest, known_symbols
from market.simulator import Simulated
from storage.parquet import TickStore

N = 50


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return replace(Config(), storage=StorageConfig(home=tmp_path / "var"))


@pytest.fixture(autouse=True)
def _short_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    def simulate(*_: object, days: float) -> Simulated:
        bid = 1.1 + np.arange(N) * 1e-5
        return Simulated(from_ticks(np.arange(N) * 10**9, bid, bid + 1e-4), None)  # type: ignore[arg-type]

    monkeypatch.setattr(ingest_job, "simulate", simulate)


def _csv(folder: Path) -> Path:
    folder.mkdir()
    rows = ["timestamp,bid,ask,volume"]
    rows += [f"2024-01-08T00:00:{second:02d}Z,1.2000,1.2001,1" for second in range(40)]
    (folder / "EURUSD.csv").write_text("\n".join(rows) + "\n")
    return folder / "EURUSD.csv"


def test_a_second_ingest_of_the_same_source_adds_nothing(config: Config) -> None:
    first, second = ingest(config, "EURUSD"), ingest(config, "EURUSD")
    assert (first.source, first.rows_kept, first.rows_new) == ("simulator", N, N)
    assert second.rows_new == 0
    assert known_symbols(config) == ("EURUSD",)
    assert len(TickStore(config.storage.ticks).read("EURUSD")) == N
    assert f"{N} rows read, {N} kept, 0 new" in describe(second)


def test_sources_of_one_symbol_never_mix(config: Config, tmp_path: Path) -> None:
    ingest(config, "EURUSD")
    path = _csv(tmp_path / "data")
    with pytest.raises(BadInput, match="already has quotes of simulator"):
        ingest(config, "EURUSD", str(path))
    assert len(TickStore(config.storage.ticks).read("EURUSD")) == N
    replaced = ingest(config, "EURUSD", str(path), replace=True)
    assert (replaced.source, replaced.rows_new) == (str(path.resolve()), 40)
    assert len(TickStore(config.storage.ticks).read("EURUSD")) == 40


def test_without_a_source_the_known_one_is_used_again(config: Config, tmp_path: Path) -> None:
    path = _csv(tmp_path / "data")
    ingest(config, "EURUSD", str(path))
    assert ingest(config, "EURUSD").source == str(path.resolve())


def test_a_source_that_cannot_be_read_changes_nothing(config: Config, tmp_path: Path) -> None:
    ingest(config, "EURUSD")
    empty = tmp_path / "empty"
    empty.mkdir()
    for source in (str(empty), str(tmp_path / "absent")):
        with pytest.raises(BadInput):
            ingest(config, "EURUSD", source, replace=True)
    assert ingest(config, "EURUSD").rows_kept == N


def test_an_unknown_symbol_is_refused_by_name(config: Config) -> None:
    with pytest.raises(UnknownInstrument, match="EURUSX"):
        ingest(config, "EURUSX")
    assert DEFAULT_INSTRUMENTS.by_symbol("EURUSD").symbol == "EURUSD"
