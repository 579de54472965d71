import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import JournalCorrupt, JournalError, JournalLocked
from core.hash_chain import GENESIS, HEADER, encode
from trading.journal import FileJournal
from trading.segments import HEADER_BYTES
from trading.sync_mark import Mark, SyncMark

RECORDS = [f"record {n}".encode() * (n + 1) for n in range(20)]
SMALL = 1_200
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "journal"


def opened(folder, **options):
    return FileJournal(folder, **{"segment_bytes": SMALL, "min_free_bytes": 0, **options})


def write(folder, records=RECORDS, sync=True, **options):
    """A journal as a killed process leaves it: never closed in order."""
    journal = opened(folder, **options)
    for record in records:
        journal.append(record)
    if sync:
        journal.sync()
    path, place = journal.path, journal._place
    abandon(journal)
    return path, place


def abandon(journal):
    journal.healthy = False
    journal.close()


def reopen(folder, **options):
    journal = opened(folder, **options)
    found = journal.recovered, journal.cut
    abandon(journal)
    return found


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_was_appended_comes_back_and_goes_on_over_segments(folder):
    write(folder)
    assert len(list(folder.glob("segment-*.log"))) > 2
    journal = opened(folder)
    assert journal.recovered == tuple(RECORDS)
    assert journal.cut is None
    assert journal.position.records == len(RECORDS)
    for record in RECORDS:
        journal.append(record)
    journal.close()
    assert reopen(folder)[0] == (*RECORDS, *RECORDS)


def test_a_record_larger_than_a_segment_is_kept(folder):
    records = (b"a", b"b" * 3 * SMALL, b"c")
    write(folder, records)
    assert reopen(folder) == (records, None)


def test_unsynced_records_survive_the_death_of_the_process(folder):
    write(folder, sync=False)
    assert reopen(folder) == (tuple(RECORDS), None)


def test_every_torn_tail_starts_with_what_was_whole_before_it(folder):
    path, synced = write(folder, RECORDS[:3])
    write_one = opened(folder)
    write_one.append(RECORDS[3])
    end = write_one._place
    abandon(write_one)
    whole = path.read_bytes()
    for size in range(synced, end):
        path.write_bytes(whole[:size])
        recovered, cut = reopen(folder)
        assert recovered == tuple(RECORDS[:3])
        assert (cut is None) == (not any(whole[synced:size]))
        assert not any(path.read_bytes()[synced:])


def test_a_broken_unsynced_record_is_cut_and_told(folder):
    path, _ = write(folder, RECORDS[:5], sync=False)
    data = bytearray(path.read_bytes())
    second = HEADER_BYTES + HEADER.size + len(RECORDS[0])
    data[second + HEADER.size] ^= 1
    path.write_bytes(data)
    recovered, cut = reopen(folder)
    assert recovered == (RECORDS[0],)
    assert cut.offset == second - HEADER_BYTES
    assert "CRC" in cut.reason


def test_a_broken_record_that_was_not_synced_cuts_the_segments_behind_it_too(folder):
    write(folder, sync=False)
    first = min(folder.glob("segment-*.log"))
    data = bytearray(first.read_bytes())
    data[HEADER_BYTES + HEADER.size] ^= 1
    first.write_bytes(data)
    recovered, cut = reopen(folder)
    assert recovered == ()
    assert cut is not None
    assert reopen(folder) == ((), None)
    assert [p.name for p in folder.glob("segment-*.log")] == [first.name]


