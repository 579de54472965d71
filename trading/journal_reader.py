"""Reading a journal that another process may be writing: for people, reports and the ledger."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from core import hash_chain
from core.errors import JournalCorrupt
from trading import segments
from trading.journal_load import Loaded, Position, load
from trading.segments import SegmentBroken, SegmentHeader
from trading.snapshots import read_positions
from trading.sync_mark import read_mark

MARK_FILE = "journal.mark"
_START = Position(0, 0, hash_chain.GENESIS)
_PIECE = 1 << 18


class JournalEntry(NamedTuple):
    """A record, and the place in the log behind it."""

    position: Position
    payload: bytes


class JournalTail:
    """Follows a journal that is being written, piece by piece.

    Parameters
    ----------
    folder : Path
    after : Position or None
        Place to go on from; from the beginning when the log has no such place.
    """

    def __init__(self, folder: Path, after: Position | None = None) -> None:
        self._folder = folder
        self._segment = 0
        self._place = 0
        self.position = _START
        if after is not None and after != _START:
            self._seek(after)

    def read(self, most: int = 1_000) -> list[JournalEntry]:
        """Return up to `most` of the records that were written since.

        What does not verify at the very end is being written, or torn: it comes later, or never.

        Raises
        ------
        core.errors.JournalCorrupt
            When something that does not verify has records behind it.
        """
        found: list[JournalEntry] = []
        while len(found) < most:
            entries = self._read(most - len(found))
            found += entries
            if not entries and not self._go_on():
                break
        return found

    def _read(self, most: int) -> list[JournalEntry]:
        """Read on in the segment that we are in."""
        if not self._segment:
            return []
        path = segments.segment_path(self._folder, self._segment)
        with path.open("rb") as file:
            file.seek(self._place)
            data = file.read(_PIECE)
            entries = self._decode(data, most)
            if not entries and len(data) == _PIECE and any(data):
                # One record that is longer than the piece.
                entries = self._decode(data + file.read(hash_chain.MAX_PAYLOAD), most)
        return entries

    def _decode(self, data: bytes, most: int) -> list[JournalEntry]:
        found: list[JournalEntry] = []
        records, offset, chain = self.position
        end = 0
        with suppress(hash_chain.BrokenRecord):
            for record in islice(hash_chain.decode(data, chain), most):
                at = Position(records + len(found) + 1, offset + record.end, record.chain)
                found.append(JournalEntry(at, record.payload))
                end = record.end
        if found:
            self.position = found[-1].position
            self._place += end
        return found

    def _go_on(self) -> bool:
        """Turn to the next segment, if there is one."""
        path = segments.segment_path(self._folder, self._segment + 1)
        header = segments.read_header(path) if path.exists() else None
        if header is None:
            return False
        if (header.records, header.offset, header.chain) != self.position:
            raise JournalCorrupt(f"{path} does not follow on what was read before it")
        self._segment, self._place = header.number, segments.HEADER_BYTES
        return True

    def _seek(self, after: Position) -> None:
        for path in reversed(segments.find(self._folder)):
            header = segments.read_header(path)
            if header is None or header.offset > after.offset:
                continue
            if self._find(path, header, after):
                return

    def _find(self, path: Path, header: SegmentHeader, after: Position) -> bool:
        count, offset, chain = header.records, header.offset, header.chain
        with suppress(SegmentBroken):
            for record in segments.scan(path.read_bytes(), header):
                if offset >= after.offset:
                    break
                count, offset, chain = count + 1, record.end, record.chain
        if (count, offset, chain) != after:
            return False
        self._segment, self.position = header.number, after
        self._place = segments.HEADER_BYTES + offset - header.offset
        return True


class Verdict(NamedTuple):
    """What `verify` found.

    Attributes
    ----------
    segments, records, size : int
        Files, records and bytes of records.
    synced : int
        Bytes of records that are known to be on the disk.
    torn : str
        What is wrong with the unsynced end; empty when it is whole.
    snapshots : int
        Snapshots that verify and stand where the log has such a place.
    refused : tuple of str
        Snapshots that do not.
    """

    segments: int
    records: int
    size: int
    synced: int
    torn: str
    snapshots: int
    refused: tuple[str, ...]


def read_journal(folder: Path, after: int = 0) -> Iterator[JournalEntry]:
    """Yield the records whose bytes lie behind the offset `after`, as far as they are written.

    Raises
    ------
    core.errors.JournalCorrupt
        When a record before the last segment's end does not verify, or a segment is missing.
    """
    paths = segments.find(folder)
    headers = [segments.read_header(path) for path in paths]
    starts = [n for n, row in enumerate(headers) if row is not None and row.offset <= after]
    for number in range(starts[-1] if starts else 0, len(paths)):
        header, path = headers[number], paths[number]
        if header is None:
            raise JournalCorrupt(f"{path}: header does not verify")
        count = header.records
        try:
            for record in segments.scan(path.read_bytes(), header):
                count += 1
                if record.end > after:
                    yield JournalEntry(Position(count, record.end, record.chain), record.payload)
        except SegmentBroken as broken:
            if number < len(paths) - 1:
                raise JournalCorrupt(f"{path}: {broken}") from broken


def verify(folder: Path) -> Verdict:
    """Look at every byte of a journal: segments, chain, mark and snapshots.

    Raises
    ------
    core.errors.JournalCorrupt
        When the synced part does not verify.
    """
    mark = read_mark(folder / MARK_FILE)
    found: Loaded = load(folder, mark, None, keep=False)
    places, refused = read_positions(folder)
    wanted = {place.offset: place for place in places}
    for entry in read_journal(folder) if wanted else ():
        if wanted.get(entry.position.offset) == entry.position:
            del wanted[entry.position.offset]
    foreign = [
        f"snapshot of {place.records} records is of another log" for place in wanted.values()
    ]
    return Verdict(
        segments=len(segments.find(folder)),
        records=found.end.records,
        size=found.end.offset,
        synced=mark.offset,
        torn="" if found.cut is None else found.cut.reason,
        snapshots=len(places) - len(foreign),
        refused=(*refused, *foreign),
    )
