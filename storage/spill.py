"""Batches on the disk: what a store could not take, kept in order until it can."""

import os
import re
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from core.errors import SpillDamaged, Unavailable

Row = TypeVar("Row")
Encode = Callable[[Sequence[Row]], bytes]
Decode = Callable[[bytes], list[Row]]
_NAME = re.compile(r"(\d{12})-(\d+)\.batch")
_CRC_BYTES = 4


class SpillFolder(Generic[Row]):
    """A queue of batches, one file each; a file is there whole or not at all.

    One process uses a folder at a time, one thread puts and one takes.

    Parameters
    ----------
    folder : Path
        Made when missing; what an earlier process left is part of the queue.
    max_bytes : int
        Bound of all files together.
    """

    def __init__(
        self, folder: Path, encode: Encode[Row], decode: Decode[Row], max_bytes: int
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._max_bytes = folder, max_bytes
        self._encode, self._decode = encode, decode
        found = sorted(
            (path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=_order
        )
        self._files = {path: path.stat().st_size for path in found}
        self._next = _order(found[-1]) + 1 if found else 1
        self.size = sum(self._files.values())
        self.rows = sum(_rows(path) for path in found)

    def __len__(self) -> int:
        """Batches that wait."""
        return len(self._files)

    def put(self, rows: Sequence[Row]) -> None:
        """Append a batch, synced.

        Raises
        ------
        Unavailable
            When the bound is reached, or the disk does not take it.
        """
        body = self._encode(rows)
        data = zlib.crc32(body).to_bytes(_CRC_BYTES, "big") + body
        if self.size + len(data) > self._max_bytes:
            raise Unavailable(f"spill {self._folder} is full: {self.size} bytes wait")
        path = self._folder / f"{self._next:012d}-{len(rows)}.batch"
        try:
            _write(path, data)
        except OSError as error:
            raise Unavailable(f"spill {self._folder}: {error}") from error
        self._next += 1
        self._files[path] = len(data)
        self.size += len(data)
        self.rows += len(rows)

    def oldest(self, most_rows: int) -> tuple[list[Path], list[Row]]:
        """Return the batches that wait longest, at least one and together at most `most_rows`.

        Raises
        ------
        SpillDamaged
            When the first of them does not verify.
        """
        paths: list[Path] = []
        rows: list[Row] = []
        for path in list(self._files):
            if paths and len(rows) + _rows(path) > most_rows:
                break
            try:
                rows += self._read(path)
            except SpillDamaged:
                if not paths:
                    raise
                break
            paths.append(path)
        return paths, rows

    def done(self, paths: Sequence[Path]) -> None:
        """Forget batches that are stored."""
        for path in paths:
            path.unlink(missing_ok=True)
            self._dropped(path)

    def refuse(self, rows: Sequence[Row]) -> Path:
        """Keep a batch that no store will ever take, outside of the queue."""
        path = self._folder / f"{time.time_ns()}-{len(rows)}.refused"
        _write(path, self._encode(rows))
        return path

    def refuse_first(self) -> Path:
        """Take the batch that waits longest out of the queue, and keep its file."""
        path = next(iter(self._files))
        kept = path.with_suffix(".refused")
        path.rename(kept)
        self._dropped(path)
        return kept

    def _read(self, path: Path) -> list[Row]:
        data = path.read_bytes()
        if zlib.crc32(data[_CRC_BYTES:]).to_bytes(_CRC_BYTES, "big") != data[:_CRC_BYTES]:
            raise SpillDamaged(f"spilled batch {path} does not verify")
        return self._decode(data[_CRC_BYTES:])

    def _dropped(self, path: Path) -> None:
        self.size -= self._files.pop(path)
        self.rows -= _rows(path)


def _order(path: Path) -> int:
    return int(path.name.split("-")[0])


def _rows(path: Path) -> int:
    return int(path.name.split("-")[1].split(".")[0])


def _write(path: Path, data: bytes) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
