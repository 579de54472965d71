"""What drift was seen of a version, in MLflow: one run a version, the newest report beside it."""

from collections.abc import Mapping
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import RunStatus

from registry.tracking import Run, begin_run, end_run, experiment_id

_OF_TAG, _TOLD_TAG = "drift_of", "drift_told_ns"
REPORT = "drift.html"


@dataclass(frozen=True, slots=True)
class DriftRun:
    """The run of a version.

    Attributes
    ----------
    url : str
        Of the run's files in the UI of MLflow.
    told_ns : int
        End of the newest window that an event was sent about, ns UTC; 0 for none.
    """

    run: Run
    url: str
    told_ns: int


def open_drift_run(client: MlflowClient, experiment: str, url: str, of: str) -> DriftRun:
    """Find the run of a version (``<model>/<version>``), or make it.

    Parameters
    ----------
    url : str
        Base address of MLflow.
    """
    where, home = f"tags.{_OF_TAG} = '{of}'", experiment_id(client, experiment)
    found = client.search_runs([home], where, max_results=1)
    if found:
        run = Run(client, found[0].info.run_id, found[0].info.artifact_uri)
        told = int(found[0].data.tags.get(_TOLD_TAG, 0))
    else:
        run, told = begin_run(client, experiment, f"drift-{of}", {_OF_TAG: of}), 0
        end_run(client, run.id, RunStatus.FINISHED)
    return DriftRun(run, f"{url}/#/experiments/{home}/runs/{run.id}/artifacts", told)


def log_drift(log: DriftRun, report: str, figures: Mapping[str, float], step: int) -> None:
    """Put the newest report beside the run, and its figures as one step."""
    log.run.text(report, REPORT)
    log.run.metrics(figures, step)


def note_told(client: MlflowClient, log: DriftRun, end_ns: int) -> None:
    """Remember that an event was sent about windows that end at `end_ns`."""
    client.set_tag(log.run.id, _TOLD_TAG, str(end_ns))
