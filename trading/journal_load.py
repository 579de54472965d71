"""Reading the journal at start: what is sound, what is torn, and what cannot be trusted.

Full segments are compared with their digests; records are read from the newest snapshot on only.
Behind the mark a record that does not verify is the torn end of a crash and is cut; before the
mark it means that the log cannot be trusted, and it is left as it was found.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from core.errors import JournalCorrupt
from trading import segments
from trading.segments import HEADER_BYTES, Segment, SegmentBroken, SegmentHeader
from trading.sync_mark import Mark


class Position(NamedTuple):
    """A place in the log: how many records lie before it, their bytes, and their chain."""

    records: int
    offset: int
    chain: bytes


class Cut(NamedTuple):
    """What was cut from the unsynced end of the log at start."""

    offset: int
    size: int
    reason: str


class Loaded(NamedTuple):
    """What the log holds.

    Attributes
    ----------
    payloads : tuple of bytes
        Records behind the snapshot, or all.
    end : Position
    last : Segment or None
        The segment to go on in; None for a log without one.
    place : int
        Where its records end in the file.
    digest : hash object
        SHA-256 over the last segment up to there.
    cut : Cut or None
        What is to be cut: the rest of the last segment, and `drop`.
    drop : tuple of Path
        Segments behind the cut.
    """

    payloads: tuple[bytes, ...]
    end: Position
    last: Segment | None
    place: int
    digest: "hashlib._Hash"
    cut: Cut | None
    drop: tuple[Path, ...]


class ForeignSnapshot(Exception):
    """The snapshot is not of this log."""


def load(folder: Path, mark: Mark, snapshot: Position | None, *, keep: bool = True) -> Loaded:
    """Read the log without changing it; with `keep` False its records are only looked at.

    Raises
    ------
    JournalCorrupt
        When a synced record does not verify.
    ForeignSnapshot
        When the log has no such place as the snapshot's.
    """
    synced = max(mark.offset, snapshot.offset if snapshot else 0)
    found, drop, what = _headers(folder, synced)
    segments.verify_full([row for row in found if row.header.offset <= synced])
    first = _first(found, snapshot)
    reader = _Reader(folder, mark, snapshot, synced, keep)
    last, cut = None, None
    for number, segment in enumerate(found[first:], first):
        if not reader.follows(segment):
            drop = (*(row.path for row in found[number:]), *drop)
            what = f"{segment.path.name} does not follow on the segment before it"
            break
        last, cut = segment, reader.read(segment)
        if cut is not None:
            drop = (*(row.path for row in found[number + 1 :]), *drop)
            break
    reader.check()
    if cut is None and what:
        cut = Cut(reader.at.offset, 0, what)
    return reader.loaded(last, cut, drop)


def _headers(folder: Path, synced: int) -> tuple[list[Segment], tuple[Path, ...], str]:
    """Segments with a header that verifies; a last one without it was never synced."""
    found: list[Segment] = []
    paths = segments.find(folder)
    for path in paths:
        header = segments.read_header(path)
        if header is None:
            before = found[-1] if found else None
            length = 0 if before is None else _bytes_before(before)
            if path != paths[-1] or synced > length:
                raise JournalCorrupt(f"{path}: synced header does not verify")
            return found, (path,), f"{path.name}: header does not verify"
        found.append(Segment(path, header))
    return found, (), ""


def _bytes_before(segment: Segment) -> int:
    """Bytes of records up to the end of a full segment."""
    return segment.header.offset + segment.path.stat().st_size - HEADER_BYTES


def _first(found: list[Segment], snapshot: Position | None) -> int:
    if snapshot is None:
        return 0
    at = [n for n, row in enumerate(found) if row.header.offset <= snapshot.offset]
    if not at:
        raise ForeignSnapshot("the log begins behind it")
    return at[-1]


class _Reader:
    """Reads segment after segment."""

    def __init__(
        self, folder: Path, mark: Mark, snapshot: Position | None, synced: int, keep: bool
    ) -> None:
        self._folder = folder
        self._mark = mark
        self._snapshot = snapshot
        self._synced = synced
        self._keep = keep
        self._payloads: list[bytes] = []
        self._mark_seen = self._snapshot_seen = False
        self._data = b""
        self._place = 0
        self.end: Position | None = None

    def follows(self, segment: Segment) -> bool:
        """Say whether the segment goes on where the last one ended.

        Raises
        ------
        JournalCorrupt
            When it does not, and was synced.
        """
        header = segment.header
        begins = Position(header.records, header.offset, header.chain)
        if self.end is None:
            self.end = begins
            self._mark_seen = self._mark.offset < header.offset
            self._look(begins)
        elif begins != self.end:
            if min(begins.offset, self.end.offset) < self._synced:
                raise JournalCorrupt(f"{segment.path}: synced, and not what follows")
            return False
        return True

    def read(self, segment: Segment) -> Cut | None:
        """Read one segment; return what is to be cut at its end, if anything."""
        self._data = segment.path.read_bytes()
        before = segment.header.records
        try:
            for count, record in enumerate(segments.scan(self._data, segment.header), before + 1):
                if self._keep and self._snapshot_seen:
                    self._payloads.append(record.payload)
                self._look(Position(count, record.end, record.chain))
        except SegmentBroken as broken:
            if broken.offset < self._synced:
                raise JournalCorrupt(f"{segment.path}: synced {broken}") from broken
            size = len(self._data.rstrip(b"\0")) - broken.place
            return Cut(broken.offset, size, str(broken))
        finally:
            self._place = HEADER_BYTES + self.at.offset - segment.header.offset
        return None

    def loaded(self, last: Segment | None, cut: Cut | None, drop: tuple[Path, ...]) -> Loaded:
        """Say what was found."""
        digest = hashlib.sha256(memoryview(self._data)[: self._place])
        return Loaded(tuple(self._payloads), self.at, last, self._place, digest, cut, drop)

    def check(self) -> None:
        """Look whether everything that must be there came by."""
        at = self.at
        if at.offset < self._synced:
            raise JournalCorrupt(
                f"{self._folder}: {at.offset} bytes of records, but {self._synced} were synced"
            )
        if self._snapshot is not None and not self._snapshot_seen:
            raise ForeignSnapshot("the log has no such record")

    @property
    def at(self) -> Position:
        """The end of what was read."""
        return self.end or Position(0, 0, segments.FIRST.chain)

    def _look(self, at: Position) -> None:
        self.end = at
        if at.offset >= self._mark.offset and not self._mark_seen:
            self._mark_seen = True
            if (at.offset, at.chain) != self._mark:
                raise JournalCorrupt(
                    f"{self._folder}: the synced part ends in another record than marked"
                )
        if self._snapshot is None:
            self._snapshot_seen = True
        elif at.offset == self._snapshot.offset:
            if at != self._snapshot:
                raise ForeignSnapshot("the log has another record there")
            self._snapshot_seen = True


def header_after(end: Position, number: int, previous: bytes) -> SegmentHeader:
    """Header of the segment that begins at `end`."""
    return SegmentHeader(number, end.records, end.offset, end.chain, previous)
