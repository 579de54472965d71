"""What a store does not take waits on the disk and arrives in order, once it is back."""

import threading
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from core.errors import BadInput, SpillDamaged, Unavailable
from core.types import tick
from storage.ledger_rows import AccountRow, AuditRow, LedgerQuote, LimitRow, PositionRow
from storage.row_codec import decode_quotes, decode_rows, encode_quotes, encode_rows
from storage.spill import SpillFolder
from storage.spilling_sink import SpillingSink
from tests.contracts.test_ledger import decision, fill, order


class Store:
    """Takes batches while it is up."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.up = threading.Event()
        self.up.set()
        self.poison: set[int] = set()

    def __call__(self, batch: Sequence[int]) -> None:
        if not self.up.is_set():
            raise Unavailable("down")
        if self.poison & set(batch):
            raise BadInput("poison")
        self.rows += batch


def folder(path: Path, max_bytes: int = 1_000_000) -> SpillFolder[int]:
    decode = msgspec.msgpack.Decoder(list[int]).decode
    return SpillFolder(path, msgspec.msgpack.encode, decode, max_bytes)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[Store], SpillingSink[int]]]:
    made: list[SpillingSink[int]] = []

    def build(store: Store, alert: Callable[[str], None] = print) -> SpillingSink[int]:
        spill = folder(tmp_path / "spill")
        made.append(SpillingSink(store, spill, retry_min_secs=0.001, alert=alert))
        return made[-1]

    yield build
    for sink in made:
        sink.close()


def test_a_store_that_answers_gets_batches_straight(make, tmp_path: Path) -> None:
    store = Store()
    sink = make(store)
    sink([1, 2])
    assert store.rows == [1, 2]
    assert (sink.stored, sink.spilled, len(sink)) == (2, 0, 0)
    assert list((tmp_path / "spill").iterdir()) == []


def test_rows_of_an_outage_arrive_in_order_before_later_ones(make) -> None:
    told: list[str] = []
    store = Store()
    sink = make(store, told.append)
    sink([0])
    store.up.clear()
    for number in range(1, 200):
        sink([number])
    assert len(sink) == 199
    store.up.set()
    assert sink.drained(30)
    sink([200])
    assert store.rows == list(range(201))
    assert sink.stored == 201
    assert len(told) == 2
    assert "wait on the disk" in told[0]
    assert "stored again" in told[1]


def test_what_waits_outlives_the_process(make) -> None:
    store = Store()
    store.up.clear()
    first = make(store)
    for number in range(20):
        first([number, number])
    assert first.close() == 40
    store.up.set()
    again = make(store)
    assert again.drained(30)
    assert store.rows == [number for number in range(20) for _ in range(2)]


def test_a_batch_that_no_store_takes_stops_nothing(make, tmp_path: Path) -> None:
    store = Store()
    store.poison = {3, 50}
    sink = make(store)
    sink([3, 4])
    store.up.clear()
    for number in (40, 50, 60):
        sink([number])
    store.up.set()
    assert sink.drained(30)
    assert store.rows == [40, 60]
    assert sink.refused == 3
    assert len(list((tmp_path / "spill").glob("*.refused"))) == 2


def test_a_damaged_file_is_set_aside_and_told(make, tmp_path: Path) -> None:
    store = Store()
    store.up.clear()
    first = make(store)
    for number in range(4):
        first([number])
    first.close()
    second = sorted((tmp_path / "spill").glob("*.batch"))[1]
    second.write_bytes(second.read_bytes()[:-1] + b"\xff")
    store.up.set()
    told: list[str] = []
    assert make(store, told.append).drained(30)
    assert store.rows == [0, 2, 3]
    assert "does not verify" in told[0]


def test_the_disk_is_bounded_and_the_writer_told(tmp_path: Path) -> None:
    spill = folder(tmp_path, max_bytes=40)
    spill.put([1, 2, 3])
    with pytest.raises(Unavailable, match="full"):
        spill.put(list(range(100)))
    assert len(spill) == 1
    assert spill.rows == 3


def test_half_a_file_is_no_batch(tmp_path: Path) -> None:
    spill = folder(tmp_path)
    spill.put([1])
    (tmp_path / "000000000002-1.partial").write_bytes(b"half")
    again = folder(tmp_path)
    assert len(again) == 1
    assert again.oldest(10)[1] == [1]
    (tmp_path / "000000000001-1.batch").write_bytes(b"xxxxx")
    with pytest.raises(SpillDamaged):
        again.oldest(10)


def test_every_kind_of_row_survives_the_disk() -> None:
    rows = [
        decision(1), order(1), fill(1), PositionRow("P", 0, -1, 2, 3, 4), LimitRow(*"abcde", 1),
        AccountRow("P", "USD", Decimal("1.10"), Decimal(2), Decimal(3), 4),
        AuditRow("a", 1, *"abc"), LedgerQuote("EURUSD", 1, 2, 1.1, 1.2),
    ]  # fmt: skip
    assert decode_rows(encode_rows(rows)) == rows
    quotes = [tick(0, 1, 5, 1.1, 1.2), tick(1, 2, 6, 1.3, 1.4)]
    assert decode_quotes(encode_quotes(quotes)) == quotes
