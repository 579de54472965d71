"""The reference of a version is frozen, verified with it, and absent from versions without one."""

import shutil
from pathlib import Path

import msgspec
import pytest

from core.errors import ArtifactRefused, BadInput
from models import manifest as manifests
from models.domain import CLOCK
from models.export import write_artifact
from models.inference.artifact import REFERENCE_FILE, files_of, load_verified
from models.reference import SCHEMA, read_reference
from tests.models.synthetic import Made, make_dataset, train_on


@pytest.fixture(scope="module")
def long_made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A version with enough rows for a reference."""
    dataset = make_dataset(n=9_000)
    result = train_on(dataset, trials=1)
    folder = tmp_path_factory.mktemp("long")
    manifest, sha256 = write_artifact(folder, result, dataset, code_revision="abc")
    return Made(folder, manifest, sha256, result, dataset)


@pytest.fixture
def copy(long_made: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(long_made.folder, tmp_path / "copy"))


def test_a_version_carries_its_reference(long_made: Made) -> None:
    load_verified(long_made.folder, long_made.sha256)
    found = read_reference(long_made.folder)
    assert found is not None
    names = {name for name in long_made.dataset.spec.names if not name.startswith(CLOCK)}
    assert {one.name for one in found.features} == names
    assert found.sizes == (128, 256)
    assert {one.rows for one in found.features} == {len(long_made.dataset.training())}
    assert found.score.rows == len(long_made.result.out_of_sample.p)
    for one in (*found.features, found.score):
        assert len(one.shares) == len(one.edges) + 1
        assert sum(one.shares) == pytest.approx(1.0)
    assert found.results[0].mean < 0.0, "the edge is declared, so the model beats the base rate"


def test_too_few_rows_give_no_reference(made: Made) -> None:
    load_verified(made.folder, made.sha256)
    assert set(made.manifest.files) == files_of()
    assert read_reference(made.folder) is None


def test_an_old_version_without_reference_still_loads(copy: Path) -> None:
    (copy / REFERENCE_FILE).unlink()
    manifest = manifests.read(copy)
    files = {name: entry for name, entry in manifest.files.items() if name != REFERENCE_FILE}
    load_verified(copy, manifests.write(copy, msgspec.structs.replace(manifest, files=files)))
    assert read_reference(copy) is None


def test_a_touched_or_missing_reference_is_refused(long_made: Made, copy: Path) -> None:
    data = bytearray((copy / REFERENCE_FILE).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / REFERENCE_FILE).write_bytes(data)
    with pytest.raises(ArtifactRefused, match=rf"{REFERENCE_FILE} has SHA-256"):
        load_verified(copy, long_made.sha256)
    (copy / REFERENCE_FILE).unlink()
    with pytest.raises(ArtifactRefused, match=f"{REFERENCE_FILE} is missing"):
        load_verified(copy, long_made.sha256)


def test_a_reference_that_no_manifest_names_is_refused(made: Made, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made.folder, tmp_path / "copy"))
    (folder / REFERENCE_FILE).write_text("{}")
    with pytest.raises(ArtifactRefused, match=f"{REFERENCE_FILE} is not in the manifest"):
        load_verified(folder, made.sha256)


@pytest.mark.parametrize("text", ["{", "{}"])
def test_what_is_no_reference_is_told(copy: Path, text: str) -> None:
    (copy / REFERENCE_FILE).write_text(text)
    with pytest.raises(BadInput, match="cannot be read"):
        read_reference(copy)


def test_another_schema_is_told(copy: Path) -> None:
    found = (copy / REFERENCE_FILE).read_text()
    (copy / REFERENCE_FILE).write_text(found.replace(SCHEMA, "tickpath-reference/9"))
    with pytest.raises(BadInput, match="has schema"):
        read_reference(copy)
