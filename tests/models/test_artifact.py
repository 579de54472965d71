"""An artifact that was touched anywhere is refused, and the reason is named."""

import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from core.errors import ArtifactRefused, BadInput
from models import manifest as manifests
from models.card import render
from models.export import model_name, write_artifact
from models.inference.artifact import files_of, load_verified
from tests.models.synthetic import Made


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "copy"))


def resealed(folder: Path, **changes: object) -> str:
    """Rewrite the manifest with true hashes and other terms: what a careless publisher would do."""
    manifest = manifests.read(folder)
    files = {name: manifests.file_entry(folder / name) for name in manifest.files}
    return manifests.write(folder, msgspec.structs.replace(manifest, files=files, **changes))


def test_a_sound_artifact_loads_and_predicts_as_trained(made: Made) -> None:
    model = load_verified(made.folder, made.sha256)
    rows = made.dataset.holdout().rows
    expected = made.result.model.calibration.apply(made.result.model.learned.own_margins(rows))
    assert np.array_equal(model.predict(rows), expected)
    assert [model.predict_row(row) for row in rows[:50]] == expected[:50].tolist()
    assert model.manifest == made.manifest
    assert made.manifest.model == model_name("EURUSD") == "direction-EURUSD"
    assert made.manifest.trials == 2
    assert made.manifest.data_hash == "d" * 8


def test_rows_of_a_read_only_block_are_scored(made: Made) -> None:
    model = load_verified(made.folder, made.sha256)
    rows = made.dataset.rows[:3].copy()
    rows.flags.writeable = False
    assert model.predict(rows).tolist() == [model.predict_row(row) for row in rows]


def test_arrays_are_mapped_and_not_copied(made: Made) -> None:
    model = load_verified(made.folder, made.sha256)
    assert isinstance(model.engine.trees.leaves.base, np.memmap)
    assert type(model.engine.trees.leaves) is np.ndarray


@pytest.mark.parametrize("name", sorted(files_of()))
def test_a_flipped_byte_in_any_file_is_refused(made: Made, copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ArtifactRefused, match=f"{name} has SHA-256"):
        load_verified(copy, made.sha256)


@pytest.mark.parametrize("name", sorted(files_of()))
def test_a_missing_or_longer_file_is_refused(made: Made, copy: Path, name: str) -> None:
    data = (copy / name).read_bytes()
    (copy / name).write_bytes(data + b"\0")
    with pytest.raises(ArtifactRefused, match=f"{name} has {len(data) + 1} bytes"):
        load_verified(copy, made.sha256)
    (copy / name).unlink()
    with pytest.raises(ArtifactRefused, match=f"{name} is missing"):
        load_verified(copy, made.sha256)


def test_another_manifest_is_refused(made: Made, copy: Path) -> None:
    resealed(copy, expected_move_pips=99.0)
    with pytest.raises(ArtifactRefused, match=r"manifest\.json has SHA-256"):
        load_verified(copy, made.sha256)
    with pytest.raises(ArtifactRefused, match=r"no readable manifest\.json"):
        load_verified(copy / "nowhere", made.sha256)


def test_an_extra_file_or_folder_is_refused(made: Made, copy: Path) -> None:
    (copy / "model.pkl").write_bytes(b"")
    with pytest.raises(ArtifactRefused, match=r"model\.pkl is not in the manifest"):
        load_verified(copy, made.sha256)
    (copy / "model.pkl").unlink()
    (copy / "more").mkdir()
    with pytest.raises(ArtifactRefused, match="more is not in the manifest"):
        load_verified(copy, made.sha256)


def test_a_link_instead_of_a_file_is_refused(made: Made, copy: Path) -> None:
    (copy / "leaves.npy").unlink()
    (copy / "leaves.npy").symlink_to(made.folder / "leaves.npy")
    with pytest.raises(ArtifactRefused, match="no plain file"):
        load_verified(copy, made.sha256)


def test_canaries_that_do_not_reproduce_are_refused(copy: Path) -> None:
    expected = np.load(copy / "canary_p.npy")
    expected[3] += 2e-7
    np.save(copy / "canary_p.npy", expected)
    with pytest.raises(ArtifactRefused, match="canary rows do not reproduce"):
        load_verified(copy, resealed(copy))
    expected[3] = np.nan
    np.save(copy / "canary_p.npy", expected)
    with pytest.raises(ArtifactRefused, match="canary rows do not reproduce"):
        load_verified(copy, resealed(copy))


def test_a_changed_leaf_under_a_true_hash_is_caught_by_the_canaries(copy: Path) -> None:
    leaves = np.load(copy / "leaves.npy")
    np.save(copy / "leaves.npy", leaves + np.float32(1e-3))
    with pytest.raises(ArtifactRefused, match="canary rows do not reproduce"):
        load_verified(copy, resealed(copy))


