import itertools
import threading
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.columns import QuoteColumns, concat, from_ticks
from core.errors import BadInput, Unavailable
from storage import segments
from storage.parquet import TickStore

DAY_NS = 86_400_000_000_000
START_NS = 1_577_880_000_000_000_000


def rows_of(columns: QuoteColumns) -> list[tuple[float, ...]]:
    lists = [getattr(columns, column.name).tolist() for column in fields(columns)]
    return list(zip(*lists, strict=True))


def test_what_was_appended_is_read_back_to_the_bit(tmp_path: Path, two_days: QuoteColumns) -> None:
    store = TickStore(tmp_path)
    assert store.append("EURUSD", two_days) == len(two_days)
    back = TickStore(tmp_path).read("EURUSD")
    assert rows_of(back) == rows_of(two_days)
    assert [getattr(back, c.name).dtype for c in fields(back)] == [
        getattr(two_days, c.name).dtype for c in fields(back)
    ]
    assert store.symbols() == ("EURUSD",)
    assert len(list(tmp_path.glob("EURUSD/2020-*"))) == 2


def test_appending_again_changes_nothing(tmp_path: Path, two_days: QuoteColumns) -> None:
    store = TickStore(tmp_path)
    store.append("EURUSD", two_days)
    before = store.snapshot_hash("EURUSD")
    assert store.append("EURUSD", two_days) == 0
    assert TickStore(tmp_path).append("EURUSD", two_days[slice(100, 200)]) == 0
    assert store.snapshot_hash("EURUSD") == before


def test_equal_ticks_in_one_append_are_data(tmp_path: Path) -> None:
    ts = np.full(3, START_NS)
    same = from_ticks(ts, np.full(3, 1.1), np.full(3, 1.2))
    store = TickStore(tmp_path)
    assert store.append("EURUSD", same) == 3
    assert store.append("EURUSD", same) == 0


def test_same_stamp_with_another_price_is_kept(tmp_path: Path) -> None:
    ts = np.array([START_NS])
    store = TickStore(tmp_path)
    store.append("EURUSD", from_ticks(ts, np.array([1.1]), np.array([1.2])))
    assert store.append("EURUSD", from_ticks(ts, np.array([1.1]), np.array([1.3]))) == 1
    assert store.read("EURUSD").ask.tolist() == [1.2, 1.3]


