"""Tick store: quotes as Parquet segments, one folder per symbol and UTC day.

::

    <root>/EURUSD/2020-01-01/00000001-00000001.parquet

Readers see whole appends only and need no lock; `storage.segments` says how.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from core.columns import I8, QuoteColumns, concat
from storage.bars import StoredBars, bars_of, bucket_range
from storage.segments import Segment, merge, read_folder, read_segments, visible, write
from storage.sequenced import Incoming, Sequenced, incoming, joined, no_quotes, nothing
from storage.snapshot import DAY_NS, checked_symbol, digest_of

_LAST_DAY = 2_932_896  # 9999-12-31
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TickStore:
    """The embedded `storage.ports.Ticks`: many readers, one writer at a time per symbol.

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

    def append(self, symbol: str, columns: QuoteColumns, sequence: I8 | None = None) -> int:
        """Add quotes that are not stored yet; they are on the disk when this returns.

        Identical rows *within* `columns` all stay when they come without a sequence: equal ticks in
        a row are data. Adding the same columns again changes nothing.

        Returns
        -------
        int
            Rows written.

        Raises
        ------
        BadInput
            When the symbol cannot be a folder name, or a volume cannot be stored.
        """
        folder = self._folder(symbol)
        ready = incoming(columns, sequence)
        written = 0
        with _writer_lock(folder):
            for day, rows in _by_day(ready):
                written += self._append_day(folder / _day_name(day), rows)
        return written

    def read(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> QuoteColumns:
        """Quotes with ``start_ns <= ts < end_ns`` by (ts, sequence).

        Returns empty columns for a symbol that the store does not hold.
        """
        days = self.scan(symbol, start_ns, end_ns)
        return concat([no_quotes(), *(day.columns for day in days)])

    def bars(
        self,
        symbol: str,
        interval_ns: int,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> StoredBars:
        """Bars that begin in the range, collected from the quotes."""
        first, last = bucket_range(interval_ns, start_ns, end_ns)
        # One ns more: a span that ends with the last bar belongs to it.
        until = None if end_ns is None else last * interval_ns + 1
        rows = joined(list(self.scan(symbol, start_ns, until)))
        return bars_of(rows, interval_ns, first, last)

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
        return digest_of(day.columns for day in self.scan(symbol, start_ns, end_ns))

    def clear(self, symbol: str) -> None:
        """Forget all quotes of a symbol."""
        folder = self._folder(symbol)
        if folder.is_dir():
            _forget(folder, _day_folders(folder))

    def forget_before(self, ns: int) -> None:
        """Forget the days that ended before `ns`, of all symbols."""
        first_kept = _day_name(ns // DAY_NS)
        for symbol in self.symbols():
            folder = self._folder(symbol)
            _forget(folder, [day for day in _day_folders(folder) if day.name < first_kept])

    def compact(self, symbol: str) -> int:
        """Merge the segments of each day into one; returns the days that had more than one."""
        folder = self._folder(symbol)
        if not folder.is_dir():
            return 0
        merged = 0
        with _writer_lock(folder):
            for day in _day_folders(folder):
                if len(list(day.glob("*.parquet"))) > 1:
                    merge(day)
                    merged += 1
        return merged

    def close(self) -> None:
        """Nothing is held open."""

    def scan(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[Sequenced]:
        """Yield the quotes day by day; days without rows in the range are skipped."""
        first = _day_name(start_ns // DAY_NS) if start_ns is not None else ""
        last = _day_name((end_ns - 1) // DAY_NS) if end_ns is not None else "9999-99-99"
        for folder in _day_folders(self._folder(symbol)):
            if first <= folder.name <= last:
                rows = read_folder(folder).between(
                    -(2**63) if start_ns is None else start_ns,
                    2**63 - 1 if end_ns is None else end_ns,
                )
                if len(rows):
                    yield rows

    def _folder(self, symbol: str) -> Path:
        return self._root / checked_symbol(symbol)

    def _append_day(self, folder: Path, ready: Incoming) -> int:
        segments = visible(folder)
        last_ts = self._known_last_ts(segments)
        first_ts, end_ts = int(ready.rows.ts[0]), int(ready.rows.ts[-1]) + 1
        near = nothing()
        if last_ts is None or first_ts <= last_ts:
            stored = read_segments(segments)
            last_ts = int(stored.ts[-1]) if len(stored) else -1
            near = stored.between(first_ts, end_ts)
        rows = ready.missing_in(near)
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


def _by_day(ready: Incoming) -> Iterator[tuple[int, Incoming]]:
    days = ready.rows.ts // DAY_NS
    for day in np.unique(days).tolist():
        yield day, Incoming(ready.rows[days == day], ready.numbered)


def _identity(path: Path) -> object:
    stat = path.stat()
    return path.name, stat.st_ino, stat.st_mtime_ns


def _day_name(day: int) -> str:
    return (_EPOCH + timedelta(days=min(max(int(day), 0), _LAST_DAY))).strftime("%Y-%m-%d")


def _day_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(day for day in folder.iterdir() if day.is_dir() and day.name[0] != ".")


def _forget(folder: Path, days: list[Path]) -> None:
    with _writer_lock(folder):
        for day in days:
            # Readers lose the day at once, not file by file.
            cleared = folder / f".cleared-{day.name}"
            shutil.rmtree(cleared, ignore_errors=True)
            shutil.rmtree(day.rename(cleared))


@contextmanager
def _writer_lock(folder: Path) -> Iterator[None]:
    """One writer per symbol at a time, over all processes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
