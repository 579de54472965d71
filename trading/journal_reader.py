"""Reading a journal that another process may be writing: for people, reports and the ledger."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from core.errors import JournalCorrupt
from trading import segments
from trading.journal_load import Loaded, Position, load
from trading.segments import SegmentBroken
from trading.snapshots import read_positions
from trading.sync_mark import read_mark

MARK_FILE = "journal.mark"


class JournalEntry(NamedTuple):
    """A record, and the place in the log behind it."""

    position: Position
    payload: bytes


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
