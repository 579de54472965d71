import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import JournalCorrupt, JournalError, JournalLocked
from core.hash_chain import HEADER
from trading.journal import FileJournal

RECORDS = [f"record {n}".encode() * (n + 1) for n in range(20)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


def write(folder, records=RECORDS, sync=True):
    """A journal as a killed process leaves it: never closed in order."""
    journal = FileJournal(folder)
    for record in records:
        journal.append(record)
    if sync:
        journal.sync()
    end = journal.path.stat().st_size
    abandon(journal)
    return journal.path, end


def abandon(journal):
    journal.healthy = False
    journal.close()


def reopen(folder):
    journal = FileJournal(folder)
    found = journal.recovered, journal.cut
    abandon(journal)
    return found


def test_what_was_appended_comes_back_and_goes_on(folder):
    write(folder)
    journal = FileJournal(folder)
    assert journal.recovered == tuple(RECORDS)
    assert journal.cut is None
    journal.append(b"more")
    journal.close()
    assert reopen(folder)[0] == (*RECORDS, b"more")


def test_unsynced_records_survive_the_death_of_the_process(folder):
    write(folder, sync=False)
    assert reopen(folder) == (tuple(RECORDS), None)


def test_every_torn_tail_starts_with_what_was_whole_before_it(folder):
    path, synced = write(folder, RECORDS[:3])
    journal = FileJournal(folder)
    journal.append(RECORDS[3])
    abandon(journal)
    whole = path.read_bytes()
    for size in range(synced, len(whole)):
        path.write_bytes(whole[:size])
        recovered, cut = reopen(folder)
        assert recovered == tuple(RECORDS[:3])
        assert (cut is None) == (size == synced)
        if cut is not None:
            assert (cut.offset, cut.size) == (synced, size - synced)
        assert path.stat().st_size == synced


def test_a_broken_unsynced_record_is_cut_and_told(folder):
    path, _ = write(folder, RECORDS[:5], sync=False)
    data = bytearray(path.read_bytes())
    second = HEADER.size + len(RECORDS[0])
    data[second + HEADER.size] ^= 1
    path.write_bytes(data)
    recovered, cut = reopen(folder)
    assert recovered == (RECORDS[0],)
    assert cut.offset == second
    assert "CRC" in cut.reason


def test_any_flipped_byte_in_the_synced_part_refuses(folder):
    path, synced = write(folder, RECORDS[:4])
    whole = path.read_bytes()
    for position in range(synced):
        data = bytearray(whole)
        data[position] ^= 0x40
        path.write_bytes(data)
        with pytest.raises(JournalCorrupt, match=str(path)):
            FileJournal(folder)
        assert path.read_bytes() == data  # evidence, to be looked at and not to be mended
    path.write_bytes(whole)
    assert reopen(folder)[0] == tuple(RECORDS[:4])


def test_a_synced_part_that_got_shorter_refuses(folder):
    path, synced = write(folder)
    os.truncate(path, synced - 1)
    left = path.read_bytes()
    with pytest.raises(JournalCorrupt, match="were synced"):
        FileJournal(folder)
    assert path.read_bytes() == left


def test_another_log_of_the_same_length_refuses(folder):
    path, _ = write(folder, [b"aaaa", b"bbbb"])
    other, _ = write(folder.parent / "other", [b"cccc", b"dddd"])
    path.write_bytes(other.read_bytes())
    with pytest.raises(JournalCorrupt, match="another record than marked"):
        FileJournal(folder)
    assert path.read_bytes() == other.read_bytes()


def test_a_refused_log_keeps_its_torn_end(folder):
    path, _ = write(folder, [b"aaaa", b"bbbb"])
    other, _ = write(folder.parent / "other", [b"cccc", b"dddd"])
    torn = other.read_bytes() + b"half a record"
    path.write_bytes(torn)
    with pytest.raises(JournalCorrupt, match="another record than marked"):
        FileJournal(folder)
    assert path.read_bytes() == torn


def test_a_log_without_its_mark_refuses(folder):
    path, _ = write(folder)
    (path.parent / "journal.mark").unlink()
    whole = path.read_bytes()
    with pytest.raises(JournalCorrupt, match="missing"):
        FileJournal(folder)
    assert path.read_bytes() == whole


def test_a_torn_mark_loses_one_slot_only(folder):
    path, _ = write(folder)
    mark = path.parent / "journal.mark"
    good = mark.read_bytes()
    half = len(good) // 2
    for start in (0, half):
        torn = bytearray(good)
        torn[start] ^= 0xFF
        mark.write_bytes(torn)
        assert reopen(folder)[0] == tuple(RECORDS)
    mark.write_bytes(bytes(len(good)))
    with pytest.raises(JournalCorrupt, match="no valid mark"):
        FileJournal(folder)


def test_a_second_process_is_refused(folder):
    journal = FileJournal(folder)
    code = (
        "import sys; from pathlib import Path; from trading.journal import FileJournal\n"
        "from core.errors import JournalLocked\n"
        "try: FileJournal(Path(sys.argv[1]))\n"
        "except JournalLocked as error: print('locked', error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True,
        check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert run.stdout.startswith("locked")
    with pytest.raises(JournalLocked):
        FileJournal(folder)
    journal.close()
    FileJournal(folder).close()


def test_a_failed_sync_is_latched(folder, monkeypatch):
    journal = FileJournal(folder)
    journal.append(b"one")

    def refuse(_):
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(JournalError, match="sync failed"):
        journal.sync()
    monkeypatch.undo()
    assert not journal.healthy
    with pytest.raises(JournalError):
        journal.sync()
    with pytest.raises(JournalError):
        journal.append(b"two")
    journal.close()


def test_a_short_write_leaves_no_half_record(folder, monkeypatch):
    journal = FileJournal(folder)
    journal.append(b"one")
    size = journal.path.stat().st_size
    whole_write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: whole_write(fd, data[:10], at))
    with pytest.raises(JournalError, match="short write"):
        journal.append(b"two")
    monkeypatch.undo()
    assert journal.path.stat().st_size == size
    assert not journal.healthy
    journal.close()
    assert reopen(folder)[0] == (b"one",)


def test_strict_mode_syncs_before_append_returns(folder):
    journal = FileJournal(folder, strict=True)
    journal.append(b"one")
    assert not journal.needs_sync
    assert journal.synced_offset == journal.path.stat().st_size
    journal.close()


def test_the_group_sync_moves_the_mark(folder):
    journal = FileJournal(folder)
    journal.append(b"one")
    assert journal.needs_sync
    journal.sync()
    assert not journal.needs_sync
    journal.close()
    journal.close()
