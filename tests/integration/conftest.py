"""MLflow, Prefect and a worker, started once for the tests here on ephemeral ports."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli import services
from cli.supervisor import Supervisor, free_port
from core.config import Config, MlflowConfig, PrefectConfig, StorageConfig
from flows.client import deploy_all


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Settings with a home and ports of their own."""
    home: Path = tmp_path_factory.mktemp("home")
    return replace(
        Config(),
        storage=StorageConfig(home=home),
        mlflow=MlflowConfig(port=free_port()),
        prefect=PrefectConfig(port=free_port()),
    )


@pytest.fixture(scope="session")
def supervisor(config: Config) -> Iterator[Supervisor]:
    """A supervisor that stops everything at the end of the session."""
    with Supervisor(config) as owner:
        yield owner


@pytest.fixture(scope="session")
def mlflow_server(config: Config, supervisor: Supervisor) -> Config:
    """Settings of a running MLflow server."""
    supervisor.start(services.mlflow(config))
    return config


@pytest.fixture(scope="session")
def prefect_server(config: Config, supervisor: Supervisor) -> Config:
    """Settings of a running Prefect server with our deployments, schedules paused, and a worker."""
    server = services.prefect(config)
    # A schedule that a test changes is looked at every two seconds, not every minute.
    looped = {**server.env, "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2"}
    supervisor.start(replace(server, env=looped))
    deploy_all(config, schedules=False)
    supervisor.start(services.worker(config))
    return config
