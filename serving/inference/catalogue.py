"""Which versions there are, and how one is loaded: from a verified local copy, fetched if need be.

What a copy is trusted by, the hash of its manifest, stands beside it once the registry has told it,
so that a version that was here before needs no registry.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from core.errors import NotFound
from models.inference.artifact import LoadedModel, load_verified
from models.shelf import Key
from registry.loading import SERVING_FILE, RegisteredVersion


class Versions(Protocol):
    """The two calls of `registry.loading.RegistryReader`; both block."""

    def version(self, model: str, version: str) -> RegisteredVersion:
        """Return one version by number; raises NotFound or Unavailable."""
        ...

    def fetch(self, version: RegisteredVersion) -> Path:
        """Return its verified local folder."""
        ...


class Listed(NamedTuple):
    """A version in the index."""

    key: Key
    serves: bool


class Catalogue:
    """Versions by name and number.

    Parameters
    ----------
    registry : Versions
    folder : Path
        Local copies, ``<name>/<version>``.
    serving : callable
        Gives the models that trade now, by name.
    """

    def __init__(
        self, registry: Versions, folder: Path, serving: Callable[[], dict[str, LoadedModel]]
    ) -> None:
        self._registry = registry
        self._folder = folder
        self._serving = serving

    def key(self, name: str, version: str = "") -> Key:
        """Name a version; without a number the one that trades, else the newest local copy.

        Raises
        ------
        NotFound
            When nothing of that name is known here.
        """
        if version:
            if not version.isdecimal():
                raise NotFound(f"{name!r} has no version {version!r}: versions are numbers")
            return Key(_plain(name), version)
        current = self._serving().get(name)
        if current is not None:
            return Key(name, current.version)
        local = [key for key in self._local() if key.name == name]
        if not local:
            raise NotFound(f"no model is called {name!r}")
        return max(local, key=lambda key: int(key.version))

    def listed(self) -> list[Listed]:
        """Return every version that is here, by name and number."""
        now = {Key(name, model.version) for name, model in self._serving().items()}
        found = now | set(self._local())
        order = sorted(found, key=lambda key: (key.name, int(key.version)))
        return [Listed(key, key in now) for key in order]

    def load(self, key: Key) -> LoadedModel:
        """Load, verify and warm a version; blocks.

        Raises
        ------
        NotFound
            When the registry has no such version.
        Unavailable
            When it is not here and the registry is away.
        ArtifactRefused
            When its copy does not verify.
        """
        version = self._trusted(key)
        folder = self._folder / key.name / key.version
        if not folder.is_dir():
            folder = self._registry.fetch(version)
        model = load_verified(folder, version.manifest_sha256)
        model.version = key.version
        model.warm()
        return model

    def _trusted(self, key: Key) -> RegisteredVersion:
        home = self._folder / key.name
        file = home / f"{key.version}.json"
        # What trades has been told by the registry too, and outlasts it there.
        for kept in (_read(file), _read(home / SERVING_FILE)):
            if kept is not None and kept.version == key.version:
                return kept
        version = self._registry.version(key.name, key.version)
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".tmp")
        partial.write_bytes(msgspec.json.encode(version))
        partial.replace(file)
        return version

    def _local(self) -> list[Key]:
        if not self._folder.is_dir():
            return []
        return [
            Key(model.name, version.name)
            for model in self._folder.iterdir()
            if model.is_dir()
            for version in model.iterdir()
            if version.is_dir() and version.name.isdecimal()
        ]


def _read(file: Path) -> RegisteredVersion | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=RegisteredVersion)
    except (OSError, msgspec.DecodeError):
        return None


def _plain(name: str) -> str:
    if not name or not name.replace("-", "").replace("_", "").isalnum():
        raise NotFound(f"no model is called {name!r}")
    return name
