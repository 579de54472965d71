"""From an artifact folder to a registered version: plain files and tags, never a pickle."""

from collections.abc import Mapping
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from core.errors import ArtifactRefused
from models.manifest import FILE_NAME, Manifest, read, sha256_bytes
from registry.lineage import version_tags
from registry.loading import CHALLENGER, HASH_TAG, RegisteredVersion
from registry.tracking import SEARCH_TAG, Run

# A version without these was never judged for luck.
REQUIRED_METRICS = ("dsr", "pbo")
_EXISTS = "RESOURCE_ALREADY_EXISTS"
_FORBIDDEN = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth", ".py"})


def register(
    client: MlflowClient, run: Run, folder: Path, tags: Mapping[str, str]
) -> RegisteredVersion:
    """Log the files of an artifact and make them a version of its model.

    Parameters
    ----------
    folder : Path
        A complete artifact with its manifest.
    tags : mapping
        Beside hash and lineage, which every version gets.

    Raises
    ------
    ArtifactRefused
        When a file is code or a pickle, the folder is not what its manifest says, or the manifest
        lacks DSR or PBO.
    """
    manifest = read(folder)
    _refuse_unjudged(manifest)
    _refuse_foreign(folder, manifest)
    sha256 = sha256_bytes((folder / FILE_NAME).read_bytes())
    source = run.folder(folder)
    _ensure_model(client, manifest)
    every_tag = {**version_tags(manifest), **tags, HASH_TAG: sha256}
    made = client.create_model_version(manifest.model, source, run_id=run.id, tags=every_tag)
    return RegisteredVersion(
        model=manifest.model,
        version=str(made.version),
        source=source,
        manifest_sha256=sha256,
        tags=every_tag,
    )


def describe_version(client: MlflowClient, version: RegisteredVersion, card: str) -> None:
    """Show the model card on the version; the file itself lies beside it in the run."""
    client.update_model_version(version.model, version.version, card)


def name_challenger(client: MlflowClient, version: RegisteredVersion) -> None:
    """Make a new version the one that is compared with the champion."""
    client.set_registered_model_alias(version.model, CHALLENGER, version.version)


def _refuse_unjudged(manifest: Manifest) -> None:
    missing = [name for name in REQUIRED_METRICS if name not in manifest.metrics]
    if missing:
        raise ArtifactRefused(
            f"{manifest.model} comes without {' and '.join(missing)}; train it with the number of "
            "trials, so that it can be judged"
        )


def _refuse_foreign(folder: Path, manifest: Manifest) -> None:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    expected = {FILE_NAME, *manifest.files}
    if found != expected:
        odd = ", ".join(sorted(found ^ expected))
        raise ArtifactRefused(f"{folder} and its manifest differ in: {odd}")
    for name in sorted(found):
        if Path(name).suffix in _FORBIDDEN:
            raise ArtifactRefused(f"{name} is code or a pickle; versions are data")


def _ensure_model(client: MlflowClient, manifest: Manifest) -> None:
    try:
        client.create_registered_model(manifest.model, tags={"symbol": manifest.symbol})
    except MlflowException as error:
        if error.error_code != _EXISTS:
            raise


def find_version(client: MlflowClient, model: str, tags: Mapping[str, str]) -> str | None:
    """Newest version of `model` that has all of `tags`, or None."""
    rows = [
        int(row.version)
        for row in client.search_model_versions(f"name = '{model}'")
        if all(row.tags.get(name) == value for name, value in tags.items())
    ]
    return str(max(rows)) if rows else None


def newest_version(client: MlflowClient, model: str) -> str | None:
    """Newest version of `model`, or None."""
    return find_version(client, model, {})


def count_trials(client: MlflowClient, experiment: str, data_hash: str) -> int:
    """Count the training runs that MLflow holds for a data set, failed ones included.

    Trials of a search are left out: its own journal counts them, also those that died before MLflow
    heard of them.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return 0
    count, token = 0, None
    while True:
        page = client.search_runs(
            [found.experiment_id], f"tags.data_hash = '{data_hash}'", page_token=token
        )
        count += sum(SEARCH_TAG not in run.data.tags for run in page)
        token = page.token
        if not token:
            return count
