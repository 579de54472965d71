"""Ingest, train, promote for real: as plain functions, and as flow runs on server and worker."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from core.config import Config, StorageConfig
from core.errors import BadInput, NotFound
from flows.client import PrefectApi, run_deployment
from flows.ingest_job import ingest
from flows.promote_job import promote
from flows.sources import SIMULATOR
from flows.train_job import train
from models.inference.artifact import load_verified
from registry.loading import RegistryReader, local_copies
from registry.tracking import connect

pytestmark = pytest.mark.servers


@pytest.fixture
def config_of(mlflow_server: Config, tmp_path: Path) -> Callable[[], Config]:
    """Settings with the running MLflow and a home of the test's own."""
    return lambda: replace(mlflow_server, storage=StorageConfig(home=tmp_path))


def test_flow_runs_take_simulated_quotes_to_a_champion(
    prefect_server: Config, mlflow_server: Config
) -> None:
    config = mlflow_server
    symbol = {"symbol": "EURUSD"}
    run_deployment(config, "ingest", {**symbol, "source": SIMULATOR, "replace": True})
    trained = run_deployment(config, "train", symbol)
    judged = run_deployment(config, "promote", symbol)
    run_deployment(config, "scenarios")

    api = PrefectApi(config.prefect)
    assert {"train-eurusd-folds", "train-eurusd-card", "train-eurusd-progress"} <= {
        row["key"] for row in api.artifacts(trained)
    }
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    client = connect(config.mlflow)
    run = client.get_run(client.get_model_version("direction-EURUSD", "1").run_id).info
    logged = {item.path for item in client.list_artifacts(run.run_id)}
    looked_at = ("reliability", "trades", "folds", "confusion", "importance", "dependence")
    assert {f"{name}.png" for name in (*looked_at, "decision")} | {
        "folds.json",
        "card.md",
    } <= logged
    gates = [row for row in api.artifacts(judged) if row["key"] == "promote-eurusd-gates"]
    assert "every gate passed" in gates[0]["description"]
    version = reader.resolve_serving("direction-EURUSD")
    assert version.approved
    assert version.tags["gates"] == "passed"

    # The same data, settings and code give no second version, whoever asks.
    again = train(config, "EURUSD")
    assert (again.new, again.version.version) == (False, version.version)


def test_real_minutes_end_in_a_version_that_may_be_watched(
    config_of: Callable[[], Config], real_data: Path
) -> None:
    config = config_of()
    taken = ingest(config, "GBPUSD", str(real_data / "fxcm"))
    assert taken.rows_read == taken.rows_kept + sum(taken.bad_counts.values())
    steps: list[tuple[int, int, str]] = []
    trained = train(config, "GBPUSD", on_progress=lambda *step: steps.append(step))
    assert steps[-1][0] == steps[-1][1]
    assert "| all |" in trained.fold_table
    assert trained.manifest.cadence == "bar"
    result = promote(config, "GBPUSD")
    assert (result.passed, result.alias) == (False, "bootstrap")
    verdicts = {gate.name: gate.passed for gate in result.gates}
    assert (verdicts["parity"], verdicts["no_leak"], verdicts["canary"]) == (True, True, True)
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    version = reader.resolve_serving(result.model)
    assert not version.approved
    model = load_verified(reader.fetch(version), version.manifest_sha256)
    assert model.manifest == trained.manifest


def test_six_hours_of_real_ticks_make_a_tick_model(
    config_of: Callable[[], Config], real_data: Path
) -> None:
    config = config_of()
    ingest(config, "EURUSD", str(real_data / "histdata"))
    trained = train(config, "EURUSD")
    assert (trained.manifest.cadence, trained.manifest.horizon_ns) == ("tick", 60 * 10**9)
    # Whether or not a champion of other quotes stood, this version is only to be watched.
    assert promote(config, "EURUSD").alias == "bootstrap"


def test_too_little_data_is_refused_before_anything_is_logged(
    config_of: Callable[[], Config], real_data: Path
) -> None:
    config = config_of()
    ingest(config, "USDJPY", str(real_data / "truefx" / "USDJPY-ticks-2013-01-01.csv"))
    with pytest.raises(BadInput, match=r"USDJPY gives .* training rows and .* are needed"):
        train(config, "USDJPY")
    with pytest.raises(NotFound, match="no version of direction-USDJPY"):
        promote(config, "USDJPY")
