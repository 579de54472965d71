"""Only bytes that verify ever reach the folder that serving loads from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.config import MlflowConfig
from core.errors import ArtifactRefused, NotFound, Unavailable
from models import manifest as manifests
from models.manifest import FILE_NAME, FileEntry
from registry.loading import RegistryReader
from tests.registry.conftest import make_manifest

Artifact = Callable[..., tuple[Path, str]]
MODEL = "direction-EURUSD"


@pytest.fixture
def reader(fake_registry: Any, tmp_path: Path) -> RegistryReader:
    return RegistryReader(fake_registry.config, tmp_path / "models")


def test_an_alias_leads_to_a_verified_folder(
    fake_registry: Any, reader: RegistryReader, artifact: Artifact, tmp_path: Path
) -> None:
    folder, sha256 = artifact()
    fake_registry.put(folder, sha256, version="4")
    version = reader.resolve_serving(MODEL)
    assert (version.version, version.alias, version.approved) == ("4", "champion", True)
    copy = reader.fetch(version)
    assert copy == tmp_path / "models" / MODEL / "4"
    found = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert found == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_copy_that_verifies_is_not_downloaded_again(
    fake_registry: Any, reader: RegistryReader, artifact: Artifact
) -> None:
    fake_registry.put(*artifact())
    version = reader.resolve(MODEL, "champion")
    reader.fetch(version)
    asked = len(fake_registry.requests)
    reader.fetch(version)
    assert len(fake_registry.requests) == asked


def test_a_damaged_copy_is_replaced(
    fake_registry: Any, reader: RegistryReader, artifact: Artifact
) -> None:
    folder, sha256 = artifact()
    fake_registry.put(folder, sha256)
    copy = reader.fetch(reader.resolve(MODEL, "champion"))
    (copy / "leaves.npy").write_bytes(b"rotten")
    reader.fetch(reader.resolve(MODEL, "champion"))
    assert (copy / "leaves.npy").read_bytes() == (folder / "leaves.npy").read_bytes()


def test_a_copy_of_another_registry_under_the_same_number_is_replaced(
    fake_registry: Any, reader: RegistryReader, artifact: Artifact
) -> None:
    fake_registry.put(*artifact(b"old"))
    reader.fetch(reader.resolve(MODEL, "champion"))
    folder, sha256 = artifact(b"new")
    fake_registry.put(folder, sha256)
    copy = reader.fetch(reader.resolve(MODEL, "champion"))
    assert (copy / "model.ubj").read_bytes() == (folder / "model.ubj").read_bytes()


def test_a_bootstrap_version_is_found_but_not_approved(
    fake_registry: Any, reader: RegistryReader, artifact: Artifact
) -> None:
    fake_registry.put(*artifact())
    row = fake_registry.aliases.pop((MODEL, "champion"))
    fake_registry.aliases[MODEL, "bootstrap"] = row
    version = reader.resolve_serving(MODEL)
    assert (version.alias, version.approved) == ("bootstrap", False)


@pytest.mark.parametrize("known", [True, False])
def test_a_missing_alias_and_a_missing_model_are_not_found(
    fake_registry: Any, reader: RegistryReader, known: bool
) -> None:
    if known:
        fake_registry.models.add(MODEL)
    with pytest.raises(NotFound, match="alias" if known else "no model"):
        reader.resolve_serving(MODEL)


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc/passwd",
        "http://example.org/model",
        "s3://bucket/model",
        "mlflow-artifacts://elsewhere/1/model",
        "mlflow-artifacts:/1/../../secrets",
        "models:/m-123",
    ],
)
def test_only_proxied_artifacts_are_accepted(
    fake_registry: Any, reader: RegistryReader, artifact: Artifact, source: str
) -> None:
    fake_registry.put(*artifact(), source=source)
    with pytest.raises(ArtifactRefused, match="is not under mlflow-artifacts:/"):
        reader.fetch(reader.resolve(MODEL, "champion"))


@pytest.mark.parametrize("name", [FILE_NAME, "leaves.npy"])
def test_changed_bytes_are_refused_and_leave_nothing_behind(
    fake_registry: Any, reader: RegistryReader, artifact: Artifact, tmp_path: Path, name: str
) -> None:
    fake_registry.put(*artifact())
    path = f"1/run1/artifacts/model/{name}"
    fake_registry.files[path] = fake_registry.files[path].replace(b"leaves", b"l3aves") + b" "
    with pytest.raises(ArtifactRefused, match=r"SHA-256|not what its manifest says"):
        reader.fetch(reader.resolve(MODEL, "champion"))
    assert list((tmp_path / "models" / MODEL).iterdir()) == []


def test_a_missing_file_is_refused(
    fake_registry: Any, reader: RegistryReader, artifact: Artifact
) -> None:
    fake_registry.put(*artifact())
    del fake_registry.files["1/run1/artifacts/model/leaves.npy"]
    with pytest.raises(ArtifactRefused, match=r"404 for file .*leaves\.npy"):
        reader.fetch(reader.resolve(MODEL, "champion"))


@pytest.mark.parametrize("name", ["../escape", ".hidden", "deep/file"])
def test_file_names_that_leave_the_folder_are_refused(
    fake_registry: Any, reader: RegistryReader, tmp_path: Path, artifact: Artifact, name: str
) -> None:
    folder, _ = artifact()
    manifest = make_manifest(files={name: FileEntry("0" * 64, 1)})
    fake_registry.put(folder, manifests.write(folder, manifest))
    with pytest.raises(ArtifactRefused, match="no plain name"):
        reader.fetch(reader.resolve(MODEL, "champion"))


def test_a_version_without_a_hash_is_refused(
    fake_registry: Any, reader: RegistryReader, artifact: Artifact
) -> None:
    fake_registry.put(*artifact(), tags=[])
    with pytest.raises(ArtifactRefused, match="no tag manifest_sha256"):
        reader.resolve(MODEL, "champion")


def test_a_registry_that_is_away_is_unavailable(tmp_path: Path) -> None:
    reader = RegistryReader(MlflowConfig(port=9), tmp_path, timeout_secs=0.5)
    with pytest.raises(Unavailable, match="does not answer"):
        reader.resolve(MODEL, "champion")


def test_the_reader_needs_no_mlflow() -> None:
    import subprocess
    import sys

    code = (
        "import sys, registry.loading; print(sorted({'mlflow','xgboost','torch'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
