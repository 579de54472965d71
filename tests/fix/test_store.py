"""One contract for both stores; the file survives death at any byte and never reuses a number."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Conflict, SessionStoreCorrupt, Unavailable
from fix.store import FileStore, MemoryStore, SentMessage, SessionStore


def sent(seq: int, body: bytes = b"") -> SentMessage:
    return SentMessage(seq, b"8", 1_000 + seq, body)


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SessionStore]:
    made = MemoryStore(keep=3) if request.param == "memory" else FileStore(tmp_path / "s", keep=3)
    yield made
    made.close()


def test_begins_at_one(store: SessionStore) -> None:
    assert (store.next_out, store.next_in) == (1, 1)
    assert list(store.sent(1, 10)) == []


def test_keeps_what_may_be_sent_again(store: SessionStore) -> None:
    for seq, body in enumerate((b"", b"58=a\x01", b"", b"58=b\x01"), 1):
        store.save_out(sent(seq, body))
    assert store.next_out == 5
    assert [message.seq for message in store.sent(1, 4)] == [2, 4]
    assert list(store.sent(3, 4)) == [SentMessage(4, b"8", 1_004, b"58=b\x01")]


def test_forgets_the_oldest_beyond_its_limit(store: SessionStore) -> None:
    for seq in range(1, 6):
        store.save_out(sent(seq, b"58=x\x01"))
    assert [message.seq for message in store.sent(1, 5)] == [3, 4, 5]


@pytest.mark.parametrize("seq", [0, 1, 3])
def test_a_number_is_taken_once_and_in_order(store: SessionStore, seq: int) -> None:
    store.save_out(sent(1))
    with pytest.raises(ValueError, match="is not the next"):
        store.save_out(sent(seq))
    assert store.next_out == 2


def test_reset_begins_again(store: SessionStore) -> None:
    store.save_out(sent(1, b"58=x\x01"))
    store.save_in(7)
    store.reset()
    assert (store.next_out, store.next_in, list(store.sent(1, 9))) == (1, 1, [])
    store.save_out(sent(1))
    assert store.next_out == 2


def reopened(path: Path) -> tuple[int, int, list[SentMessage]]:
    store = FileStore(path)
    state = (store.next_out, store.next_in, list(store.sent(1, 1_000)))
    store.close()
    return state


def test_file_is_the_same_after_reopening(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "a" / "s")
    store.save_out(sent(1, b"58=x\x01"))
    store.save_in(4)
    store.save_out(sent(2))
    store.close()
    expected = (3, 4, [sent(1, b"58=x\x01")])
    assert reopened(tmp_path / "a" / "s") == expected
    assert reopened(tmp_path / "a" / "s") == expected


steps = st.lists(
    st.one_of(
        st.binary(max_size=30).map(lambda body: ("out", body)),
        st.integers(1, 50).map(lambda number: ("in", number)),
        st.just(("reset", None)),
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=25)
@given(script=steps)
def test_death_at_any_byte_leaves_the_state_before_that_record(
    script: list[tuple[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("store") / "s"
    store = FileStore(path)
    # States by file size: a cut shows the newest state whose records are whole.
    states = {0: (1, 1, [])}
    for kind, value in script:
        if kind == "out":
            store.save_out(sent(store.next_out, value))  # type: ignore[arg-type]
        elif kind == "in":
            store.save_in(value)  # type: ignore[arg-type]
        else:
            store.reset()
        kept = list(store.sent(1, 1_000))
        states[path.stat().st_size] = (store.next_out, store.next_in, kept)
    store.close()
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        assert reopened(path) == states[max(size for size in states if size <= cut)]


def test_the_number_behind_a_torn_record_is_used_by_the_next_message(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "s")
    store.save_out(sent(1, b"58=x\x01"))
    store.save_out(sent(2, b"58=y\x01"))
    store.close()
    path = tmp_path / "s"
    path.write_bytes(path.read_bytes()[:-3])
    store = FileStore(path)
    store.save_out(sent(2, b"58=z\x01"))
    store.close()
    assert reopened(path)[2] == [sent(1, b"58=x\x01"), sent(2, b"58=z\x01")]


@pytest.mark.parametrize("place", [0, 2, 5, 9, 13, 20])
def test_a_flipped_byte_before_the_end_is_refused(tmp_path: Path, place: int) -> None:
    store = FileStore(tmp_path / "s")
    for seq in (1, 2, 3):
        store.save_out(sent(seq, b"58=x\x01"))
    store.close()
    data = bytearray((tmp_path / "s").read_bytes())
    data[place] ^= 1
    (tmp_path / "s").write_bytes(data)
    with pytest.raises(SessionStoreCorrupt):
        FileStore(tmp_path / "s")
    # The refusal must not leave the lock behind.
    with pytest.raises(SessionStoreCorrupt):
        FileStore(tmp_path / "s")


def test_zeros_behind_the_last_record_are_no_record(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "s")
    store.save_out(sent(1))
    store.close()
    with (tmp_path / "s").open("ab") as file:
        file.write(bytes(100))
    assert reopened(tmp_path / "s")[0] == 2


def test_a_second_owner_is_refused(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "s")
    with pytest.raises(Conflict):
        FileStore(tmp_path / "s")
    store.close()
    FileStore(tmp_path / "s").close()


def test_a_short_write_takes_no_number_and_is_latched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FileStore(tmp_path / "s")
    store.save_out(sent(1))
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:5]))
    with pytest.raises(Unavailable):
        store.save_out(sent(2))
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(Unavailable):
        store.save_out(sent(2))
    assert store.next_out == 2
    store.close()
    assert reopened(tmp_path / "s")[0] == 2


def test_a_large_file_is_rewritten_with_the_same_state(tmp_path: Path) -> None:
    path = tmp_path / "s"
    store = FileStore(path, keep=2)
    for seq in range(1, 101):
        store.save_out(sent(seq, b"58=x\x01" if seq < 90 else b""))
        store.save_in(seq)
    expected = (store.next_out, store.next_in, list(store.sent(1, 100)))
    store.close()
    before = path.stat().st_size
    store = FileStore(path, keep=2, compact_bytes=100)
    assert (store.next_out, store.next_in, list(store.sent(1, 100))) == expected
    store.save_out(sent(101))
    store.close()
    assert path.stat().st_size < before / 10
    assert reopened(path)[:2] == (102, 100)


WRITER = """
import sys
from pathlib import Path
from fix.store import FileStore, SentMessage
store = FileStore(Path(sys.argv[1]))
while True:
    seq = store.next_out
    store.save_out(SentMessage(seq, b"D", seq, b"58=x\\x01"))
    print(seq, flush=True)
"""


@pytest.mark.servers
def test_kill_9_never_gives_a_number_twice(tmp_path: Path) -> None:
    used: list[int] = []
    for round_ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        used += [int(process.stdout.readline()) for _ in range(50 + round_)]
        process.send_signal(signal.SIGKILL)
        used += [int(line) for line in process.stdout.read().split()]
        process.wait()
        process.stdout.close()
    assert len(used) == len(set(used))
    assert reopened(tmp_path / "s")[0] > max(used)
