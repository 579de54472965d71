"""``tickpath features check``: passes on what ships, and tells what fails."""

import sys
from pathlib import Path

import pytest

from cli.features import run_check
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from market.simulator import simulate
from storage.parquet import TickStore

MINE = """
from features.spec import register_spec, spec_named, with_features
from features.user import feature

@feature(name="age", formula="samples since the tape began", unit="1", window=1, warmup=1, state=1)
def age(state, sample):
    state[0] += 1.0
    return state[0]

@feature(name="body", formula="close / open - 1", unit="1", window=1, warmup=2, state=0)
def body(state, sample):
    return sample.close / sample.open - 1.0

register_spec(with_features(spec_named("core-tick"), "aged-tick", age))
register_spec(with_features(spec_named("core-tick"), "bodied-tick", body))
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TICKPATH_STORAGE__HOME", str(tmp_path / "var"))
    store = TickStore(tmp_path / "var" / "ticks")
    for symbol in ("EURUSD", "GBPUSD", "USDJPY"):
        columns = simulate(DEFAULT_INSTRUMENTS.by_symbol(symbol), days=0.2).columns
        store.append(symbol, columns)


def test_stored_quotes_pass_with_what_training_would_use(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_check([], None, []) == 0
    shown = capsys.readouterr().out
    assert shown.count("full-tick") >= 3
    assert "FAILED" not in shown


def test_crossed_specs_read_the_tapes_of_their_peers() -> None:
    assert run_check(["EURUSD"], None, ["cross-tick"]) == 0


def test_features_of_your_own_are_checked_and_a_false_claim_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_features.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TICKPATH_FEATURES__MODULES", '["my_features"]')
    try:
        assert run_check(["EURUSD"], None, ["bodied-tick"]) == 0
        assert run_check(["EURUSD"], None, ["aged-tick"]) == 1
        assert "column age claims 1 samples of warm-up" in capsys.readouterr().out
    finally:
        sys.modules.pop("my_features", None)


def test_what_cannot_be_checked_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="unknown feature spec 'nope'"):
        run_check(["EURUSD"], None, ["nope"])
    with pytest.raises(BadInput, match="needs --symbol"):
        run_check([], tmp_path, [])
    with pytest.raises(BadInput, match="no stored quotes of XAUUSD"):
        run_check(["XAUUSD"], None, [])
    monkeypatch.setenv("TICKPATH_FEATURES__MODULES", '["not_there"]')
    with pytest.raises(BadInput, match="'not_there' cannot be imported"):
        run_check(["EURUSD"], None, [])
