"""``tickpath journal``: every byte looked at, records shown and exported."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_main import run
from tests.trading.conftest import House
from tests.trading.test_engine import session
from trading.journal import FileJournal

FOLDER = Path("journal") / "PAPER"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A home whose journal holds a session."""
    monkeypatch.setenv("TICKPATH_STORAGE__HOME", str(tmp_path))
    journal = FileJournal(tmp_path / FOLDER, segment_bytes=4_000, min_free_bytes=0)
    session(House(journal=journal))
    journal.close()
    return tmp_path


def test_verify_says_what_is_there(monkeypatch: Any, capsys: Any, home: Path) -> None:
    assert run(monkeypatch, "journal", "verify") == 0
    told = capsys.readouterr().out
    assert "segments" in told
    assert "torn end" in told


def test_verify_fails_by_name_when_a_byte_is_flipped(
    monkeypatch: Any, capsys: Any, home: Path
) -> None:
    path = home / FOLDER / "segment-00000002.log"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    assert run(monkeypatch, "journal", "verify") == 1
    assert path.name in capsys.readouterr().err


def test_show_and_export_give_the_records(monkeypatch: Any, capsys: Any, home: Path) -> None:
    assert run(monkeypatch, "journal", "export", str(home / "out.jsonl")) == 0
    rows = [json.loads(line) for line in (home / "out.jsonl").read_text().splitlines()]
    assert [row["record"] for row in rows] == list(range(1, len(rows) + 1))
    intent = next(row for row in rows if row["type"] == "intent")
    name = intent["order"]["client_order_id"]
    capsys.readouterr()
    assert run(monkeypatch, "journal", "show", "--order", name) == 0
    shown = [json.loads(line.split(maxsplit=1)[1]) for line in capsys.readouterr().out.splitlines()]
    assert shown[0]["order"]["client_order_id"] == name
    assert {row["event"]["client_order_id"] for row in shown[1:]} == {name}
    assert run(monkeypatch, "journal", "show", "--last", "2") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert run(monkeypatch, "journal", "export", str(home / "out.jsonl")) == 2
    assert "exists already" in capsys.readouterr().err


def test_without_a_journal_it_says_so(monkeypatch: Any, capsys: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("TICKPATH_STORAGE__HOME", str(tmp_path))
    assert run(monkeypatch, "journal", "verify") == 2
    assert "has no journal" in capsys.readouterr().err
