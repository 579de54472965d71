"""Long tapes as one file a column, memory-mapped for replay and training, and packed for keeping.

::

    <root>/EURUSD/ts.bin bid.bin ... length

A column file is little-endian numbers and nothing else. `length` says how many rows are whole: it
is replaced after the columns are on the disk, so a reader never sees a row that is not in all of
them, and rows that a crash left behind it are written over. One writer at a time, many readers.

An archive is one file: a header, the columns part by part as `market.archive` packs them, and the
SHA-256 of all before it.
"""

import hashlib
import itertools
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np

from core.columns import QuoteColumns
from core.errors import BadInput
from market.archive import mid_bits, pack, parts_of, unpack

COLUMNS = tuple(column.name for column in fields(QuoteColumns))
_KINDS = {name: np.dtype("<i8" if name in ("ts", "span") else "<f8") for name in COLUMNS}
_LENGTH = "length"
_ROWS = 1 << 20
_MAGIC = b"TPHA"
_PREFIX = struct.Struct("<4sHI")
_VERSION = 1
_DIGEST = 32


class _Header(msgspec.Struct, frozen=True):
    """Of each part and column: how it was written, and the bytes of its frame."""

    symbol: str
    rows: int
    parts: list[list[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Packed:
    """What an archive came to: bytes of the columns and of the file."""

    rows: int
    raw_bytes: int
    packed_bytes: int

    @property
    def ratio(self) -> float:
        """How many times smaller the file is."""
        return self.raw_bytes / max(1, self.packed_bytes)


class History:
    """Columns of quotes by symbol.

    Parameters
    ----------
    root : Path
        Made when missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def symbols(self) -> tuple[str, ...]:
        """Symbols that have any quotes."""
        if not self._root.is_dir():
            return ()
        found = sorted(folder.name for folder in self._root.iterdir() if folder.is_dir())
        return tuple(name for name in found if self.rows(name))

    def rows(self, symbol: str) -> int:
        """Quotes of a symbol."""
        try:
            return int((self._root / symbol / _LENGTH).read_text())
        except FileNotFoundError:
            return 0

    def open(self, symbol: str) -> QuoteColumns:
        """Map the columns of a symbol; pages are read when they are looked at.

        Read-only, and of the rows that are whole now: what is appended later is seen by who opens
        the history again.

        Raises
        ------
        BadInput
            When a column file is shorter than it must be.
        """
        n, folder = self.rows(symbol), self._root / symbol
        return QuoteColumns(*(_mapped(folder / f"{name}.bin", name, n) for name in COLUMNS))

    def append(self, symbol: str, chunks: Iterable[QuoteColumns]) -> int:
        """Add quotes behind what is there, in chunks that may come from anywhere.

        Returns
        -------
        int
            Rows added.

        Raises
        ------
        BadInput
            When quotes are older than the last one; nothing of that chunk is added.
        """
        folder = self._root / symbol
        folder.mkdir(parents=True, exist_ok=True)
        before = n = self.rows(symbol)
        last = int(self.open(symbol).ts[-1]) if n else -(2**63)
        files = {name: (folder / f"{name}.bin").open("ab") for name in COLUMNS}
        try:
            for name, file in files.items():
                file.truncate(n * _KINDS[name].itemsize)
            for chunk in chunks:
                last = _checked(symbol, chunk, last)
                for name, file in files.items():
                    file.write(np.ascontiguousarray(getattr(chunk, name), _KINDS[name]).data)
                n += len(chunk)
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        finally:
            for file in files.values():
                file.close()
        _replace(folder / _LENGTH, str(n).encode())
        return n - before

    def archive(self, symbol: str, path: Path) -> Packed:
        """Pack a symbol's columns into one compressed file.

        Raises
        ------
        BadInput
            When the symbol has no quotes.
        """
        columns = self.open(symbol)
        if not len(columns):
            raise BadInput(f"there is no history of {symbol} to pack")
        parts = []
        partial = path.with_name(f"{path.name}.tmp")
        with (path.with_name(f"{path.name}.columns")).open("w+b") as body:
            for part in parts_of(columns, _ROWS):
                packed = [pack(part, name) for name in COLUMNS]
                parts.append([(code, len(frame)) for code, frame in packed])
                body.writelines(frame for _, frame in packed)
            body.seek(0)
            head = msgspec.msgpack.encode(_Header(symbol, len(columns), parts))
            digest = hashlib.sha256()
            with partial.open("wb") as file:
                prefix = _PREFIX.pack(_MAGIC, _VERSION, len(head))
                for block in itertools.chain((prefix, head), _blocks(body)):
                    digest.update(block)
                    file.write(block)
                file.write(digest.digest())
                file.flush()
                os.fsync(file.fileno())
        Path(body.name).unlink()
        partial.replace(path)
        raw = len(columns) * sum(kind.itemsize for kind in _KINDS.values())
        return Packed(len(columns), raw, path.stat().st_size)

    def restore(self, path: Path) -> str:
        """Bring an archived symbol back; return its name.

        Raises
        ------
        BadInput
            When the file is damaged or no archive, or the symbol has a history already.
        """
        header, at = _verified(path)
        if self.rows(header.symbol):
            raise BadInput(f"{header.symbol} has a history already; {path.name} is not unpacked")
        self.append(header.symbol, _unpacked(path, header, at))
        return header.symbol


def _mapped(path: Path, name: str, n: int) -> np.ndarray:
    if n == 0:
        return np.empty(0, _KINDS[name])
    if not path.is_file() or path.stat().st_size < n * _KINDS[name].itemsize:
        raise BadInput(f"{path} is missing, or holds fewer than {n} rows")
    return np.memmap(path, _KINDS[name], "r", shape=(n,))


def _checked(symbol: str, chunk: QuoteColumns, last: int) -> int:
    """Return the newest stamp after a chunk that is in order."""
    if not len(chunk):
        return last
    if int(chunk.ts[0]) < last or bool((np.diff(chunk.ts) < 0).any()):
        raise BadInput(f"quotes of {symbol} must come in time order, after {last}")
    return int(chunk.ts[-1])


def _unpacked(path: Path, header: _Header, at: int) -> Iterator[QuoteColumns]:
    with path.open("rb") as file:
        file.seek(at)
        for part in header.parts:
            found: dict[str, np.ndarray] = {}
            for name, (code, size) in zip(COLUMNS, part, strict=True):
                mid = mid_bits(found["bid"], found["ask"]) if "ask" in found else None
                found[name] = unpack(code, file.read(size), _KINDS[name].kind, mid)
            yield QuoteColumns(**found)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(1 << 20):
        yield block


def _verified(path: Path) -> tuple[_Header, int]:
    """Header of an archive whose digest is right, and where its frames begin."""
    digest, size = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        left = size - _DIGEST
        while left > 0 and (block := file.read(min(1 << 20, left))):
            digest.update(block)
            left -= len(block)
        if left or file.read() != digest.digest():
            raise BadInput(f"{path.name} is no history archive, or is damaged")
        file.seek(0)
        magic, version, length = _PREFIX.unpack(file.read(_PREFIX.size))
        if magic != _MAGIC or version != _VERSION:
            raise BadInput(f"{path.name} is no history archive of version {_VERSION}")
        header = msgspec.msgpack.decode(file.read(length), type=_Header)
    return header, _PREFIX.size + length


def _replace(path: Path, data: bytes) -> None:
    """Put a small file in place at once, on the disk before it can be seen."""
    partial = path.with_suffix(".tmp")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
