"""A search for parameters in MLflow: one run for the whole, one nested run for each trial."""

from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from mlflow.entities import RunStatus
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from registry.tracking import SEARCH_TAG, Run, begin_run, end_run, experiment_id

_WHOLE_TAG, _TRIAL_TAG, _STATE_TAG = "search_whole", "trial", "trial_state"


def find_search(client: MlflowClient, experiment: str, name: str) -> MlflowRun | None:
    """Return the run of the whole of a search, or None."""
    where = f"tags.{SEARCH_TAG} = '{name}' and tags.{_WHOLE_TAG} = 'yes'"
    found = client.search_runs([experiment_id(client, experiment)], where, max_results=1)
    return found[0] if found else None


class SearchLog:
    """What one search leaves behind; processes that share a search share its run.

    Parameters
    ----------
    name : str
        Of the search. The caller sees to it that no two processes make the log at once.
    tags : mapping
        Of the run of the whole.
    """

    def __init__(
        self, client: MlflowClient, experiment: str, name: str, tags: Mapping[str, str]
    ) -> None:
        self._client, self._experiment, self._name = client, experiment, name
        self._open: dict[int, Run] = {}
        found = find_search(client, experiment, name)
        if found is not None:
            self.run_id = found.info.run_id
            client.update_run(self.run_id, status=RunStatus.to_string(RunStatus.RUNNING))
        else:
            whole = {**tags, SEARCH_TAG: name, _WHOLE_TAG: "yes"}
            self.run_id = begin_run(client, experiment, f"search-{name}", whole).id
        self._tags = dict(tags)

    def begin(self, number: int, slot: int, parameters: Mapping[str, Any]) -> None:
        """Open the nested run of a trial."""
        tags = {
            **self._tags,
            SEARCH_TAG: self._name,
            MLFLOW_PARENT_RUN_ID: self.run_id,
            _TRIAL_TAG: str(number),
        }
        run = begin_run(self._client, self._experiment, f"slot-{slot:03d}", tags)
        run.params({**parameters, "slot": slot})
        self._open[number] = run

    def fold(self, number: int, fold: int, figures: Mapping[str, float]) -> None:
        """Log the figures of one fold of a trial."""
        self._open[number].metrics(figures, step=fold)

    def end(self, number: int, state: str, figures: Mapping[str, float]) -> None:
        """Close the nested run of a trial as complete, pruned, or failed for a cause."""
        run = self._open.pop(number)
        if figures:
            run.metrics(figures)
        self._client.set_tag(run.id, _STATE_TAG, state)
        failed = state not in ("complete", "pruned")
        end_run(self._client, run.id, RunStatus.FAILED if failed else RunStatus.FINISHED)

    def settle_lost(self, numbers: set[int]) -> None:
        """End the runs of trials whose process was killed."""
        where = f"tags.{SEARCH_TAG} = '{self._name}' and attributes.status = 'RUNNING'"
        ids = [experiment_id(self._client, self._experiment)]
        for run in self._client.search_runs(ids, where, max_results=1_000):
            number = int(run.data.tags.get(_TRIAL_TAG, -1))
            if number in numbers and number not in self._open:
                self._client.set_tag(run.info.run_id, _STATE_TAG, "lost")
                end_run(self._client, run.info.run_id, RunStatus.KILLED)

    def conclude(self, figures: Mapping[str, float], parameters: Mapping[str, Any]) -> None:
        """End the run of the whole with the best trial's parameters."""
        whole = Run(self._client, self.run_id, "")
        whole.params({f"best.{name}": value for name, value in parameters.items()})
        whole.metrics(figures)
        end_run(self._client, self.run_id, RunStatus.FINISHED)
