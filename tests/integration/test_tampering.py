"""A tampered version is refused by promotion and by serving, with the reason; the champion stays.

Who tampers here can write to the registry: files are changed in its store, and where the loader
would notice a hash, the hash is changed with them.
"""

import asyncio
import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from core.config import Config, StorageConfig
from core.errors import ArtifactRefused
from flows.promote_job import finish, promote
from models import manifest as manifests
from models.inference.artifact import LoadedModel
from models.manifest import FILE_NAME, model_name
from registry.gates import Gate
from registry.loading import CHAMPION, HASH_TAG, RegisteredVersion
from registry.opening import Registry, open_registry
from registry.promotion import Judgement
from registry.registration import register
from registry.tracking import connect, open_run
from serving.model_watch import ModelWatch
from tests.e2e.conftest import made as made_fixture
from tests.e2e.stack import SYMBOL, _made

pytestmark = pytest.mark.servers
made = made_fixture

PASSED = (Gate("fine", "always passes", 1.0, ">", 0.0),)
FILES = (
    "base_margin.npy", "canary_p.npy", "canary_rows.npy", "codes.npy", "leaves.npy", FILE_NAME,
    "model.ubj", "thresholds.npy",
)  # fmt: skip
NAME = model_name(SYMBOL)

Tamper = Callable[[Path], None]


class Stage:
    """Two versions of one model in MLflow, of which the first is champion."""

    def __init__(self, config: Config, made: Path, store: Path) -> None:
        self.config, self._store = config, store
        self.client = connect(config.mlflow)
        if any(row.name == NAME for row in self.client.search_registered_models()):
            self.client.delete_registered_model(NAME)
        self.versions = {number: self._register(made, number) for number in ("1", "2")}
        with open_registry(config) as registry:
            upon = registry.served.reconcile(NAME)
            judged = Judgement(self.versions["1"], PASSED, upon)
            finish(registry, judged, actor="test", reason="first")
            assert registry.served.resolve_serving(NAME).version == "1"

    def _register(self, made: Path, number: str) -> RegisteredVersion:
        folder = _made(made) / "models" / NAME / number
        found = manifests.read(folder)
        judged = {**found.metrics, "dsr": 1.0, "pbo": 0.0}
        manifests.write(folder, msgspec.structs.replace(found, metrics=judged))
        with open_run(self.client, self.config.mlflow.experiment, "tampering", {}) as run:
            return register(self.client, run, folder, {"data_source": "simulator"})

    def stored(self, number: str) -> Path:
        """Folder of a version in the registry's own store."""
        parts = self.versions[number].source.partition(":/")[2].strip("/").split("/")
        found = [
            path.parent for path in self._store.rglob(FILE_NAME) if set(parts) <= set(path.parts)
        ]
        assert len(found) == 1, (parts, found)
        return found[0]

    def trust(self, number: str) -> None:
        """Change the hash of a version to that of the manifest in the store."""
        sha256 = manifests.sha256_bytes((self.stored(number) / FILE_NAME).read_bytes())
        self.client.set_model_version_tag(NAME, number, HASH_TAG, sha256)


@pytest.fixture
def stage(mlflow_server: Config, made: Path, tmp_path: Path) -> Iterator[Stage]:
    home = StorageConfig(home=tmp_path / "home")
    found = Stage(replace(mlflow_server, storage=home), made, mlflow_server.storage.home)
    yield found
    found.client.delete_registered_model(NAME)


def flip(name: str) -> Tamper:
    def tamper(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return tamper


def reseal(folder: Path, **changes: Any) -> None:
    found = manifests.read(folder)
    files = {
        name: manifests.file_entry(folder / name)
        for name in found.files
        if (folder / name).exists()
    }
    manifests.write(folder, msgspec.structs.replace(found, **{"files": files, **changes}))


def wrong_fingerprint(folder: Path) -> None:
    reseal(folder, spec_fingerprint="0" * 16)


def pickled_model(folder: Path) -> None:
    (folder / "model.ubj").write_bytes(pickle.dumps({"a": 1}))
    np.save(folder / "leaves.npy", np.array([{}], object), allow_pickle=True)
    reseal(folder)


def no_canaries(folder: Path) -> None:
    for name in ("canary_rows.npy", "canary_p.npy"):
        (folder / name).unlink()
    reseal(folder)


def wrong_canaries(folder: Path) -> None:
    expected = np.load(folder / "canary_p.npy")
    np.save(folder / "canary_p.npy", 1.0 - expected + 1e-3)
    reseal(folder)


def other_leaves(folder: Path) -> None:
    leaves = np.load(folder / "leaves.npy")
    np.save(folder / "leaves.npy", leaves + np.float32(1e-3))
    reseal(folder)


TAMPERED = [
    *(
        pytest.param(
            flip(name), False,
            "SHA-256" if name == FILE_NAME else f"file {name} is not what its manifest says",
            id=f"one bit of {name}",
        )
        for name in FILES
    ),
    pytest.param(wrong_fingerprint, False, "SHA-256", id="manifest changed, hash not"),
    pytest.param(wrong_fingerprint, True, "fingerprint", id="wrong fingerprint"),
    pytest.param(pickled_model, True, "cannot be read", id="pickles in place of the model"),
    pytest.param(no_canaries, True, "the manifest names", id="no canary rows"),
    pytest.param(wrong_canaries, True, "do not reproduce", id="wrong canary predictions"),
    pytest.param(other_leaves, True, "do not reproduce", id="other leaves under true hashes"),
]  # fmt: skip


@pytest.mark.parametrize(("tamper", "trusted", "said"), TAMPERED)
def test_a_tampered_version_is_refused_and_the_champion_stays(
    stage: Stage, tamper: Tamper, trusted: bool, said: str
) -> None:
    tamper(stage.stored("2"))
    if trusted:
        stage.trust("2")
    with pytest.raises(ArtifactRefused, match=said):
        promote(stage.config, SYMBOL, "2")
    with open_registry(stage.config) as registry:
        assert registry.served.resolve_serving(NAME).version == "1"
        why = asyncio.run(_serve(registry, stage.config))
    assert stage.client.get_model_version_by_alias(NAME, CHAMPION).version == "1"
    assert said in why
    tags = stage.client.get_model_version(NAME, "2").tags
    assert any(said in text for text in tags.values()), tags  # the reason stands on the version


class Pointed:
    """A registry that says that version 2 is champion, as soon as it is told to."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.number = "1"

    def resolve_serving(self, model: str) -> RegisteredVersion:
        found = self._registry.reader.version(model, self.number)
        return msgspec.structs.replace(found, alias=CHAMPION)

    def fetch(self, version: RegisteredVersion) -> Path:
        return self._registry.fetch(version)

    def roll_back(self, model: str, *, actor: str, reason: str, version: str = "") -> object:
        raise AssertionError


async def _serve(registry: Registry, config: Config) -> str:
    """Serve version 1, be pointed at version 2; return why that is refused."""
    served: list[str] = []

    async def swap(_symbol: str, model: LoadedModel, version: RegisteredVersion) -> None:
        assert model.version == version.version
        served.append(version.version)

    pointed = Pointed(registry)
    watch = ModelWatch(pointed, config.storage.home / "served", (SYMBOL,), swap)
    await watch.poll()
    pointed.number = "2"
    await watch.poll()
    assert served == ["1"]
    assert watch.serving[SYMBOL].version == "1"
    return watch.refused[SYMBOL]
