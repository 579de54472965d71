"""How far the journal is known to be on the disk, in two slots so that a torn write loses one."""

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from core.errors import JournalCorrupt
from core.hash_chain import GENESIS

_SLOT = struct.Struct("<Q32sI")


class Mark(NamedTuple):
    """An offset in the log and the hash chain up to it."""

    offset: int
    chain: bytes


def _pack(mark: Mark) -> bytes:
    body = _SLOT.pack(mark.offset, mark.chain, 0)[:-4]
    return body + struct.pack("<I", zlib.crc32(body))


def _unpack(data: bytes) -> Mark | None:
    if len(data) < _SLOT.size:
        return None
    offset, chain, crc = _SLOT.unpack(data[: _SLOT.size])
    return Mark(offset, chain) if zlib.crc32(data[: _SLOT.size - 4]) == crc else None


class SyncMark:
    """The side file that remembers the synced offset.

    It is written after each sync of the log and not synced itself: it survives the death of the
    process, and after a power cut it may lag behind the log, never lead it.

    Parameters
    ----------
    path : Path
        The side file.
    new : bool
        True when the log is empty: then the file may be missing and is created.

    Raises
    ------
    JournalCorrupt
        When the file is missing beside a log with records, or holds no valid slot.
    """

    def __init__(self, path: Path, *, new: bool) -> None:
        if not new and not (path.exists() and path.stat().st_size):
            raise JournalCorrupt(f"{path} is missing: nothing says how much of the log was synced")
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._slot = 0
        self.synced = Mark(0, GENESIS)
        if os.fstat(self._fd).st_size == 0:
            self._create(path)
            return
        found = self._read()
        if found is None:
            os.close(self._fd)
            raise JournalCorrupt(f"{path} holds no valid mark")
        self.synced = found

    def move(self, mark: Mark) -> None:
        """Remember that the log is on the disk up to `mark`."""
        self._slot ^= 1
        os.pwrite(self._fd, _pack(mark), self._slot * _SLOT.size)
        self.synced = mark

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _create(self, path: Path) -> None:
        os.pwrite(self._fd, _pack(self.synced) * 2, 0)
        os.fsync(self._fd)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _read(self) -> Mark | None:
        found = _newest(os.pread(self._fd, 2 * _SLOT.size, 0))
        if found is None:
            return None
        self._slot, mark = found
        return mark


def read_mark(path: Path) -> Mark:
    """Read a mark that another process may be moving; raises JournalCorrupt like `SyncMark`."""
    found = _newest(path.read_bytes()) if path.exists() else None
    if found is None:
        raise JournalCorrupt(f"{path} is missing or holds no valid mark")
    return found[1]


def _newest(data: bytes) -> tuple[int, Mark] | None:
    slots = (_unpack(data[: _SLOT.size]), _unpack(data[_SLOT.size :]))
    valid = [(slot, mark) for slot, mark in enumerate(slots) if mark is not None]
    return max(valid, key=lambda found: found[1].offset, default=None)
