"""Segments of the journal: files of one size that follow on each other.

A segment is a header of `HEADER_BYTES` and then records of `core.hash_chain`, up to zeros that the
file was preallocated with. The header says where in the whole log the segment begins, the hash
chain up to there, and the SHA-256 of the segment before it, whole, so that a flipped bit anywhere
in a full segment is found by one pass of a hash, without reading its records.
"""

import hashlib
import mmap
import os
import re
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from core import hash_chain
from core.errors import JournalCorrupt

MAGIC = b"TPJSEG1\n"
SEGMENT_BYTES = 16 << 20
NO_DIGEST = bytes(32)
_HEADER = struct.Struct("<8sQQQ32s32sI")
HEADER_BYTES = _HEADER.size
_NAME = re.compile(r"segment-(\d{8})\.log")
_HASH_THREADS = 2


class SegmentHeader(NamedTuple):
    """Where a segment begins.

    Attributes
    ----------
    number : int
        Count of segments, from 1.
    records, offset : int
        Records and their bytes in all segments before it.
    chain : bytes
        Hash chain up to here.
    previous : bytes
        SHA-256 of the whole segment before; zeros for the first.
    """

    number: int
    records: int
    offset: int
    chain: bytes
    previous: bytes

    def pack(self) -> bytes:
        """Return the header as it stands at the beginning of the file."""
        body = _HEADER.pack(MAGIC, *self, 0)[:-4]
        return body + struct.pack("<I", zlib.crc32(body))


FIRST = SegmentHeader(1, 0, 0, hash_chain.GENESIS, NO_DIGEST)


class Segment(NamedTuple):
    """A segment's file and its header."""

    path: Path
    header: SegmentHeader


class Scanned(NamedTuple):
    """A record and where it ends in the whole log."""

    payload: bytes
    chain: bytes
    end: int


def segment_path(folder: Path, index: int) -> Path:
    """File of the segment with this count."""
    return folder / f"segment-{index:08d}.log"


def unpack_header(data: bytes) -> SegmentHeader | None:
    """Read a header; None when it does not verify."""
    if len(data) < HEADER_BYTES:
        return None
    magic, *fields, crc = _HEADER.unpack_from(data)
    if magic != MAGIC or zlib.crc32(data[: HEADER_BYTES - 4]) != crc:
        return None
    return SegmentHeader(*fields)


def adopt(folder: Path) -> None:
    """Make a log of one file, as earlier versions wrote it, the first segment."""
    old = folder / "journal.log"
    if not old.exists() or segment_path(folder, FIRST.number).exists():
        return
    fresh = folder / "journal.adopted"
    with fresh.open("wb") as file:
        file.write(FIRST.pack() + old.read_bytes())
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(segment_path(folder, FIRST.number))
    old.rename(folder / "journal.log.old")


def find(folder: Path) -> list[Path]:
    """Files of the segments, in order.

    Raises
    ------
    JournalCorrupt
        When one in between, or the first, is missing.
    """
    found = sorted(path for path in folder.glob("segment-*.log") if _NAME.fullmatch(path.name))
    for index, path in enumerate(found, FIRST.number):
        if path != segment_path(folder, index):
            raise JournalCorrupt(f"{segment_path(folder, index)} is missing")
    return found


def read_header(path: Path) -> SegmentHeader | None:
    """Read the header of a file; None when it does not verify."""
    with path.open("rb") as file:
        header = unpack_header(file.read(HEADER_BYTES))
    named = _NAME.fullmatch(path.name)
    if header is None or named is None or header.number != int(named[1]):
        return None
    return header


def digest_of(path: Path) -> bytes:
    """SHA-256 of a whole file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return hashlib.sha256(data).digest()


def new_digest(start: bytes) -> "hashlib._Hash":
    """SHA-256 of a segment that begins with `start`, to be updated with its records."""
    return hashlib.sha256(start)


def verify_full(segments: Sequence[Segment]) -> None:
    """Compare each segment but the last with the digest that its successor holds.

    Raises
    ------
    JournalCorrupt
        When a segment is not what it was when it was full.
    """
    digests = _digests([segment.path for segment in segments[:-1]])
    for segment, after in pairwise(segments):
        if digests.get(segment.path) != after.header.previous:
            raise JournalCorrupt(f"{segment.path}: synced segment differs from its SHA-256")


def _digests(paths: list[Path]) -> dict[Path, bytes]:
    """Digests of whole files by two threads; one that cannot be read has none."""
    found: dict[Path, bytes] = {}

    def work(part: list[Path]) -> None:
        for path in part:
            found[path] = digest_of(path)

    parts = [paths[start::_HASH_THREADS] for start in range(_HASH_THREADS)]
    threads = [threading.Thread(target=work, args=(part,)) for part in parts if part]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


class SegmentBroken(Exception):
    """A record does not verify: `offset` in the whole log, `place` in the file."""

    def __init__(self, place: int, offset: int, what: str) -> None:
        super().__init__(what)
        self.place = place
        self.offset = offset


def scan(data: bytes, header: SegmentHeader) -> Iterator[Scanned]:
    """Yield the records of one segment's file, up to its zeros or its end.

    Raises
    ------
    SegmentBroken
        At the first record that does not verify.
    """
    shift = header.offset - HEADER_BYTES
    try:
        for record in hash_chain.decode(data, header.chain, HEADER_BYTES):
            yield Scanned(record.payload, record.chain, record.end + shift)
    except hash_chain.BrokenRecord as broken:
        rest = len(data) - broken.offset
        if data.count(0, broken.offset) != rest:
            at = broken.offset
            raise SegmentBroken(at, at + shift, str(broken)) from broken
