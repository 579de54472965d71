"""Segments of one folder of the tick store: Parquet files that appear whole or not at all.

A name holds the first and the last append that the segment contains, such as
``00000001-00000064.parquet``. A segment is written beside its place, synced and renamed. Merging
writes one segment whose range covers the others' and then deletes those; a reader skips what is
covered, so it sees each row once at any moment.
"""

import os
import re
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.columns import QuoteColumns, concat
from core.errors import Unavailable

COLUMN_NAMES = tuple(column.name for column in fields(QuoteColumns))
COLUMN_TYPES = {name: "<i8" if name in ("ts", "span") else "<f8" for name in COLUMN_NAMES}
_SEGMENT = re.compile(r"(\d{8,})-(\d{8,})\.parquet")
_READ_ATTEMPTS = 8


class Segment(NamedTuple):
    """A file and the numbers of the appends it holds, both ends included."""

    first: int
    last: int
    path: Path


def no_quotes() -> QuoteColumns:
    """Columns without rows."""
    return QuoteColumns(*(np.empty(0, kind) for kind in COLUMN_TYPES.values()))


def in_time_order(rows: QuoteColumns) -> QuoteColumns:
    """Sort rows by stamp; equal stamps keep their order."""
    if (rows.ts[1:] >= rows.ts[:-1]).all():
        return rows
    return rows[np.argsort(rows.ts, kind="stable")]


def visible(folder: Path) -> list[Segment]:
    """Segments that no wider one covers, in the order of their appends."""
    found = [
        (match, folder / name) for name in _listing(folder) if (match := _SEGMENT.fullmatch(name))
    ]
    segments = sorted(
        (Segment(int(match[1]), int(match[2]), path) for match, path in found),
        key=lambda segment: (segment.first, -segment.last),
    )
    visible: list[Segment] = []
    for segment in segments:
        if not visible or segment.last > visible[-1].last:
            visible.append(segment)
    return visible


def read_folder(folder: Path) -> QuoteColumns:
    """All rows of a folder that others may be writing, in time order.

    Raises
    ------
    Unavailable
        When the folder changes faster than it can be read, or a segment is broken.
    """
    for _ in range(_READ_ATTEMPTS):
        try:
            return read_segments(visible(folder))
        except FileNotFoundError:
            continue  # merged or cleared since the listing
    raise Unavailable(f"the segments of {folder} change faster than they can be read")


def read_segments(segments: list[Segment]) -> QuoteColumns:
    """Read the rows of the segments in time order.

    Raises
    ------
    FileNotFoundError
        When a segment is gone.
    Unavailable
        When a segment cannot be read as what it should be.
    """
    return in_time_order(concat([no_quotes(), *(_read_file(segment.path) for segment in segments)]))


def write(folder: Path, first: int, last: int, rows: QuoteColumns) -> Path:
    """Write a segment durably; it appears under its name when it is complete."""
    path = folder / f"{first:08d}-{last:08d}.parquet"
    partial = path.with_suffix(".partial")
    table = pa.table({name: getattr(rows, name) for name in COLUMN_NAMES})
    with partial.open("wb") as file:
        pq.write_table(table, file, compression="zstd", use_dictionary=False)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    _sync_folder(folder)
    return path


def merge(folder: Path) -> Path:
    """Replace all segments by one; also removes what a crash in an earlier merge left over."""
    segments = visible(folder)
    merged = write(folder, segments[0].first, segments[-1].last, read_segments(segments))
    for old in folder.glob("*.parquet"):
        if old != merged:
            old.unlink()
    return merged


def _listing(folder: Path) -> list[str]:
    """Names in the folder, listed until two listings agree.

    One listing that runs while segments are merged may see neither the old ones nor the new one.
    """
    before: list[str] | None = None
    for _ in range(_READ_ATTEMPTS):
        try:
            names = sorted(path.name for path in folder.iterdir())
        except FileNotFoundError:
            names = []
        if names == before:
            return names
        before = names
    raise Unavailable(f"{folder} changes faster than it can be listed")


def _read_file(path: Path) -> QuoteColumns:
    try:
        with path.open("rb") as file:
            table = pq.read_table(file, columns=list(COLUMN_NAMES))
        return QuoteColumns(*(table[name].to_numpy() for name in COLUMN_NAMES))
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError) as error:
        raise Unavailable(f"segment {path} cannot be read: {error}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
