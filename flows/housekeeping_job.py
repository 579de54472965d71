"""Throw away what runs leave behind and nobody reads again; what flow and tests both call.

The newest of a kind always stays, and so does every local copy that serving or a roll-back might
need while MLflow is away: the versions that serve, and all that ever were champion.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from core.clock import Clock, SystemClock
from core.config import Config
from flows.dataset_job import datasets
from registry.loading import local_copies
from registry.opening import Registry, open_registry

_DAY_NS = 86_400 * 10**9
_TEMP_DAYS = 1.0
RESULTS = Path("prefect", "results")
"""Where results of flow runs lie, below the home."""


class Swept(msgspec.Struct, frozen=True):
    """What was thrown away of one kind."""

    kind: str
    removed: tuple[str, ...]
    bytes: int


def housekeeping(config: Config, clock: Clock | None = None) -> list[Swept]:
    """Throw away what is older than the settings `housekeeping` say."""
    now_ns = (clock or SystemClock()).now_ns()
    keep, home = config.housekeeping, config.storage.home
    with open_registry(config) as registry:
        copies = list(_idle_copies(registry, local_copies(config.storage)))
    kinds = (
        ("recordings", _but_newest((home / "sessions").glob("*.events")), keep.sessions_days),
        ("local copies", copies, keep.copies_days),
        ("data sets", _but_newest(_visible(datasets(config))), keep.results_days),
        ("results of runs", _visible(home / RESULTS), keep.results_days),
        ("unfinished downloads", local_copies(config.storage).glob("*/.*-*"), _TEMP_DAYS),
        ("unfinished data sets", datasets(config).glob(".*"), _TEMP_DAYS),
        ("unfinished artifacts", _unfinished_artifacts(), _TEMP_DAYS),
    )
    return [_sweep(kind, found, days, now_ns) for kind, found, days in kinds]


def _sweep(kind: str, found: Iterable[Path], days: float, now_ns: int) -> Swept:
    removed, freed = [], 0
    for path in sorted(found) if days > 0.0 else ():
        try:
            if now_ns - path.stat().st_mtime_ns <= days * _DAY_NS:
                continue
            size = _size(path)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        except FileNotFoundError:
            continue  # somebody else was first
        removed.append(path.name)
        freed += size
    return Swept(kind, tuple(removed), freed)


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files if file.is_file())


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if not path.name.startswith(".")]


def _but_newest(found: Iterable[Path]) -> list[Path]:
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)[:-1]


def _unfinished_artifacts() -> Iterator[Path]:
    return Path(tempfile.gettempdir()).glob("tickpath-artifact-*")


def _idle_copies(registry: Registry, folder: Path) -> Iterator[Path]:
    """Find copies of versions that do not serve, and never were champion."""
    for model in _visible(folder):
        needed = set()
        history = registry.ledger.history(model.name)
        for entry in history:
            needed |= {held.version for held in (entry.standing.champion,) if held is not None}
        if history and (watched := history[-1].standing.bootstrap) is not None:
            needed.add(watched.version)
        yield from (path for path in _visible(model) if history and path.name not in needed)
