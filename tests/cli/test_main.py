"""The command as a user sees it: one sentence and an exit code, never a stack trace."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from cli import main as command
from cli.console import make_console
from cli.doctor import examine, versions
from cli.learn import print_dropped
from cli.supervisor import Service, Supervisor
from core.config import Config, RiskConfig, ServingConfig, StorageConfig
from core.errors import BadInput, SettingsError


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["tickpath", *arguments])
    with pytest.raises(SystemExit) as ended:
        command.main()
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("TICKPATH_SERVING__PORT", str(probe.getsockname()[1]))


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("TICKPATH_VENU__SPEED", "1", "TICKPATH_VENU__SPEED"),
        ("TICKPATH_VENUE__SPED", "1", "sped"),
        ("TICKPATH_SERVING__PORT", "many", "port"),
        ("TICKPATH_SERVING__HOST", "0.0.0.0", "0.0.0.0"),
    ],
)
def test_wrong_settings_are_one_sentence_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, name: str, text: str, word: str
) -> None:
    monkeypatch.setenv(name, text)
    assert run(monkeypatch, "serve") == 2
    told = capsys.readouterr().err
    assert word in told
    assert told.count("\n") == 1
    assert "Traceback" not in told


def test_a_service_that_is_away_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    assert run(monkeypatch, "enable") == 1
    assert "tickpath up" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name",
    [
        "demo",
        "up",
        "ingest",
        "train",
        "promote",
        "champion",
        "rollback",
        "approve",
        "serve",
        "venue",
        "backtest",
        "doctor",
    ],
)
def test_every_command_has_help_without_heavy_imports(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, name: str
) -> None:
    assert run(monkeypatch, name, "--help") == 0
    assert "Usage" in capsys.readouterr().out


def test_doctor_is_plain_text_when_piped(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert run(monkeypatch, "doctor") == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "MLflow" in told
    assert "no training or promotion" in told


def test_doctor_names_each_missing_limit() -> None:
    config = Config(risk=RiskConfig(symbols=("EURUSD",), max_open_orders=3))
    finding = next(f for f in examine(config) if f.name == "risk limits")
    assert not finding.ok
    assert "max_position_lots" in finding.cost
    assert "max_open_orders" not in finding.cost


def test_doctor_sees_a_port_that_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        config = Config(serving=ServingConfig(port=port))
        finding = next(f for f in examine(config) if f.name == "serving")
    assert finding.ok
    assert finding.where == f"127.0.0.1:{port}"


def test_versions_hold_the_pinned_ones() -> None:
    assert versions()["prefect"] == "3.8.8"


def test_a_share_of_bad_rows_out_of_bounds_is_refused() -> None:
    from cli.learn import run_ingest

    with pytest.raises(BadInput, match="--max-bad-rows is a share"):
        run_ingest(None, "EURUSD", replace=False, max_bad_rows=7.0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("ingest", "--data", "notes.md"), "notes.md has no known format"),
        (("demo", "--data", "notes.md"), "notes.md has no known format"),
        (("ingest", "--data", "absent.csv"), "absent.csv does not exist"),
        (("ingest", "--data", "/dev/null"), "/dev/null is neither a file nor a folder"),
        (("ingest", "--max-bad-rows", "nan"), "--max-bad-rows is a share of the rows"),
        (("promote", "--version", "abc"), "a version is a number, not 'abc'"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, arguments: tuple[str, ...], told: str
) -> None:
    Path("notes.md").write_text("# Notes\n\nNo market data.\n")
    assert run(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"tickpath: {told}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.mark.parametrize("name", ["up", "serve"])
def test_a_home_that_cannot_be_made_is_one_sentence_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, name: str
) -> None:
    Path("file").write_text("")
    home = Path("file/home").absolute()
    monkeypatch.setenv("TICKPATH_STORAGE__HOME", str(home))
    assert run(monkeypatch, name) == 2
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert str(home) in told.splitlines()[-1]


def test_a_host_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    service = Service(
        name="mlflow", argv=(), env={}, ready=lambda: True, address=("not a host", 5000)
    )
    config = Config(storage=StorageConfig(home=tmp_path))
    with (
        Supervisor(config) as supervisor,
        pytest.raises(SettingsError, match="'not a host' is the name of no host"),
    ):
        supervisor.start(service)


def test_dropped_rows_are_printed_with_file_line_and_reason(capsys: Any) -> None:
    rows = [{"file": "a.csv", "line": line, "reason": "ask is below bid"} for line in range(2, 40)]
    print_dropped(make_console(), json.dumps(rows))
    out = capsys.readouterr().out
    assert out.count("ask is below bid") == 10
    assert [cell.strip() for cell in out.splitlines()[4].strip("| ").split("|")] == [
        "a.csv", "2", "ask is below bid",
    ]  # fmt: skip