def test_too_few_canaries_are_refused(copy: Path) -> None:
    for name in ("canary_rows.npy", "canary_p.npy"):
        np.save(copy / name, np.load(copy / name)[:3])
    with pytest.raises(ArtifactRefused, match="at least 8"):
        load_verified(copy, resealed(copy))


@pytest.mark.parametrize("change", ["feature", "shape", "dtype", "infinite"])
def test_arrays_that_are_no_heap_are_refused(copy: Path, change: str) -> None:
    codes, leaves = np.load(copy / "codes.npy"), np.load(copy / "leaves.npy")
    if change == "feature":
        codes[0] = 2 * 32  # one beyond the row
    elif change == "shape":
        codes = codes[:-1]
    elif change == "dtype":
        codes = codes.astype(np.int32)
    else:
        leaves[0] = np.inf
    np.save(copy / "codes.npy", codes)
    np.save(copy / "leaves.npy", leaves)
    with pytest.raises(ArtifactRefused, match="no heap of 32 features"):
        load_verified(copy, resealed(copy))


def test_a_pickled_array_is_refused(copy: Path) -> None:
    np.save(copy / "canary_p.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ArtifactRefused, match="cannot be read"):
        load_verified(copy, resealed(copy))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"spec_fingerprint": "0" * 16}, "fingerprint"),
        ({"spec_name": "core-moon"}, "'core-moon' is unknown here"),
        ({"n_features": 31}, "n_features, cadence, bar_ns"),
        ({"cadence": "tick"}, "n_features, cadence, bar_ns"),
        ({"family": "torch"}, "family 'torch'"),
        ({"window": 64}, "window of 64"),
        ({"schema": "tickpath-model/9"}, "schema 'tickpath-model/9'"),
    ],
)
def test_terms_that_this_code_cannot_keep_are_refused(
    copy: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ArtifactRefused, match=said):
        load_verified(copy, resealed(copy, **changes))


def test_a_manifest_that_names_other_files_is_refused(copy: Path) -> None:
    manifest = manifests.read(copy)
    files = {**manifest.files, "../outside": manifest.files["model.ubj"]}
    sha256 = manifests.write(copy, msgspec.structs.replace(manifest, files=files))
    with pytest.raises(ArtifactRefused, match="the manifest names"):
        load_verified(copy, sha256)


def test_junk_with_a_true_hash_is_refused(copy: Path) -> None:
    (copy / "manifest.json").write_bytes(b'{"schema": 1}')
    sha256 = manifests.sha256_bytes(b'{"schema": 1}')
    with pytest.raises(ArtifactRefused, match="cannot be read"):
        load_verified(copy, sha256)


def test_the_manifest_is_canonical(made: Made) -> None:
    data = (made.folder / "manifest.json").read_bytes()
    assert manifests.encode(manifests.decode(data)) == data
    keys = list(msgspec.json.decode(data))
    assert keys == sorted(keys)


def test_export_wants_a_folder_of_its_own(made: Made, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("mine")
    with pytest.raises(BadInput, match="is not empty"):
        write_artifact(tmp_path, made.result, made.dataset, code_revision="abc")


def test_export_refuses_an_engine_that_differs(made: Made, tmp_path: Path) -> None:
    trees = made.result.model.learned.compiled
    kept = trees.leaves.copy()
    trees.leaves[:] += np.float32(1e-5)
    try:
        with pytest.raises(
            ArtifactRefused, match="the engine that serves and the library that fitted differ"
        ):
            write_artifact(tmp_path, made.result, made.dataset, code_revision="abc")
    finally:
        trees.leaves[:] = kept
    assert list(tmp_path.iterdir()) == []


def test_the_same_training_gives_the_same_artifact(made: Made, tmp_path: Path) -> None:
    _, sha256 = write_artifact(tmp_path, made.result, made.dataset, code_revision="abc", trials=2)
    assert sha256 == made.sha256


def test_the_card_tells_the_folds(made: Made) -> None:
    text = render(made.manifest, made.result.folds, made.result.total)
    assert text.startswith("# direction-EURUSD\n")
    assert text.count("\n| ") == 1 + len(made.result.folds) + 1
    assert f"{made.result.total.net_pips:.1f}" in text
    assert made.manifest.spec_fingerprint in text


@pytest.mark.timeout(120)
def test_loading_imports_no_training_library(made: Made) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from models.inference.artifact import load_verified\n"
        "from models.pool import ModelPool\n"
        f"model = load_verified(Path({str(made.folder)!r}), {made.sha256!r})\n"
        "model.predict_row(model.canary_rows[0])\n"
        "heavy = {'xgboost', 'mlflow', 'sklearn', 'pandas', 'pyarrow', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100
    )
    assert run.stdout.strip() == "[]"
