from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.doctor import examine
from cli.main import app
from core.config import CacheConfig, Config, StorageConfig
from core.errors import BadInput
from storage.parquet import TickStore
from tests.contracts.test_ticks import tape


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TICKPATH_STORAGE__HOME", str(tmp_path / "var"))
    return tmp_path / "var"


def test_status_tells_what_the_embedded_stores_hold(home: Path) -> None:
    store = TickStore(home / "ticks")
    store.append("EURUSD", tape(n=30))
    found = CliRunner().invoke(app, ["store", "status"])
    assert found.exit_code == 0
    assert "30 quotes" in found.output
    assert store.snapshot_hash("EURUSD")[:16] in found.output
    assert CliRunner().invoke(app, ["store", "migrate"]).exit_code == 0


def test_a_copy_needs_a_server(home: Path) -> None:
    found = CliRunner().invoke(app, ["store", "copy"])
    assert isinstance(found.exception, BadInput)
    assert "no server to copy to" in str(found.exception)


def test_the_doctor_tells_which_stores_are_chosen_and_no_password() -> None:
    embedded = {finding.name: finding for finding in examine(Config())}
    assert embedded["tick store"].where == "parquet (embedded)"
    assert embedded["ledger store"].ok
    servers = replace(
        Config(),
        storage=StorageConfig(
            tick_store="clickhouse",
            clickhouse_url="clickhouse://me:secret@127.0.0.1:1/x",
            ledger_store="postgres",
            postgres_url="postgresql://me:secret@127.0.0.1:1/x",
        ),
        cache=CacheConfig(second="redis", url="redis://:secret@127.0.0.1:1/0"),
    )
    found = [finding for finding in examine(servers) if "127.0.0.1:1" in finding.where]
    assert [finding.name for finding in found] == ["tick store", "ledger store", "cache"]
    assert not any(finding.ok for finding in found)
    assert not any("secret" in finding.where + finding.cost for finding in found)
