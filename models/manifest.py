"""The manifest of a model artifact: what it is, what it was made from, and each file's hash."""

import hashlib
from pathlib import Path

import msgspec

from core.errors import BadInput
from models.calibration import Calibration
from models.conformal import Conformal
from models.domain import Domain

SCHEMA = "tickpath-model/1"
FILE_NAME = "manifest.json"
_CHUNK = 1 << 20


def model_name(symbol: str) -> str:
    """Name of the symbol's direction model in the registry."""
    return f"direction-{symbol}"


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """SHA-256 (hex) and size in bytes of one file of the artifact."""

    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a server must know about a version before it trusts it.

    Attributes
    ----------
    model, family, symbol : str
        Registered name (``direction-<symbol>``), kind of model, instrument.
    spec_name, spec_fingerprint, cadence, bar_ns, n_features, window
        The feature rows that the model reads; `window` rows at a time (1 for trees).
    horizon_ns : int
        How far ahead the predicted move ends.
    expected_move_pips : float
        Mean absolute mid move over the horizon on the training rows.
    train_start_ns, train_end_ns, holdout_start_ns : int
        First training row, end of the last training label, first instant never trained on.
    libraries : dict of str to str
        Versions of what decides the bytes; `models.reproduce` wants the same ones.
    trials : int
        Number of configurations tried on this data, this one included; `metrics["dsr"]` allows for
        them.
    training, costs : dict
        Settings and costs that the data set and the fit were made with; `models.reproduce` needs
        them beside `parameters`.
    engine : str
        Which of `models.inference.engines` serves it; the library's own file is for people.
    search : str
        Name of the search that chose the settings; empty for settings as configured.
    peers : tuple of str
        Symbols that the dollar's strength in the rows is made of; their quotes are needed live.
    domain, conformal : optional
        Training domain of a row, interval of the move; absent when there were too few rows.
    """

    schema: str = SCHEMA
    model: str
    family: str
    symbol: str
    spec_name: str
    spec_fingerprint: str
    cadence: str
    bar_ns: int
    horizon_ns: int
    window: int
    n_features: int
    files: dict[str, FileEntry]
    metrics: dict[str, float]
    calibration: Calibration
    expected_move_pips: float
    train_start_ns: int
    train_end_ns: int
    holdout_start_ns: int
    data_hash: str
    code_revision: str
    seed: int
    parameters: dict[str, int | float | str]
    trials: int
    training: dict[str, int | float | str | bool | list[str]] = {}
    costs: dict[str, float] = {}
    peers: tuple[str, ...] = ()
    domain: Domain | None = None
    conformal: Conformal | None = None
    libraries: dict[str, str] = {}
    search: str = ""
    engine: str = "heap"


def encode(manifest: Manifest) -> bytes:
    """Canonical JSON: sorted keys, two-space indent, a newline at the end."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"


def decode(data: bytes) -> Manifest:
    """Parse a manifest.

    Raises
    ------
    BadInput
        When the bytes are no manifest of this schema.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise BadInput(f"the manifest cannot be read: {error}") from error
    if manifest.schema != SCHEMA:
        raise BadInput(f"the manifest has schema {manifest.schema!r}, not {SCHEMA!r}")
    return manifest


def write(folder: Path, manifest: Manifest) -> str:
    """Write the manifest into `folder` and return its SHA-256, the root of trust."""
    data = encode(manifest)
    (folder / FILE_NAME).write_bytes(data)
    return sha256_bytes(data)


def read(folder: Path) -> Manifest:
    """Read the manifest of `folder` without verifying anything; raises `BadInput` as `decode`."""
    try:
        data = (folder / FILE_NAME).read_bytes()
    except OSError as error:
        raise BadInput(f"{folder} has no readable {FILE_NAME}: {error}") from error
    return decode(data)


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def file_entry(path: Path) -> FileEntry:
    """Hash and size of a file as it lies on disk."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return FileEntry(digest.hexdigest(), size)
