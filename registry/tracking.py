"""What an experiment leaves behind in MLflow: parameters, metrics, tables, figures, files."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunStatus
from mlflow.exceptions import MlflowException

from core.clock import SystemClock
from core.config import MlflowConfig
from core.errors import Unavailable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL_FOLDER = "model"
SEARCH_TAG = "search"
"""Tag of the runs of a search: its name."""
_PARAM_LIMIT = 6_000


def connect(config: MlflowConfig) -> MlflowClient:
    """Return a client of tracking server and registry; nothing global is set.

    Raises
    ------
    Unavailable
        When the server does not answer.
    """
    # The client's default of seven retries with doubling pauses hangs for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    client = MlflowClient(tracking_uri=config.url, registry_uri=config.url)
    try:
        client.search_experiments(max_results=1)
    except MlflowException as error:
        raise Unavailable(f"MLflow at {config.url} does not answer: {error}") from error
    return client


class Run:
    """One MLflow run, open for writing."""

    def __init__(self, client: MlflowClient, run_id: str, artifact_uri: str) -> None:
        self.id = run_id
        self.artifact_uri = artifact_uri
        self._client = client

    def params(self, values: Mapping[str, Any]) -> None:
        """Log parameters; values are written as text."""
        rows = [Param(name, str(value)[:_PARAM_LIMIT]) for name, value in values.items()]
        self._client.log_batch(self.id, params=rows)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log figures at one step."""
        now_ms = SystemClock().now_ns() // 1_000_000
        rows = [Metric(name, float(value), now_ms, step) for name, value in values.items()]
        self._client.log_batch(self.id, metrics=rows)

    def table(self, rows: Sequence[Mapping[str, Any]], path: str) -> None:
        """Log rows as a JSON file, and its numbers as stepped metrics ``<column>`` per row."""
        self._client.log_text(self.id, json.dumps(list(rows), indent=2, default=float), path)
        stem = Path(path).stem
        for step, row in enumerate(rows):
            numbers = {f"{stem}.{name}": v for name, v in row.items() if isinstance(v, float)}
            self.metrics(numbers, step)

    def figure(self, figure: "Figure", path: str) -> None:
        """Log a matplotlib figure as an image file."""
        self._client.log_figure(self.id, figure, path)

    def text(self, text: str, path: str) -> None:
        """Log a text file."""
        self._client.log_text(self.id, text, path)

    def folder(self, folder: Path, path: str = MODEL_FOLDER) -> str:
        """Log every file of a folder; returns the address of the copy."""
        self._client.log_artifacts(self.id, str(folder), path)
        return f"{self.artifact_uri}/{path}"


@contextmanager
def open_run(
    client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]
) -> Iterator[Run]:
    """Open a run that ends FINISHED, or FAILED when the block raises."""
    run = begin_run(client, experiment, name, tags)
    try:
        yield run
    except BaseException:
        end_run(client, run.id, RunStatus.FAILED)
        raise
    end_run(client, run.id, RunStatus.FINISHED)


def begin_run(client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]) -> Run:
    """Begin a run that stays open until `end_run`."""
    started = client.create_run(experiment_id(client, experiment), run_name=name, tags=dict(tags))
    return Run(client, started.info.run_id, started.info.artifact_uri)


def end_run(client: MlflowClient, run_id: str, status: int) -> None:
    """End a run as `status` of `mlflow.entities.RunStatus`."""
    client.set_terminated(run_id, RunStatus.to_string(status))


def experiment_id(client: MlflowClient, name: str) -> str:
    """Id of an experiment, made when it is not there."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    try:
        return str(client.create_experiment(name))
    except MlflowException:
        # Another run was first; only if that is not so is it an error.
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return str(found.experiment_id)
