"""Alias to verified local folder over plain REST: what serving needs of the registry.

No MLflow client: it costs 2.6 s and 166 MiB to import. All calls block, so serving runs them in a
thread. Nothing is trusted but the version tag ``manifest_sha256``: the manifest must have that
hash, and every file the hash that the manifest gives it.
"""

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import urllib3

from core.config import MlflowConfig, StorageConfig
from core.errors import ArtifactRefused, NotFound, Unavailable
from models.manifest import FILE_NAME, decode, file_entry

CHAMPION = "champion"
BOOTSTRAP = "bootstrap"
CHALLENGER = "challenger"
"""Newest version that was trained: it is to be compared with the champion, and serves nobody."""
HASH_TAG = "manifest_sha256"
SERVING_FILE = "serving.json"
"""Beside the local copies of a model: the version that serves, as the registry told it."""
_SCHEME = "mlflow-artifacts"
_CHUNK = 1 << 18
_MISSING_ALIAS = "INVALID_PARAMETER_VALUE"


class RegisteredVersion(msgspec.Struct, frozen=True):
    """A version as the registry describes it; `alias` is what it was found by, or empty."""

    model: str
    version: str
    source: str
    manifest_sha256: str
    alias: str = ""
    tags: dict[str, str] = {}

    @property
    def approved(self) -> bool:
        """Only a champion may trade."""
        return self.alias == CHAMPION


def local_copies(config: StorageConfig) -> Path:
    """Folder of the verified copies of registered versions."""
    return config.home / "models"


class RegistryReader:
    """Reads aliases and fetches versions; safe to share between threads.

    Parameters
    ----------
    config : MlflowConfig
        Where the registry listens.
    folder : Path
        Verified copies go to ``<folder>/<model>/<version>``.
    """

    def __init__(self, config: MlflowConfig, folder: Path, timeout_secs: float = 5.0) -> None:
        self._url = config.url
        self._folder = folder
        # Reads only, so a lost connection may be tried again at once.
        retries = urllib3.Retry(connect=2, read=2, status=0, redirect=0, backoff_factor=0.05)
        self._http = urllib3.PoolManager(maxsize=4, retries=retries, timeout=timeout_secs)

    def resolve(self, model: str, alias: str) -> RegisteredVersion:
        """Return the version that `alias` of `model` points at.

        Raises
        ------
        NotFound
            When the model has no such alias, or the registry no such model.
        Unavailable
            When the registry does not answer, or not in its own words.
        ArtifactRefused
            When the version carries no hash to trust it by.
        """
        reply = self._get("registered-models/alias", {"name": model, "alias": alias})
        if reply.status == 400 and _error_code(reply) == _MISSING_ALIAS:
            raise NotFound(f"model {model!r} has no alias {alias!r}")
        if reply.status == 404:
            raise NotFound(f"the registry has no model {model!r}")
        return _version(_json(reply), alias)

    def resolve_serving(self, model: str) -> RegisteredVersion:
        """Return the champion, else the bootstrap version; raises like `resolve`."""
        try:
            return self.resolve(model, CHAMPION)
        except NotFound:
            return self.resolve(model, BOOTSTRAP)

    def version(self, model: str, version: str) -> RegisteredVersion:
        """Return one version by number; raises like `resolve`, `NotFound` also for a version."""
        reply = self._get("model-versions/get", {"name": model, "version": version})
        if reply.status == 404:
            raise NotFound(f"the registry has no version {version} of {model!r}")
        return _version(_json(reply), "")

    def fetch(self, version: RegisteredVersion) -> Path:
        """Return the local folder of a version, downloading it unless a copy is there.

        The files go to a temporary folder first and are moved into place when every hash
        is right, so a broken download is never mistaken for a copy.

        Raises
        ------
        ArtifactRefused
            When the source is no ``mlflow-artifacts:/`` path, or the bytes are not what was
            registered.
        Unavailable
            When the registry does not answer.
        """
        target = self._folder / version.model / version.version
        if target.is_dir():
            if _fault(target, version.manifest_sha256) is None:
                return target
            shutil.rmtree(target)  # damaged, or another registry's version of the same number
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{version.version}-", dir=target.parent))
        try:
            self._download(version, partial)
            _move_into_place(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return target

    def _download(self, version: RegisteredVersion, folder: Path) -> None:
        root = _artifact_path(version.source)
        self._download_file(f"{root}/{FILE_NAME}", folder / FILE_NAME)
        _refuse_fault(version, folder, names=())  # before its file names are believed
        for name in _files(folder):
            self._download_file(f"{root}/{name}", folder / name)
        _refuse_fault(version, folder)

    def _download_file(self, path: str, target: Path) -> None:
        url = f"{self._url}/api/2.0/mlflow-artifacts/artifacts/{quote(path)}"
        try:
            with self._http.request("GET", url, preload_content=False) as reply:
                if reply.status != 200:
                    raise ArtifactRefused(f"the registry answers {reply.status} for file {path}")
                with target.open("wb") as file:
                    for chunk in reply.stream(_CHUNK):
                        file.write(chunk)
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"the registry at {self._url} does not answer: {error}") from error

    def _get(self, call: str, fields: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            url = f"{self._url}/api/2.0/mlflow/{call}"
            return self._http.request("GET", url, fields=dict(fields))
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"the registry at {self._url} does not answer: {error}") from error