def test_a_flip_of_any_byte_of_any_file_is_found(folder, tmp_path):
    """What was synced refuses; a slot of the mark and the room behind the end are told or whole."""
    journal = opened(folder, segment_bytes=300)
    for record in RECORDS[:8]:
        journal.append(record)
    journal.sync()
    end = journal._place
    last = journal.path.name
    abandon(journal)
    whole, copy = files_of(folder), tmp_path / "copy"
    assert len(whole) > 4
    for name, data in whole.items():
        for position in range(len(data)):
            shutil.copytree(folder, copy)
            flipped = bytearray(data)
            flipped[position] ^= 0x40
            (copy / name).write_bytes(flipped)
            if name == "journal.mark":
                # One slot is lost, the other may be older: all records are still there.
                assert reopen(copy, segment_bytes=300)[0] == tuple(RECORDS[:8])
            elif name == last and position >= end:
                assert reopen(copy, segment_bytes=300)[1] is not None
            else:
                with pytest.raises(JournalCorrupt, match=str(copy)):
                    opened(copy, segment_bytes=300)
                assert (copy / name).read_bytes() == flipped  # evidence, not to be mended
            shutil.rmtree(copy)


def test_a_cut_at_any_byte_of_any_segment_is_found(folder, tmp_path):
    journal = opened(folder, segment_bytes=300)
    for record in RECORDS[:8]:
        journal.append(record)
    journal.sync()
    end, last = journal._place, journal.path.name
    abandon(journal)
    copy = tmp_path / "copy"
    for name, data in files_of(folder).items():
        if not name.startswith("segment-"):
            continue
        for size in range(end if name == last else len(data)):
            shutil.copytree(folder, copy)
            os.truncate(copy / name, size)
            with pytest.raises(JournalCorrupt, match=str(copy)):
                opened(copy, segment_bytes=300)
            shutil.rmtree(copy)


@pytest.mark.parametrize("missing", [0, 1, -1])
def test_a_missing_segment_refuses(folder, missing):
    write(folder)
    sorted(folder.glob("segment-*.log"))[missing].unlink()
    with pytest.raises(JournalCorrupt, match=str(folder)):
        opened(folder)


def test_a_segment_of_another_log_refuses(folder):
    write(folder)
    write(folder.parent / "other", [b"x" * len(record) for record in RECORDS])
    name = sorted(path.name for path in folder.glob("segment-*.log"))[1]
    shutil.copy(folder.parent / "other" / name, folder / name)
    with pytest.raises(JournalCorrupt, match=str(folder)):
        opened(folder)


def test_a_synced_part_that_got_shorter_refuses(folder):
    path, end = write(folder)
    os.truncate(path, end - 1)
    left = path.read_bytes()
    with pytest.raises(JournalCorrupt, match="synced"):
        opened(folder)
    assert path.read_bytes() == left


def test_another_log_of_the_same_length_refuses_and_keeps_its_torn_end(folder):
    path, end = write(folder, [b"aaaa", b"bbbb"])
    other, _ = write(folder.parent / "other", [b"cccc", b"dddd"])
    torn = other.read_bytes()[:end] + b"half a record"
    path.write_bytes(torn)
    with pytest.raises(JournalCorrupt, match="another record than marked"):
        opened(folder)
    assert path.read_bytes() == torn


def test_a_log_without_its_mark_refuses(folder):
    path, _ = write(folder)
    (folder / "journal.mark").unlink()
    whole = path.read_bytes()
    with pytest.raises(JournalCorrupt, match="missing"):
        opened(folder)
    assert path.read_bytes() == whole


def test_a_torn_mark_loses_one_slot_only(folder):
    write(folder)
    mark = folder / "journal.mark"
    good = mark.read_bytes()
    half = len(good) // 2
    for start in (0, half):
        torn = bytearray(good)
        torn[start] ^= 0xFF
        mark.write_bytes(torn)
        assert reopen(folder)[0] == tuple(RECORDS)
    mark.write_bytes(bytes(len(good)))
    with pytest.raises(JournalCorrupt, match="no valid mark"):
        opened(folder)


def test_a_log_of_one_file_becomes_the_first_segment(folder):
    folder.mkdir()
    chain, data = GENESIS, b""
    for record in RECORDS:
        frame, chain = encode(chain, record)
        data += frame
    mark = SyncMark(folder / "journal.mark", new=True)
    mark.move(Mark(len(data), chain))
    mark.close()
    (folder / "journal.log").write_bytes(data)
    journal = opened(folder)
    assert journal.recovered == tuple(RECORDS)
    journal.append(b"more")
    journal.close()
    assert reopen(folder) == ((*RECORDS, b"more"), None)


