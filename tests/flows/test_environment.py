"""Children must see the very settings of their parent."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from core.config import Config, PrefectConfig, RiskConfig, StorageConfig
from core.settings import load_config
from flows.environment import absolute, environment, settings_environment


def test_settings_survive_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(
        Config(),
        storage=StorageConfig(home=tmp_path),
        prefect=PrefectConfig(port=4321),
        risk=RiskConfig(symbols=("EURUSD", "USDJPY"), max_order_lots=Decimal("1.50")),
    )
    for name, value in settings_environment(config).items():
        monkeypatch.setenv(name, value)
    assert load_config() == config


def test_children_get_absolute_homes_and_the_configured_ports(tmp_path: Path) -> None:
    config = absolute(replace(Config(), prefect=PrefectConfig(port=4321)), tmp_path)
    env = environment(config)
    assert env["PREFECT_HOME"] == str(tmp_path / "var" / "prefect")
    assert env["PREFECT_API_URL"] == env["PREFECT_SERVER_UI_API_URL"] == "http://127.0.0.1:4321/api"
    assert env["TICKPATH_STORAGE__HOME"] == str(tmp_path / "var")


def test_settings_of_our_own_environment_do_not_leak_past_the_given_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TICKPATH_PREFECT__PORT", "1")
    assert environment(absolute(Config()))["TICKPATH_PREFECT__PORT"] == "4200"
