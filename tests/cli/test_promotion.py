"""The promotion ledger at the command line, with neither MLflow nor Prefect running."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli import main as command
from core.config import Config, StorageConfig
from core.settings import load_config
from registry.gates import Gate
from registry.loading import RegisteredVersion, local_copies
from registry.opening import open_registry
from registry.promotion import Judgement, conclude
from tests.e2e.conftest import made as made_fixture
from tests.e2e.stack import SYMBOL, make_home, registered

made = made_fixture
MODEL = f"direction-{SYMBOL}"
GATE = Gate("fine", "always passes", 1.0, ">", 0.0)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with verified copies of versions 1 and 2, and nothing that answers."""
    folder = make_home(made, tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TICKPATH_STORAGE__HOME", str(folder))
    monkeypatch.setenv("TICKPATH_MLFLOW__PORT", "9")
    monkeypatch.setenv("TICKPATH_PREFECT__PORT", "9")
    monkeypatch.setenv("COLUMNS", "200")
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tickpath", *arguments])
        with pytest.raises(SystemExit) as ended:
            command.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


def put(home: Path, number: str) -> RegisteredVersion:
    """Promote a version while the registry is away, as a crash before the projection leaves it."""
    config = load_config()
    assert config == Config() or config.storage.home == home
    subject = registered(home, number, "champion")
    with open_registry(config) as registry:
        judged = Judgement(subject, (GATE,), registry.ledger.last(MODEL))
        conclude(registry.ledger, registry.served.show, judged, actor="quant", reason="better")
    return subject


def test_champion_tells_who_may_trade_when_and_why(home: Path, run: Run) -> None:
    put(home, "1")
    put(home, "2")
    code, out, _ = run("champion", "--symbol", SYMBOL)
    assert code == 0
    assert "champion 2 (promote of version 2)" in out
    assert out.count("quant") >= 2
    assert "pass: 1 > 0" in out
    code, _, err = run("champion", "--at", "1999-01-01")
    assert (code, "by then" in err) == (1, True)
    code, _, err = run("champion", "--at", "tea time")
    assert (code, "tea time" in err, err.count("\n")) == (2, True, 1)


def test_a_roll_back_needs_neither_mlflow_nor_prefect(home: Path, run: Run) -> None:
    put(home, "1")
    put(home, "2")
    code, out, _ = run("rollback", "--reason", "loses money")
    assert code == 0
    assert "champion 1 (roll back of version 1)" in out
    assert "MLflow is away" in out
    with open_registry(load_config()) as registry:
        newest = registry.ledger.history(MODEL)[-1]
        assert registry.resolve_serving(MODEL).version == "1"
    assert (newest.action, newest.reason) == ("roll back", "loses money")
    code, _, err = run("rollback")
    assert (code, "no champion before" in err) == (1, True)


def test_a_roll_back_to_a_damaged_copy_is_refused_and_changes_nothing(home: Path, run: Run) -> None:
    put(home, "1")
    put(home, "2")
    copies = local_copies(StorageConfig(home=home))
    leaves = copies / MODEL / "1" / "leaves.npy"
    content = bytearray(leaves.read_bytes())
    content[-1] ^= 1
    leaves.write_bytes(bytes(content))
    code, _, err = run("rollback")
    assert (code, "Traceback" in err) == (1, False)
    with open_registry(load_config()) as registry:
        assert registry.resolve_serving(MODEL).version == "2"


def test_what_was_never_judged_is_told_so(home: Path, run: Run) -> None:
    for arguments in (("champion",), ("rollback",)):
        code, _, err = run(*arguments)
        assert (code, "never" in err, err.count("\n")) == (1, True, 1)
    code, _, err = run("approve")
    assert (code, "Prefect" in err) == (1, True)
