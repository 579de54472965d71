"""Data sets on the disk, by what they were made from: arrays and a page of JSON, no pickle."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import msgspec
import numpy as np

from core.config import TrainingConfig
from core.costs import CostModel
from features.spec import spec_named
from models.dataset import Dataset, window_of
from models.windows import History

_TERMS = "terms.json"
_HISTORY = ("history_rows", "history_ts")
_SETTINGS = (
    *("cadence", "features", "peers", "label", "barrier_pips", "horizon_bars", "horizon_secs"),
    *("holdout_fraction", "folds", "embargo_samples"),
)


class _Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What of a data set is no array."""

    symbol: str
    spec_name: str
    spec_fingerprint: str
    horizon_ns: int
    pip: float
    holdout_start_ns: int
    window: int
    data_hash: str
    peers: tuple[str, ...]


def dataset_key(
    data_hash: str, code_revision: str, config: TrainingConfig, costs: CostModel
) -> str:
    """Hash of all that a data set of the stored quotes is made from; equal keys, equal bytes."""
    chosen = tuple(getattr(config, name) for name in _SETTINGS)
    parts = (data_hash, code_revision, chosen, window_of(config), costs)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def kept(folder: Path, build: Callable[[], Dataset]) -> Dataset:
    """Read the data set that lies in `folder`, or build it and leave it there."""
    found = read_dataset(folder)
    if found is None:
        found = build()
        shutil.rmtree(folder, ignore_errors=True)  # damaged, or of other formulas
        write_dataset(folder, found)
    return found


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Write a data set; it is there whole or not at all, and a second writer changes nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, values in _arrays(dataset).items():
            np.save(partial / f"{name}.npy", values, allow_pickle=False)
        (partial / _TERMS).write_bytes(msgspec.json.encode(_terms(dataset)))
        if not folder.exists():
            partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was first
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_dataset(folder: Path) -> Dataset | None:
    """Read a data set back; None when there is none, or none that this code would make."""
    try:
        terms = msgspec.json.decode((folder / _TERMS).read_bytes(), type=_Terms)
        names = (*_columns(), *_HISTORY)
        arrays = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in names}
    except (OSError, ValueError, msgspec.DecodeError):
        return None
    spec = spec_named(terms.spec_name)
    if spec.fingerprint != terms.spec_fingerprint:
        return None
    rows, ts = (arrays.pop(name) for name in _HISTORY)
    return Dataset(
        **arrays,
        symbol=terms.symbol,
        spec=spec,
        horizon_ns=terms.horizon_ns,
        pip=terms.pip,
        holdout_start_ns=terms.holdout_start_ns,
        history=History(rows, ts),
        window=terms.window,
        data_hash=terms.data_hash,
        peers=terms.peers,
    )


def _columns() -> tuple[str, ...]:
    """Names of the fields of a data set that are arrays."""
    plain = {*_Terms.__struct_fields__, "spec", "history"}
    return tuple(column.name for column in fields(Dataset) if column.name not in plain)


def _arrays(dataset: Dataset) -> dict[str, np.ndarray]:
    whole = dict(zip(_HISTORY, (dataset.history.rows, dataset.history.ts), strict=True))
    return {name: getattr(dataset, name) for name in _columns()} | whole


def _terms(dataset: Dataset) -> _Terms:
    plain = {
        name: getattr(dataset, name)
        for name in _Terms.__struct_fields__
        if not name.startswith("spec")
    }
    spec = dataset.spec
    return _Terms(**plain, spec_name=spec.name, spec_fingerprint=spec.fingerprint)
