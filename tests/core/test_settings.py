"""Settings: what is unknown is refused by name, and a missing limit is zero."""

from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import pytest

from core.config import Config, RiskConfig
from core.errors import BadInput, SettingsError
from core.settings import _Settings, load_config


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tickpath.toml").write_text("[serving]\nport = 1111\npoll_secs = 3.0\n")
    monkeypatch.setenv("TICKPATH_SERVING__PORT", "2222")
    serving = load_config().serving
    assert (serving.port, serving.poll_secs) == (2222, 3.0)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TICKPATH_RSK__MAX_OPEN_ORDERS", "1", "TICKPATH_RSK__MAX_OPEN_ORDERS"),
        ("TICKPATH_SERVING", "1", "TICKPATH_SERVING"),
        ("TICKPATH_SERVING__PROT", "1", "serving.prot"),
        ("TICKPATH_SERVING__PORT", "many", "serving.port"),
        ("TICKPATH_SERVING__PORT", "99999", "serving.port: 99999"),
        ("TICKPATH_SERVING__PORT", "0", "serving.port: 0"),
        ("tickpath_servng__port", "5", "tickpath_servng__port"),
        ("TICKPATH_SERVING__POLL_SECS", "-3", "serving.poll_secs: -3"),
        ("TICKPATH_MARKET__MAX_BAD_ROWS", "nan", "market.max_bad_rows: nan"),
        ("TICKPATH_MARKET__MAX_BAD_ROWS", "2", "shares of one"),
        ("TICKPATH_RISK__COLLAR_PIPS", "inf", "risk.collar_pips: inf"),
        ("TICKPATH_RISK__SYMBOLS", '["NOPE"]', "unknown symbol 'NOPE'"),
        ("TICKPATH_TRAINING__FOLDS", "0", "at least 1"),
        ("TICKPATH_CONFIG", "nowhere.toml", "nowhere.toml, which is no file"),
    ],
)
def test_wrong_variables_are_named(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadInput, match=says):
        load_config()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[servng]\nport = 1\n", "servng"),
        ("[serving]\nprot = 1\n", "serving.prot"),
        ("[serving\n", "tickpath.toml"),
    ],
)
def test_wrong_files_are_named(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "tickpath.toml").write_text(text)
    with pytest.raises(SettingsError, match=says):
        load_config()


@pytest.mark.parametrize("group", [field.name for field in fields(Config)])
def test_every_group_can_be_set(group: str) -> None:
    """A group that only `Config` has would be refused in the environment of every child."""
    assert getattr(load_config(**{group: getattr(Config(), group)}), group) is not None
    assert group in _Settings.model_fields


def test_a_missing_limit_is_zero() -> None:
    limits = RiskConfig()
    assert limits.max_order_lots == Decimal(0)
    assert limits.max_open_orders == 0
    assert limits.symbols == ()


def test_groups_are_frozen() -> None:
    config = load_config()
    with pytest.raises(AttributeError):
        config.serving.port = 1  # type: ignore[misc]