@given(
    cuts=st.lists(st.integers(0, 400), max_size=12),
    order=st.randoms(use_true_random=False),
    merge_at=st.integers(2, 5),
)
@settings(max_examples=25, deadline=None)
def test_neither_cuts_nor_merges_show(
    tmp_path_factory: pytest.TempPathFactory,
    cuts: list[int],
    order: object,
    merge_at: int,
) -> None:
    rng = np.random.default_rng(1)
    # Distinct stamps, so that the order of appends cannot matter.
    ts = START_NS + np.sort(rng.choice(4_000, 400, replace=False)) * (DAY_NS // 3_000)
    columns = from_ticks(ts, 1.0 + rng.random(400), 2.0 + rng.random(400))
    whole = TickStore(tmp_path_factory.mktemp("whole"))
    whole.append("EURUSD", columns)
    edges = sorted({0, 400, *cuts})
    pieces = [columns[slice(a, b)] for a, b in itertools.pairwise(edges)]
    order.shuffle(pieces)  # type: ignore[attr-defined]
    store = TickStore(tmp_path_factory.mktemp("pieces"), merge_at=merge_at)
    assert sum(store.append("EURUSD", piece) for piece in pieces) == 400
    assert rows_of(store.read("EURUSD")) == rows_of(columns)
    assert store.snapshot_hash("EURUSD") == whole.snapshot_hash("EURUSD")


@given(
    start=st.one_of(st.none(), st.integers(-2, 402)), end=st.one_of(st.none(), st.integers(-2, 402))
)
@settings(max_examples=40, deadline=None)
def test_range_is_half_open(
    stored: tuple[TickStore, QuoteColumns], start: int | None, end: int | None
) -> None:
    store, columns = stored
    step = DAY_NS // 200
    start_ns = None if start is None else START_NS + start * step
    end_ns = None if end is None else START_NS + end * step
    expected = [
        row
        for row in rows_of(columns)
        if (start_ns is None or row[0] >= start_ns) and (end_ns is None or row[0] < end_ns)
    ]
    assert rows_of(store.read("EURUSD", start_ns, end_ns)) == expected


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[TickStore, QuoteColumns]:
    ts = START_NS + np.arange(400) * (DAY_NS // 200)
    columns = from_ticks(ts, np.full(400, 1.1), np.full(400, 1.2))
    store = TickStore(tmp_path_factory.mktemp("range"), merge_at=2)
    for first in range(0, 400, 50):
        store.append("EURUSD", columns[slice(first, first + 50)])
    return store, columns


def test_any_int64_is_a_bound(stored: tuple[TickStore, QuoteColumns]) -> None:
    store, columns = stored
    assert len(store.read("EURUSD", -(2**63), 2**63 - 1)) == len(columns)


def test_hash_sees_one_changed_price(tmp_path: Path, two_days: QuoteColumns) -> None:
    changed = two_days.bid.copy()
    changed[17] += 1e-5
    a, b = TickStore(tmp_path / "a"), TickStore(tmp_path / "b")
    a.append("EURUSD", two_days)
    b.append("EURUSD", from_ticks(two_days.ts, changed, two_days.ask, two_days.volume))
    assert a.snapshot_hash("EURUSD") != b.snapshot_hash("EURUSD")


def test_half_written_files_are_not_seen(tmp_path: Path, two_days: QuoteColumns) -> None:
    store = TickStore(tmp_path)
    store.append("EURUSD", two_days)
    day = next(tmp_path.glob("EURUSD/2020-*"))
    (day / "00000002-00000002.partial").write_bytes(b"PAR1 and then the power went")
    assert rows_of(store.read("EURUSD")) == rows_of(two_days)


def test_crash_between_merge_and_deletion_shows_no_row_twice(
    tmp_path: Path, two_days: QuoteColumns
) -> None:
    store = TickStore(tmp_path)
    for first in range(0, 400, 100):
        store.append("EURUSD", two_days[slice(first, first + 100)])
    for day in tmp_path.glob("EURUSD/2020-*"):
        small = segments.visible(day)
        segments.write(day, small[0].first, small[-1].last, segments.read_segments(small))
    assert rows_of(store.read("EURUSD")) == rows_of(two_days)
    assert store.append("EURUSD", two_days) == 0


def test_writes_of_another_store_object_are_noticed(tmp_path: Path, two_days: QuoteColumns) -> None:
    one, other = TickStore(tmp_path), TickStore(tmp_path)
    one.append("EURUSD", two_days[slice(0, 100)])
    other.append("EURUSD", two_days[slice(100, 200)])
    assert one.append("EURUSD", two_days[slice(100, 400)]) == 200


def test_readers_see_whole_appends_while_segments_are_merged(tmp_path: Path) -> None:
    ts = START_NS + np.arange(300) * 1_000_000
    columns = from_ticks(ts, np.full(300, 1.1), np.full(300, 1.2))
    seen: list[int] = []
    done = threading.Event()

    def read() -> None:
        store = TickStore(tmp_path)
        while not done.is_set():
            seen.append(len(store.read("EURUSD")))

    reader = threading.Thread(target=read)
    reader.start()
    writer = TickStore(tmp_path, merge_at=3)
    for first in range(0, 300, 5):
        writer.append("EURUSD", columns[slice(first, first + 5)])
    done.set()
    reader.join()
    assert seen == sorted(seen)
    assert all(count % 5 == 0 for count in seen)


def test_unknown_symbol_is_empty_and_clear_forgets(tmp_path: Path, two_days: QuoteColumns) -> None:
    store = TickStore(tmp_path)
    assert len(store.read("EURUSD")) == 0
    assert store.symbols() == ()
    store.append("EURUSD", two_days)
    store.append("GBPUSD", two_days)
    store.clear("EURUSD")
    store.clear("USDJPY")
    assert store.symbols() == ("GBPUSD",)
    assert len(store.read("EURUSD")) == 0
    assert store.append("EURUSD", two_days) == len(two_days)


def test_a_broken_segment_is_told_by_name(tmp_path: Path, two_days: QuoteColumns) -> None:
    store = TickStore(tmp_path)
    store.append("EURUSD", two_days)
    segment = min(tmp_path.rglob("*.parquet"))
    whole = segment.read_bytes()
    for broken in (whole[:-20], b"", whole[: len(whole) // 2] + bytes(len(whole) // 2)):
        segment.write_bytes(broken)
        with pytest.raises(Unavailable, match=segment.name):
            store.read("EURUSD")


def test_a_symbol_is_no_path(tmp_path: Path, two_days: QuoteColumns) -> None:
    with pytest.raises(BadInput, match="cannot be a symbol"):
        TickStore(tmp_path / "store").append("../EURUSD", two_days)


def test_spans_and_bar_prices_survive(tmp_path: Path, two_days: QuoteColumns) -> None:
    n = len(two_days)
    bars = QuoteColumns(
        two_days.ts,
        two_days.bid,
        two_days.ask,
        two_days.volume,
        np.full(n, 60_000_000_000),
        two_days.bid - 1e-4,
        two_days.ask + 1e-3,
        two_days.bid - 1e-3,
    )
    store = TickStore(tmp_path)
    store.append("EURUSD", bars)
    assert rows_of(store.read("EURUSD")) == rows_of(concat([bars]))
