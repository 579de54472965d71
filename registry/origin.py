"""Everything that made a version, put together from the registry, its run and its manifest."""

from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from core.config import Config
from models.manifest import Manifest, read
from registry.loading import RegisteredVersion, RegistryReader, local_copies
from registry.search_log import find_search
from registry.tracking import connect

_PICTURES = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run of MLflow as lineage shows it; `files` are paths of what it left behind."""

    id: str
    name: str
    status: str
    parameters: dict[str, str]
    metrics: dict[str, float]
    files: tuple[str, ...]

    @property
    def figures(self) -> tuple[str, ...]:
        """Those of the files that are pictures."""
        return tuple(path for path in self.files if path.endswith(_PICTURES))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a version comes from.

    Attributes
    ----------
    run : RunRecord, optional
        The run that made it; None when it was deleted.
    parents : tuple of RunRecord
        The search that chose its settings, and runs above the run.
    aliases : tuple of str
        What points at the version now.
    """

    version: RegisteredVersion
    manifest: Manifest
    run: RunRecord | None
    parents: tuple[RunRecord, ...]
    aliases: tuple[str, ...]


def origin_of(config: Config, model: str, number: str) -> Origin:
    """Collect what made a version; its files are fetched and verified.

    Raises
    ------
    NotFound
        When there is no such version.
    Unavailable, ArtifactRefused
        As the registry.
    """
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    version = reader.version(model, number)
    manifest = read(reader.fetch(version))
    client = connect(config.mlflow)
    found = client.get_model_version(model, number)
    aliases = client.get_registered_model(model).aliases.items()
    run = _run(client, found.run_id)
    return Origin(
        version=version,
        manifest=manifest,
        run=None if run is None else _record(client, run),
        parents=tuple(_parents(client, config.mlflow.experiment, run, manifest.search)),
        aliases=tuple(sorted(alias for alias, held in aliases if str(held) == number)),
    )


def _parents(
    client: MlflowClient, experiment: str, run: Run | None, search: str
) -> list[RunRecord]:
    """List the runs above, nearest first."""
    above: list[Run] = []
    while run is not None and (parent := run.data.tags.get(MLFLOW_PARENT_RUN_ID)):
        run = _run(client, parent)
        above += [] if run is None else [run]
    if search and (whole := find_search(client, experiment, search)) is not None:
        above.append(whole)
    return [_record(client, one) for one in above]


def _run(client: MlflowClient, run_id: str | None) -> Run | None:
    try:
        return client.get_run(run_id) if run_id else None
    except MlflowException:
        return None


def _record(client: MlflowClient, run: Run) -> RunRecord:
    info = run.info
    return RunRecord(
        id=info.run_id,
        name=info.run_name or "",
        status=info.status,
        parameters=dict(run.data.params),
        metrics=dict(run.data.metrics),
        files=tuple(row.path for row in client.list_artifacts(info.run_id)),
    )
