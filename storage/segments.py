"""Segments of one folder of the tick store: Parquet files that appear whole or not at all.

A name holds the first and the last append that the segment contains, such as
``00000001-00000064.parquet``. A segment is written beside its place, synced and renamed. Merging
writes one segment whose range covers the others' and then deletes those; a reader skips what is
covered, so it sees each row once at any moment.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.columns import QuoteColumns
from core.errors import Unavailable
from storage.sequenced import COLUMN_NAMES, Sequenced, joined

SEQUENCE = "sequence"
_APPEND_BITS = 32
_SEGMENT = re.compile(r"(\d{8,})-(\d{8,})\.parquet")
_READ_ATTEMPTS = 8


class Segment(NamedTuple):
    """A file and the numbers of the appends it holds, both ends included."""

    first: int
    last: int
    path: Path


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


def read_folder(folder: Path) -> Sequenced:
    """All rows of a folder that others may be writing, by (ts, sequence).

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


def read_segments(segments: list[Segment]) -> Sequenced:
    """Read the rows of the segments by (ts, sequence).

    Raises
    ------
    FileNotFoundError
        When a segment is gone.
    Unavailable
        When a segment cannot be read as what it should be.
    """
    return joined([_read_file(segment) for segment in segments])


def write(folder: Path, first: int, last: int, rows: Sequenced) -> Path:
    """Write a segment durably; it appears under its name when it is complete."""
    path = folder / f"{first:08d}-{last:08d}.parquet"
    partial = path.with_suffix(".partial")
    columns = {name: getattr(rows.columns, name) for name in COLUMN_NAMES}
    table = pa.table({**columns, SEQUENCE: rows.sequence})
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


def _read_file(segment: Segment) -> Sequenced:
    path = segment.path
    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
        columns = QuoteColumns(*(table[name].to_numpy() for name in COLUMN_NAMES))
        if SEQUENCE in table.column_names:
            return Sequenced(columns, table[SEQUENCE].to_numpy())
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, KeyError) as error:
        raise Unavailable(f"segment {path} cannot be read: {error}") from error
    # A segment of before there were sequences: the order of its append, then that of its rows.
    first = segment.first << _APPEND_BITS
    return Sequenced(columns, np.arange(first, first + len(columns), dtype=np.int64))


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
