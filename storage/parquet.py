"""Tick store: quotes as Parquet segments, one folder per symbol and UTC day.

::

    <root>/EURUSD/2020-01-01/00000001-00000001.parquet

Readers see whole appends only and need no lock; `storage.segments` says how.
"""

import fcntl
import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.columns import QuoteColumns, concat
from core.errors import BadInput
from storage.segments import (
    COLUMN_NAMES,
    COLUMN_TYPES,
    Segment,
    in_time_order,
    merge,
    no_quotes,
    read_folder,
    read_segments,
    visible,
    write,
)

_ROW = np.dtype(list(COLUMN_TYPES.items()))
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._-]*")
_DAY_NS = 86_400_000_000_000
_LAST_DAY = 2_932_896  # 9999-12-31
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TickStore:
    """Quotes by symbol on disk: many readers, one writer at a time per symbol.

    Parameters
    ----------
    root : Path
        Folder of the store; made when missing.
    merge_at : int
        Segments of a day at which an append merges them.
    """

    def __init__(self, root: Path, *, merge_at: int = 64) -> None:
        if merge_at < 2:
            raise ValueError(f"merge_at must be at least 2, got {merge_at}")
        self._root = root
        self._merge_at = merge_at
        self._last_ts: dict[Path, tuple[object, int]] = {}

    def append(self, symbol: str, columns: QuoteColumns) -> int:
        """Add quotes; those of which the identical row is already stored are left out.

        Identical rows *within* `columns` all stay: equal ticks in a row are data. Adding the same
        columns again changes nothing.

        Returns
        -------
        int
            Rows written.

        Raises
        ------
        BadInput
            When the symbol cannot be a folder name.
        """
        folder = self._folder(symbol)
        written = 0
        with _writer_lock(folder):
            for day, rows in _by_day(columns):
                written += self._append_day(folder / _day_name(day), rows)
        return written

    def read(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> QuoteColumns:
        """Quotes with ``start_ns <= ts < end_ns`` in time order; equal stamps as appended.

        Returns empty columns for a symbol that the store does not hold.
        """
        parts = [no_quotes(), *self._days(symbol, start_ns, end_ns)]
        return concat(parts)

    def symbols(self) -> tuple[str, ...]:
        """Symbols with at least one quote."""
        if not self._root.is_dir():
            return ()
        names = sorted(folder.name for folder in self._root.iterdir() if folder.is_dir())
        return tuple(name for name in names if any(map(visible, _day_folders(self._root / name))))

    def snapshot_hash(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> str:
        """SHA-256 over the rows, whatever segments they lie in.

        Columns are hashed day by day in their order, as little-endian bytes; a store without rows
        in the range has the hash of nothing.
        """
        digest = hashlib.sha256()
        for part in self._days(symbol, start_ns, end_ns):
            for name, kind in COLUMN_TYPES.items():
                digest.update(np.ascontiguousarray(getattr(part, name), kind).data)
        return digest.hexdigest()

    def clear(self, symbol: str) -> None:
        """Forget all quotes of a symbol."""
        folder = self._folder(symbol)
        if folder.is_dir():
            with _writer_lock(folder):
                for day in _day_folders(folder):
                    # Readers lose the day at once, not file by file.
                    cleared = folder / f".cleared-{day.name}"
                    shutil.rmtree(cleared, ignore_errors=True)
                    shutil.rmtree(day.rename(cleared))

    def _folder(self, symbol: str) -> Path:
        if not _SYMBOL.fullmatch(symbol):
            raise BadInput(f"{symbol!r} cannot be a symbol of the tick store")
        return self._root / symbol

    def _days(
        self, symbol: str, start_ns: int | None, end_ns: int | None
    ) -> Iterator[QuoteColumns]:
        """Rows day by day; days without rows in the range are skipped."""
        first = _day_name(start_ns // _DAY_NS) if start_ns is not None else ""
        last = _day_name((end_ns - 1) // _DAY_NS) if end_ns is not None else "9999-99-99"
        for folder in _day_folders(self._folder(symbol)):
            if first <= folder.name <= last:
                rows = read_folder(folder)
                rows = rows.between(
                    -(2**63) if start_ns is None else start_ns,
                    2**63 - 1 if end_ns is None else end_ns,
                )
                if len(rows):
                    yield rows

    def _append_day(self, folder: Path, rows: QuoteColumns) -> int:
        segments = visible(folder)
        last_ts = self._known_last_ts(segments)
        if last_ts is None or int(rows.ts[0]) <= last_ts:
            stored = read_segments(segments)
            last_ts = int(stored.ts[-1]) if len(stored) else -1
            near = stored.between(int(rows.ts[0]), int(rows.ts[-1]) + 1)
            rows = rows[~np.isin(_records(rows), _records(near))]
        if len(rows) == 0:
            return 0
        folder.mkdir(parents=True, exist_ok=True)
        number = segments[-1].last + 1 if segments else 1
        path = write(folder, number, number, rows)
        if len(segments) + 1 >= self._merge_at:
            path = merge(folder)
        self._last_ts[folder] = (_identity(path), max(last_ts, int(rows.ts[-1])))
        return len(rows)

    def _known_last_ts(self, segments: list[Segment]) -> int | None:
        """Newest stamp of the day if we wrote its last segment, else None.

        Saves a live writer from reading the day again at every append.
        """
        if not segments:
            return -1
        path = segments[-1].path
        identity, last_ts = self._last_ts.get(path.parent, (None, 0))
        return last_ts if identity == _identity(path) else None


def _by_day(columns: QuoteColumns) -> Iterator[tuple[int, QuoteColumns]]:
    days = columns.ts // _DAY_NS
    for day in np.unique(days).tolist():
        yield day, in_time_order(columns[days == day])


def _identity(path: Path) -> object:
    stat = path.stat()
    return path.name, stat.st_ino, stat.st_mtime_ns


def _records(rows: QuoteColumns) -> NDArray[np.void]:
    """Rows as opaque bytes, so that they compare as wholes (and NaN equals itself)."""
    records = np.empty(len(rows), _ROW)
    for name in COLUMN_NAMES:
        records[name] = getattr(rows, name)
    return records.view(np.dtype((np.void, _ROW.itemsize)))


def _day_name(day: int) -> str:
    return (_EPOCH + timedelta(days=min(max(int(day), 0), _LAST_DAY))).strftime("%Y-%m-%d")


def _day_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(day for day in folder.iterdir() if day.is_dir() and day.name[0] != ".")


@contextmanager
def _writer_lock(folder: Path) -> Iterator[None]:
    """One writer per symbol at a time, over all processes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
