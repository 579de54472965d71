"""Register and promote against a real MLflow server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from core.config import Config
from core.errors import NotFound
from registry.gates import Gate
from registry.loading import BOOTSTRAP, CHAMPION, RegisteredVersion, RegistryReader
from registry.opening import open_registry
from registry.promotion import Judgement, Promotion, conclude, store_verdicts
from registry.registration import count_trials, find_version, newest_version, register
from registry.tracking import connect, open_run
from tests.registry.conftest import artifact as artifact_fixture

pytestmark = pytest.mark.servers
artifact = artifact_fixture

PASS = Gate("fine", "always passes", 1.0, ">", 0.0)
FAIL = Gate("poor", "never passes", 0.0, ">", 0.0)
Artifact = Callable[..., tuple[Path, str]]


@pytest.fixture
def client(mlflow_server: Config) -> MlflowClient:
    return connect(mlflow_server.mlflow)


def _register(
    client: MlflowClient, config: Config, folder: Path, key: str
) -> tuple[str, RegisteredVersion]:
    tags = {"data_hash": "d" * 16, "training_key": key, "data_source": "simulator"}
    with open_run(client, config.mlflow.experiment, "train-test", tags) as run:
        run.params({"trees": 3})
        run.metrics({"log_loss": 0.5})
        run.table([{"fold": 1, "log_loss": 0.6}, {"fold": 2, "log_loss": 0.4}], "folds.json")
        return run.id, register(client, run, folder, tags)


def _conclude(
    client: MlflowClient, config: Config, subject: RegisteredVersion, *gates: Gate
) -> Promotion:
    with open_registry(config) as registry:
        judged = Judgement(subject, gates, registry.served.reconcile(subject.model))
        store_verdicts(client, judged, "1")
        return conclude(registry.ledger, registry.served.show, judged, actor="t", reason="")


def test_experiment_run_version_and_alias_are_listed_and_the_alias_moves(
    client: MlflowClient, mlflow_server: Config, artifact: Artifact, tmp_path: Path
) -> None:
    config = mlflow_server
    model = "direction-FIRST"
    reader = RegistryReader(config.mlflow, tmp_path / "models")
    with pytest.raises(NotFound, match="no model"):
        reader.resolve_serving(model)

    folder, first_hash = artifact(b"one", model=model, symbol="FIRST")
    run_id, first = _register(client, config, folder, "key-1")
    with pytest.raises(NotFound, match="no alias"):
        reader.resolve_serving(model)
    assert _conclude(client, config, first, PASS, FAIL).alias == BOOTSTRAP
    watched = reader.resolve_serving(model)
    assert (watched.version, watched.approved, watched.manifest_sha256) == ("1", False, first_hash)

    folder, second_hash = artifact(b"two", model=model, symbol="FIRST")
    _, second = _register(client, config, folder, "key-2")
    assert _conclude(client, config, second, PASS).alias == CHAMPION
    serving = reader.resolve_serving(model)
    assert (serving.version, serving.approved, serving.manifest_sha256) == ("2", True, second_hash)
    copy = reader.fetch(serving)
    assert (copy / "leaves.npy").read_bytes() == (folder / "leaves.npy").read_bytes()

    experiment = client.get_experiment_by_name(config.mlflow.experiment)
    assert experiment is not None
    listed = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    assert listed[run_id].info.status == "FINISHED"
    assert listed[run_id].data.params == {"trees": "3"}
    history = client.get_metric_history(run_id, "folds.log_loss")
    assert [(row.step, row.value) for row in history] == [(0, 0.6), (1, 0.4)]
    tags = client.get_model_version(model, "1").tags
    assert (tags["gates"], tags["gate.poor"]) == ("failed", "fail: 0 > 0")
    assert client.get_model_version(model, "2").tags["gates"] == "passed"
    held = {alias: str(v) for alias, v in client.get_registered_model(model).aliases.items()}
    assert held == {BOOTSTRAP: "1", CHAMPION: "2"}


def test_versions_are_found_by_what_they_were_made_from(
    client: MlflowClient, mlflow_server: Config, artifact: Artifact
) -> None:
    model = "direction-SECOND"
    assert newest_version(client, model) is None
    before = count_trials(client, mlflow_server.mlflow.experiment, "d" * 16)
    folder, _ = artifact(model=model, symbol="SECOND")
    _register(client, mlflow_server, folder, "key-a")
    _register(client, mlflow_server, folder, "key-b")
    assert find_version(client, model, {"training_key": "key-a"}) == "1"
    assert find_version(client, model, {"training_key": "other"}) is None
    assert newest_version(client, model) == "2"
    assert count_trials(client, mlflow_server.mlflow.experiment, "d" * 16) == before + 2


def test_a_run_whose_work_raises_is_listed_as_failed(
    client: MlflowClient, mlflow_server: Config
) -> None:
    def work() -> Any:
        with open_run(client, mlflow_server.mlflow.experiment, "broken", {}) as run:
            raise RuntimeError(run.id)

    with pytest.raises(RuntimeError) as error:
        work()
    assert client.get_run(str(error.value)).info.status == "FAILED"
