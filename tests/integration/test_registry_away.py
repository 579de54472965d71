"""Serving with MLflow and Prefect stopped: it starts, decides, and catches up when it is back."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cli import services
from cli.supervisor import Supervisor, free_port
from core.config import Config, MlflowConfig, StorageConfig
from models import manifest as manifests
from models.manifest import model_name
from registry.loading import CHAMPION
from registry.registration import register
from registry.tracking import connect, open_run
from tests.e2e.conftest import made as made_fixture
from tests.e2e.stack import SYMBOL, Platform, _made, platform, until

pytestmark = pytest.mark.servers
made = made_fixture
NAME = model_name(SYMBOL)


def publish(config: Config, made: Path) -> None:
    """Register two versions; the second is champion."""
    client = connect(config.mlflow)
    for number in ("1", "2"):
        folder = _made(made) / "models" / NAME / number
        found = manifests.read(folder)
        judged = {**found.metrics, "dsr": 1.0, "pbo": 0.0}
        manifests.write(folder, msgspec.structs.replace(found, metrics=judged))
        with open_run(client, config.mlflow.experiment, "away", {}) as run:
            register(client, run, folder, {"data_source": "simulator"})
    client.set_registered_model_alias(NAME, CHAMPION, "2")


def serves(running: Platform) -> str:
    """Version that decisions are made by; empty while there is none."""
    status, body = running.client.call("POST", "/v1/decisions", {"symbol": SYMBOL})
    return str(body["model_version"]) if status == 200 else ""


@pytest.mark.timeout(300)
def test_serving_starts_without_the_registry_and_catches_up(made: Path, tmp_path: Path) -> None:
    registry = replace(
        Config(),
        storage=StorageConfig(home=tmp_path / "registry"),
        mlflow=MlflowConfig(port=free_port()),
    )
    with platform(made, tmp_path / "home", mlflow=registry.mlflow) as running:
        assert serves(running) == "1"  # the verified local copy of the last run
        with Supervisor(registry) as supervisor:
            supervisor.start(services.mlflow(registry))
            publish(registry, made)
            until("the registry's champion", lambda: serves(running) == "2", 60.0)
        assert serves(running) == "2"  # the registry is gone again
        running.serving.kill()
        running.serving.start()
        running.await_ready()
        assert serves(running) == "2"
        shown = running.client.call("GET", "/v1/models")[1]
        assert [(row["version"], row["alias"]) for row in shown] == [("2", CHAMPION)]
