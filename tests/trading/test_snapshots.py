"""A start from a snapshot and the records behind it comes to the same as from all records."""

import shutil

import msgspec
import pytest

from core.errors import JournalCorrupt
from tests.trading.test_engine import session
from trading.account_state import chunks
from trading.journal import FileJournal
from trading.journal_load import Position
from trading.journal_reader import JournalTail, read_journal, verify

# Not kept over a restart, or only a part of it: what the market gives anew, and what has passed.
PASSING = {
    "history",
    "marks",
    "_marks",
    "_weeks",
    "_touched",
    "_new_fills",
    "_sent",
    "_instruments",
    "_limits",
}


def state_of(thing):
    """Everything an object holds, down to plain values, so that a forgotten field shows."""
    if isinstance(thing, dict):
        # A count that went back to zero is as good as none.
        return {key: state_of(value) for key, value in thing.items() if value != 0}
    if isinstance(thing, list | tuple | set | frozenset):
        return [state_of(value) for value in thing]
    if isinstance(thing, msgspec.Struct) or not hasattr(thing, "__dict__"):
        return thing
    fields = {n: v for n, v in vars(thing).items() if n not in PASSING and not callable(v)}
    return {name: state_of(value) for name, value in fields.items()}


def recent(house):
    """What still counts as a repetition of what was sent."""
    sent, window = house.account.risk._sent, house.limits.duplicate_window_ms * 1e6
    return {key: at for key, at in sent.items() if at >= max(sent.values()) - window}


class Taking:
    """A recorder that has a snapshot taken behind some events."""

    def __init__(self, house, at):
        self.house, self.at = house, at
        self.count = self.records = 0
        self.parts = []

    def __call__(self, event):
        self.count += 1
        if self.count in self.at:
            self.records = len(self.house.journal.records)
            self.parts.append(b"".join(chunks(self.house.engine.take_changes())))


