"""Snapshots of the account beside the journal, so that a start need not replay all of it.

Each file holds what changed since the one before it; together they are the state at one place of
the log. A file names that place, the SHA-256 of the file before it and that of its own content. It
appears whole or not at all. The journal stays the authority: what does not verify is put aside,
told, and replayed from the log instead.
"""

import hashlib
import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from trading.journal_load import Position

MAGIC = b"TPSNAP1\n"
_HEADER = struct.Struct("<8sQQ32s32s32s")
_NAME = re.compile(r"snapshot-\d{12}\.bin")
_NONE = bytes(32)


class Snapshot(NamedTuple):
    """Changes of the account, oldest first, and the place in the log that they lead to."""

    position: Position
    parts: tuple[bytes, ...]


class _File(NamedTuple):
    path: Path
    position: Position
    previous: bytes
    digest: bytes
    body: bytes


class Snapshots:
    """The snapshots of one journal.

    Parameters
    ----------
    folder : Path
        Of the journal.

    Attributes
    ----------
    newest : Snapshot or None
        What was found; `forget` lets go of it once it is applied.
    position : Position or None
        Place of the newest snapshot, also of those written since.
    refused : list of str
        Files that did not verify, and why.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = _NONE
        self.newest: Snapshot | None = None
        self.position: Position | None = None
        self.refused: list[str] = []
        self._read()

    def forget(self) -> None:
        """Let go of the bytes of `newest`."""
        self.newest = None

    def refuse_all(self, why: str) -> None:
        """Put all files aside: they are not of this log."""
        for path in self._paths():
            self._refuse(path, why)
        self._last, self.newest, self.position = _NONE, None, None

    def write(self, position: Position, chunks: Iterable[bytes]) -> Path:
        """Write one durably; its place must be on the disk already. For a thread.

        Raises
        ------
        OSError
            When the disk does not take it; nothing appears then.
        """
        path = self._folder / f"snapshot-{position.records:012d}.bin"
        partial = path.with_suffix(".partial")
        whole = hashlib.sha256(self._last)
        with partial.open("wb", buffering=0) as file:
            file.write(bytes(_HEADER.size))
            for chunk in chunks:
                whole.update(chunk)
                _put(file.fileno(), chunk)
            digest = _seal(position, self._last, whole)
            os.pwrite(file.fileno(), _pack(position, self._last, digest), 0)
            os.fsync(file.fileno())
        partial.rename(path)
        sync_folder(self._folder)
        self._last, self.position = digest, position
        return path

    def _paths(self) -> list[Path]:
        return sorted(p for p in self._folder.glob("snapshot-*") if _NAME.fullmatch(p.name))

    def _read(self) -> None:
        for partial in self._folder.glob("snapshot-*.partial"):
            partial.unlink()
        parts: list[bytes] = []
        broken = ""
        for path in self._paths():
            found = None if broken else _read_file(path)
            if found is None or found.previous != self._last:
                broken = broken or f"{path.name} does not verify"
                self._refuse(path, broken)
                continue
            parts.append(found.body)
            self._last, self.position = found.digest, found.position
        if self.position is not None:
            self.newest = Snapshot(self.position, tuple(parts))

    def _refuse(self, path: Path, why: str) -> None:
        self.refused.append(f"{path.name}: {why}")
        path.rename(path.with_suffix(".refused"))


def read_positions(folder: Path) -> tuple[list[Position], list[str]]:
    """Places of the snapshots that verify, and the names of files that do not; changes nothing."""
    last, places, broken = _NONE, list[Position](), list[str]()
    for path in sorted(p for p in folder.glob("snapshot-*") if _NAME.fullmatch(p.name)):
        found = _read_file(path)
        if broken or found is None or found.previous != last:
            broken.append(path.name)
            continue
        places.append(found.position)
        last = found.digest
    return places, broken


def sync_folder(folder: Path) -> None:
    """Have names that appeared or changed in the folder survive a power cut."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _seal(position: Position, previous: bytes, content: "hashlib._Hash") -> bytes:
    records, offset, chain = position
    content.update(_HEADER.pack(MAGIC, records, offset, chain, previous, _NONE))
    return content.digest()


def _pack(position: Position, previous: bytes, digest: bytes) -> bytes:
    return _HEADER.pack(MAGIC, *position, previous, digest)


def _read_file(path: Path) -> _File | None:
    data = path.read_bytes()
    if len(data) < _HEADER.size:
        return None
    magic, records, offset, chain, previous, digest = _HEADER.unpack_from(data)
    position, body = Position(records, offset, chain), data[_HEADER.size :]
    content = hashlib.sha256(previous)
    content.update(body)
    if magic != MAGIC or _seal(position, previous, content) != digest:
        return None
    return _File(path, position, previous, digest, body)


def _put(fd: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(fd, rest) :]
