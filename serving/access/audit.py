"""Every call that changes something, in a chain of hashes that shows what was altered.

Records are those of `core.hash_chain`. The caller waits for the operating system, not for the disk,
which follows once a second: orders are proved by their journal, this tells who asked.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from core import hash_chain
from core.errors import JournalCorrupt


class Call(msgspec.Struct, frozen=True):
    """One call: when it was answered (ns UTC), by whom made, what, and the status."""

    at_ns: int
    who: str
    method: str
    path: str
    status: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Call).decode


class AuditLog:
    """The chain in one file, which one process writes.

    Parameters
    ----------
    path : Path
        Made when missing. A record torn by a crash at the end is cut off.

    Raises
    ------
    JournalCorrupt
        When a record before the end does not verify.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._chain, end = _last_link(path)
        os.ftruncate(self._file, end)
        os.lseek(self._file, end, os.SEEK_SET)
        self._dirty = False

    def write(self, call: Call) -> None:
        """Append a call."""
        frame, self._chain = hash_chain.encode(self._chain, _encode(call))
        os.write(self._file, frame)
        self._dirty = True

    def sync(self) -> None:
        """Have the disk hold what was written."""
        if self._dirty:
            self._dirty = False
            os.fdatasync(self._file)

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._file)


def read_calls(path: Path) -> Iterator[Call]:
    """Yield verified calls, oldest first; a torn end is passed over.

    Raises
    ------
    JournalCorrupt
    """
    for record in _records(path):
        yield _decode(record.payload)


def _last_link(path: Path) -> tuple[bytes, int]:
    chain, end = hash_chain.GENESIS, 0
    for record in _records(path):
        chain, end = record.chain, record.end
    return chain, end


def _records(path: Path) -> Iterator[hash_chain.Record]:
    try:
        yield from hash_chain.decode(path.read_bytes())
    except hash_chain.BrokenRecord as broken:
        if not broken.torn:
            raise JournalCorrupt(f"{path}: {broken}") from None