def test_a_second_process_is_refused(folder):
    journal = opened(folder)
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
        opened(folder)
    journal.close()
    opened(folder).close()


def fail_with(number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    return refuse


def test_a_failed_sync_is_latched_and_not_tried_again(folder, monkeypatch):
    journal = opened(folder)
    journal.append(b"one")
    calls = []

    def refuse(fd):
        calls.append(fd)
        raise OSError(errno.EIO, "disk")

    monkeypatch.setattr(os, "fdatasync", refuse)
    with pytest.raises(JournalError, match="sync failed"):
        journal.sync()
    assert not journal.healthy
    assert "sync failed" in journal.trouble
    with pytest.raises(JournalError):
        journal.sync()
    with pytest.raises(JournalError):
        journal.append(b"two")
    journal.close()
    assert len(calls) == 1


def test_a_short_write_leaves_no_half_record(folder, monkeypatch):
    journal = opened(folder)
    journal.append(b"one")
    place = journal._place
    whole_write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: whole_write(fd, data[:10], at))
    with pytest.raises(JournalError, match="short write"):
        journal.append(b"two")
    monkeypatch.undo()
    assert journal.path.stat().st_size == place
    assert not journal.healthy
    journal.close()
    assert reopen(folder)[0] == (b"one",)


def test_a_full_disk_calls_for_a_halt_and_still_takes_fills(folder, monkeypatch):
    """The room for a segment was taken before; what is written now needs none from the disk."""
    journal = opened(folder, segment_bytes=4_000)
    monkeypatch.setattr(os, "posix_fallocate", fail_with(errno.ENOSPC))
    journal.append(b"one")
    assert not journal.trouble
    while journal._index == 1:
        journal.append(b"x" * 100)
    journal.upkeep()
    assert "no room" in journal.trouble
    assert journal.healthy
    before = os.fstat(journal._fd).st_blocks
    for _ in range(20):
        journal.append(b"a fill" * 10)
    journal.sync()
    assert os.fstat(journal._fd).st_blocks == before
    rest = (4_000 - journal._place) // (HEADER.size + 100)
    for _ in range(rest):
        journal.append(b"x" * 100)
    with pytest.raises(JournalError, match="no next segment"):
        journal.append(b"x" * 100)
    assert not journal.healthy
    journal.close()


def test_little_room_on_the_disk_calls_for_a_halt(folder):
    journal = opened(folder, min_free_bytes=1 << 60)
    assert "are left on the disk" in journal.trouble
    journal.append(b"a fill")
    journal.close()


def test_a_disk_that_hangs_calls_for_a_halt(folder):
    journal = opened(folder, stall_ms=0.0)
    journal.check_disk()
    assert not journal.trouble
    journal.append(b"one")
    journal.check_disk()
    assert "has not taken a record" in journal.trouble
    assert journal.healthy
    journal.sync()
    assert journal.behind_ns == 0
    assert journal.trouble  # latched
    journal.close()


def test_strict_mode_syncs_before_append_returns(folder):
    journal = opened(folder, strict=True)
    for record in RECORDS:
        journal.append(record)
        assert not journal.needs_sync
    assert journal.synced_offset == journal.position.offset
    journal.close()


def test_the_group_sync_moves_the_mark_and_takes_full_segments_along(folder, monkeypatch):
    synced, sync = [], os.fdatasync
    journal = opened(folder)

    def note(fd):
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
        sync(fd)

    monkeypatch.setattr(os, "fdatasync", note)
    for record in RECORDS:
        journal.append(record)
    assert journal.needs_sync
    journal.sync()
    assert not journal.needs_sync
    assert synced == [str(path) for path in sorted(folder.glob("segment-*.log"))]
    journal.close()
    journal.close()