def _json(reply: urllib3.BaseHTTPResponse) -> Any:
    if reply.status != 200:
        raise Unavailable(f"the registry answers {reply.status}: {_error_code(reply)}")
    try:
        return msgspec.json.decode(reply.data)
    except msgspec.DecodeError as error:
        raise Unavailable(f"the registry's answer is no JSON: {error}") from error


def _error_code(reply: urllib3.BaseHTTPResponse) -> str:
    try:
        body = msgspec.json.decode(reply.data)
    except msgspec.DecodeError:
        return ""
    return str(body.get("error_code", "")) if isinstance(body, dict) else ""


def _version(body: Any, alias: str) -> RegisteredVersion:
    row = body["model_version"]
    tags = {tag["key"]: tag.get("value", "") for tag in row.get("tags", [])}
    if HASH_TAG not in tags:
        raise ArtifactRefused(f"{row['name']} version {row['version']} has no tag {HASH_TAG}")
    return RegisteredVersion(
        model=row["name"],
        version=str(row["version"]),
        source=row["source"],
        manifest_sha256=tags[HASH_TAG],
        alias=alias,
        tags=tags,
    )


def _artifact_path(source: str) -> str:
    """Path below the artifact proxy of a ``mlflow-artifacts:/`` source."""
    parts = urlsplit(source)
    path = parts.path.strip("/")
    odd = parts.netloc or parts.query or parts.fragment or ".." in path.split("/")
    if parts.scheme != _SCHEME or odd:
        raise ArtifactRefused(f"source {source!r} is not under {_SCHEME}:/")
    return path


def _files(folder: Path) -> list[str]:
    names = sorted(decode((folder / FILE_NAME).read_bytes()).files)
    for name in names:
        if Path(name).name != name or name.startswith("."):
            raise ArtifactRefused(f"the manifest names file {name!r}, which is no plain name")
    return names


def _fault(folder: Path, manifest_sha256: str, names: Iterable[str] | None = None) -> str | None:
    """Say what is wrong with a copy, or None; `names` limits which of its files are looked at."""
    try:
        found = file_entry(folder / FILE_NAME).sha256
        if found != manifest_sha256:
            return f"the manifest has SHA-256 {found}, registered was {manifest_sha256}"
        expected = decode((folder / FILE_NAME).read_bytes()).files
        for name in _files(folder) if names is None else names:
            if file_entry(folder / name) != expected[name]:
                return f"file {name} is not what its manifest says"
    except OSError as error:
        return f"a file is missing: {error}"
    return None


def _refuse_fault(
    version: RegisteredVersion, folder: Path, names: Iterable[str] | None = None
) -> None:
    if fault := _fault(folder, version.manifest_sha256, names):
        raise ArtifactRefused(f"{version.model} version {version.version}: {fault}")


def _move_into_place(partial: Path, target: Path) -> None:
    partial.chmod(0o755)  # mkdtemp's 0700 would hide it from a server of another user
    try:
        partial.replace(target)
    except OSError:
        # Another process was first; its copy has the same verified manifest.
        if not (target / FILE_NAME).is_file():
            raise