@pytest.mark.parametrize("enabled", [True, False])
def test_a_snapshot_at_any_event_and_the_rest_give_the_same_account(build, enabled):
    whole = build()
    session(whole)
    ends = len(whole.recorded)
    for at in range(1, ends + 1):
        house = build()
        taking = Taking(house, {at, at // 2})
        house.engine._recorder = taking
        session(house)
        assert taking.parts
        records, settings = house.journal.records, {"enabled_at_start": enabled, "ready": False}
        full = build(recovered=records, **settings)
        short = build(recovered=records[taking.records :], snapshot=taking.parts, **settings)
        assert state_of(short.account) == state_of(full.account), at
        assert list(short.account.book._orders) == list(full.account.book._orders)
        assert short.engine.decision_ids.next_number == full.engine.decision_ids.next_number
        assert recent(short) == recent(full)


def journal_of(folder, **options):
    return FileJournal(folder, segment_bytes=4_000, min_free_bytes=0, **options)


def killed(journal):
    journal.healthy = False
    journal.close()


@pytest.fixture
def traded(build, tmp_path):
    """A journal with three snapshots and records behind the last, as SIGKILL leaves it."""
    folder = tmp_path / "journal"
    journal = journal_of(folder)
    house = build(journal=journal)

    def recorder(event):
        recorder.count += 1
        if recorder.count in (6, 14, 22):
            changes = house.engine.take_changes()
            journal.write_snapshot(journal.position, chunks(changes))

    recorder.count = 0
    house.engine._recorder = recorder
    session(house)
    journal.sync()
    killed(journal)
    assert len(list(folder.glob("segment-*.log"))) > 2
    return folder, tuple(entry.payload for entry in read_journal(folder))


def started(build, journal):
    parts = journal.snapshot.parts if journal.snapshot else ()
    return build(journal=journal, recovered=journal.recovered, snapshot=parts, ready=False)


def test_a_start_reads_the_records_behind_the_newest_snapshot_only(build, traded):
    folder, records = traded
    full = build(recovered=records, ready=False)
    journal = journal_of(folder)
    assert len(journal.snapshot.parts) == 3
    assert 0 < len(journal.recovered) < len(records) / 2
    assert journal.recovered == records[journal.snapshot.position.records :]
    assert journal.found == len(records)
    assert state_of(started(build, journal).account) == state_of(full.account)
    killed(journal)


def test_a_flip_of_any_byte_of_a_snapshot_is_told_and_the_log_replayed_instead(
    build, traded, tmp_path
):
    folder, records = traded
    full = state_of(build(recovered=records, ready=False).account)
    copy = tmp_path / "copy"
    for number, path in enumerate(sorted(folder.glob("snapshot-*.bin"))):
        data = path.read_bytes()
        for position in range(0, len(data), 1 + len(data) // 23):
            shutil.copytree(folder, copy)
            flipped = bytearray(data)
            flipped[position] ^= 0x10
            (copy / path.name).write_bytes(flipped)
            assert verify(copy).refused
            journal = journal_of(copy)
            assert len(journal.snapshots.refused) == 3 - number
            assert (copy / path.with_suffix(".refused").name).read_bytes() == flipped
            assert state_of(started(build, journal).account) == full
            killed(journal)
            shutil.rmtree(copy)


def test_a_segment_that_a_snapshot_covers_is_still_looked_at(traded):
    folder, _ = traded
    first = folder / "segment-00000001.log"
    data = bytearray(first.read_bytes())
    data[len(data) // 2] ^= 1
    first.write_bytes(data)
    with pytest.raises(JournalCorrupt, match="SHA-256"):
        journal_of(folder)
    with pytest.raises(JournalCorrupt, match="SHA-256"):
        verify(folder)


def test_a_snapshot_of_another_log_is_put_aside(build, traded, tmp_path):
    folder, records = traded
    other = journal_of(tmp_path / "other")
    other.append(b"something else")
    other.write_snapshot(other.position, [b""])
    killed(other)
    for path in folder.glob("snapshot-*.bin"):
        path.unlink()
    found = next(iter((tmp_path / "other").glob("snapshot-*.bin")))
    shutil.copy(found, folder / found.name)
    assert verify(folder).snapshots == 0
    journal = journal_of(folder)
    assert journal.recovered == records
    assert journal.snapshots.refused
    killed(journal)


def test_a_half_written_snapshot_does_not_count(traded):
    folder, _ = traded
    (folder / "snapshot-000000000099.partial").write_bytes(b"half")
    journal = journal_of(folder)
    assert len(journal.snapshot.parts) == 3
    assert not list(folder.glob("*.partial"))
    killed(journal)


def test_snapshots_go_on_from_the_newest(build, traded):
    folder, _ = traded
    journal = journal_of(folder)
    assert journal.since_snapshot == len(journal.recovered)
    house = started(build, journal)
    assert journal.write_snapshot(journal.position, chunks(house.engine.take_changes()))
    assert journal.since_snapshot == 0
    expected = state_of(house.account)
    killed(journal)
    again = journal_of(folder)
    assert len(again.snapshot.parts) == 4
    assert again.recovered == ()
    assert state_of(started(build, again).account) == expected
    killed(again)


def test_a_snapshot_that_the_disk_does_not_take_calls_for_a_halt(traded):
    folder, _ = traded
    journal = journal_of(folder)

    def full():
        raise OSError(28, "No space left on device")
        yield b""

    assert journal.write_snapshot(journal.position, full()) is None
    assert "no room for a snapshot" in journal.trouble
    assert journal.healthy
    killed(journal)


def test_verify_tells_what_is_there_and_what_is_torn(traded):
    folder, records = traded
    found = verify(folder)
    assert (found.records, found.snapshots, found.torn) == (len(records), 3, "")
    assert found.size == found.synced > 0
    journal = journal_of(folder)
    journal.append(b"behind the mark")
    place, path = journal._place, journal.path
    killed(journal)
    data = bytearray(path.read_bytes())
    data[place - 1] ^= 1
    path.write_bytes(data)
    assert "CRC" in verify(folder).torn
    assert path.read_bytes() == data


def test_reading_from_a_place_gives_what_lies_behind_it(traded):
    folder, records = traded
    entries = list(read_journal(folder))
    for at in (0, 1, 7, len(entries) - 1):
        rest = list(read_journal(folder, entries[at].position.offset))
        assert [entry.payload for entry in rest] == list(records[at + 1 :])
        assert [entry.position for entry in rest] == [e.position for e in entries[at + 1 :]]
    assert isinstance(entries[0].position, Position)


@pytest.mark.parametrize("most", [1, 3, 1_000])
def test_a_tail_follows_what_is_written_over_segments_and_goes_on_from_any_place(traded, most):
    folder, _ = traded
    journal = journal_of(folder)
    tail, seen = JournalTail(folder), []
    while entries := tail.read(most):
        seen += entries
    assert seen == list(read_journal(folder))
    for number in range(100):
        journal.append(b"record %d" % number)
        seen += tail.read(most)
    while entries := tail.read(most):
        seen += entries
    assert seen == list(read_journal(folder))
    assert tail.read() == []
    for at in (0, 5, len(seen) - 1):
        again = JournalTail(folder, seen[at].position)
        rest = []
        while entries := again.read(most):
            rest += entries
        assert rest == seen[at + 1 :]
    killed(journal)


def test_a_tail_begins_anew_where_the_log_is_another_one(traded, tmp_path):
    folder, records = traded
    place = next(iter(read_journal(folder))).position
    tail = JournalTail(folder, place._replace(chain=bytes(32)))
    assert [entry.payload for entry in tail.read()] == list(records)
    assert JournalTail(tmp_path / "none").read() == []


def test_a_tail_waits_for_a_record_that_is_half_written(traded):
    folder, records = traded
    journal = journal_of(folder)
    journal.append(b"the last")
    path, place = journal.path, journal._place
    killed(journal)
    data = path.read_bytes()
    path.write_bytes(data[: place - 3] + bytes(len(data) - place + 3))
    tail = JournalTail(folder)
    assert len(tail.read()) == len(records)
    path.write_bytes(data)
    assert [entry.payload for entry in tail.read()] == [b"the last"]
