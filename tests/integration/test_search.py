"""Tune and reproduce for real: a flow run on server and worker, versions in MLflow."""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from core.config import Config
from flows.client import PrefectApi, run_deployment
from flows.environment import ROOT, environment
from flows.ingest_job import ingest
from flows.train_job import searches, train
from models.manifest import Manifest, read
from models.tuning import count_trials
from registry.loading import RegistryReader, local_copies
from registry.tracking import connect

pytestmark = pytest.mark.servers
SYMBOL, TRIALS = "USDJPY", 6


@pytest.fixture
def servers(prefect_server: Config, mlflow_server: Config) -> Config:
    assert prefect_server == mlflow_server
    return mlflow_server


def manifest_of(config: Config, version: str) -> Manifest:
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    return read(reader.fetch(reader.version(f"direction-{SYMBOL}", version)))


def tickpath(config: Config, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=ROOT,
        env=environment(config),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_a_search_ends_in_a_version_and_counts_for_its_luck(servers: Config) -> None:
    config = servers
    ingest(config, SYMBOL, "simulator")
    run_id = run_deployment(config, "tune", {"symbol": SYMBOL, "trials": TRIALS})
    api = PrefectApi(config.prefect)
    keys = {row["key"] for row in api.artifacts(run_id)}
    assert {"tune-usdjpy-trials", "tune-usdjpy-progress", "train-usdjpy-folds"} <= keys
    tasks = api.call(
        "POST", "/task_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}, "limit": 100}
    )
    names = Counter(row["name"] for row in tasks)
    assert {f"slot-{slot}": 1 for slot in range(TRIALS)}.items() <= names.items()

    manifest = manifest_of(config, "1")
    assert manifest.search.startswith(f"{SYMBOL}-")
    assert manifest.trials == TRIALS + 1, "every trial, and the training itself"
    folder = searches(config.storage)
    assert count_trials(folder, "data_hash", manifest.data_hash) == TRIALS

    client = connect(config.mlflow)
    experiment = client.get_experiment_by_name(config.mlflow.experiment)
    assert experiment is not None
    where = f"tags.search = '{manifest.search}'"
    runs = client.search_runs([experiment.experiment_id], where)
    (whole,) = [run for run in runs if "search_whole" in run.data.tags]
    nested = [run for run in runs if run is not whole]
    assert len(nested) == TRIALS
    assert {run.data.tags["mlflow.parentRunId"] for run in nested} == {whole.info.run_id}
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert whole.data.metrics["trials"] == TRIALS
    for run in nested:
        history = client.get_metric_history(run.info.run_id, "fold.log_loss_ratio")
        assert [row.step for row in history] == list(range(len(history)))
    for name, value in manifest.training.items():
        if f"best.{name}" in whole.data.params:
            assert float(whole.data.params[f"best.{name}"]) == value

    # With as many trials asked for, the search has nothing left to do, and training nothing new.
    run_deployment(config, "tune", {"symbol": SYMBOL, "trials": TRIALS})
    assert count_trials(folder, "data_hash", manifest.data_hash) == TRIALS
    # A training with the settings as they are is one more, and its manifest says so.
    plain = train(config, SYMBOL)
    assert (plain.manifest.trials, plain.manifest.search) == (TRIALS + 2, "")


def test_a_registered_version_comes_out_again_to_the_byte(servers: Config) -> None:
    config = servers
    for version in ("1", "2"):
        done = tickpath(config, "reproduce", version, "--symbol", SYMBOL)
        assert done.returncode == 0, done.stderr
        assert "equal to the byte" in done.stdout
        assert manifest_of(config, version).files["model.ubj"].sha256[:12] in done.stdout


def test_a_decision_of_a_registered_version_is_taken_apart(servers: Config) -> None:
    config = servers
    done = tickpath(config, "explain", "1", "--symbol", SYMBOL)
    assert done.returncode == 0, done.stderr
    told = done.stdout
    assert "direction-USDJPY version 1, row of 20" in told
    # The last column alone: a column's value may look the same.
    parts = re.findall(r"([+-]\d+\.\d{4})\W*$", told, re.MULTILINE)
    assert len(parts) > 10
    *adding, whole = map(float, parts)
    assert sum(adding) == pytest.approx(whole, abs=1e-3), "all that is shown adds up"
    early = tickpath(config, "explain", "1", "--symbol", SYMBOL, "--at", "1990-01-01")
    assert (early.returncode, early.stderr.count("\n")) == (2, 1)
    assert early.stderr.startswith("tickpath: no warm row of USDJPY is stored at or before 1990")


def test_what_keeps_a_version_from_being_made_again_is_one_sentence(
    servers: Config,
) -> None:
    config = servers
    absent = tickpath(config, "reproduce", "99", "--symbol", SYMBOL)
    assert absent.returncode != 0
    assert "has no version 99" in absent.stderr
    odd = tickpath(config, "reproduce", "last", "--symbol", SYMBOL)
    assert (odd.returncode, odd.stderr.count("\n")) == (2, 1)
    elsewhere = replace(config, storage=replace(config.storage, home=config.storage.home / "x"))
    bare = tickpath(elsewhere, "reproduce", "1", "--symbol", SYMBOL)
    assert bare.returncode == 2
    assert bare.stderr.startswith("tickpath: the stored quotes of USDJPY have hash")
    assert bare.stderr.count("\n") == 1
