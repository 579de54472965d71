import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput, Unavailable
from storage.batch_writer import BatchWriter


class SteppedTime:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wait(self, _condition: threading.Condition, secs: float) -> None:
        self.waits.append(secs)
        self.now += secs


class FlakySink:
    """Fails the first `failures` calls."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.rows: list[int] = []
        self.batches: list[int] = []

    def __call__(self, batch: Sequence[int]) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("disk full")
        self.batches.append(len(batch))
        self.rows += batch


def drain(writer: BatchWriter[int], timeout_secs: float = 60.0) -> int:
    """Close and write what waits, in this thread."""
    writer.close(timeout_secs)
    writer.run()
    return len(writer)


@given(rows=st.integers(0, 60), batch=st.integers(1, 10), failures=st.integers(0, 4))
def test_every_row_is_stored_once_in_order(rows: int, batch: int, failures: int) -> None:
    time, sink = SteppedTime(), FlakySink(failures)
    writer = BatchWriter(
        sink, capacity=64, batch_rows=batch, monotonic=time.monotonic, wait=time.wait
    )
    assert all(writer.put(row) for row in range(rows))
    assert drain(writer) == 0
    assert sink.rows == list(range(rows))
    assert all(size <= batch for size in sink.batches)
    assert writer.written == rows
    assert writer.dropped == 0


def test_a_full_buffer_drops_counts_and_tells_once() -> None:
    told: list[str] = []
    time, sink = SteppedTime(), FlakySink()
    writer = BatchWriter(
        sink, capacity=3, batch_rows=2, alert=told.append, monotonic=time.monotonic, wait=time.wait
    )
    assert [writer.put(row) for row in range(5)] == [True, True, True, False, False]
    assert writer.dropped == 2
    assert len([text for text in told if "dropped" in text]) == 1
    drain(writer)
    assert sink.rows == [0, 1, 2]


def test_back_off_doubles_to_its_limit_and_keeps_the_rows() -> None:
    told: list[str] = []
    time, sink = SteppedTime(), FlakySink(failures=6)
    writer = BatchWriter(
        sink,
        retry_min_secs=0.1,
        retry_max_secs=1.0,
        alert=told.append,
        monotonic=time.monotonic,
        wait=time.wait,
    )
    writer.put(1)
    assert drain(writer) == 0
    assert time.waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])
    assert sink.rows == [1]
    assert writer.failures == 6
    told_of = [text.split(": ")[1] for text in told if "sink" in text]
    assert told_of == ["sink fails", "sink is back"]


def test_a_sink_that_stays_down_leaves_its_rows_counted() -> None:
    time, sink = SteppedTime(), FlakySink(failures=10**9)
    writer = BatchWriter(sink, monotonic=time.monotonic, wait=time.wait)
    writer.put(1)
    writer.put(2)
    assert drain(writer, timeout_secs=3.0) == 2
    assert time.now == pytest.approx(3.0)
    assert not writer.put(3)


def test_a_lonely_row_waits_for_others_at_most_the_delay() -> None:
    time, sink = SteppedTime(), FlakySink()
    writer: BatchWriter[int]

    def store_and_close(batch: Sequence[int]) -> None:
        sink(batch)
        writer.close(0.0)

    writer = BatchWriter(
        store_and_close, max_delay_secs=0.5, monotonic=time.monotonic, wait=time.wait
    )
    writer.put(1)
    writer.run()
    assert time.waits == [0.5]
    assert sink.rows == [1]


def test_in_its_thread_flush_and_close_store_everything() -> None:
    sink = FlakySink()
    writer = BatchWriter(sink, max_delay_secs=3_600.0, batch_rows=100)
    writer.start()
    for row in range(250):
        writer.put(row)
    assert writer.flush()
    assert sink.rows == list(range(250))
    writer.put(250)
    assert writer.close() == 0
    assert sink.rows[-1] == 250


def test_the_producer_never_waits_for_a_stuck_sink() -> None:
    release, entered = threading.Event(), threading.Event()

    def stuck(_batch: Sequence[int]) -> None:
        entered.set()
        release.wait()

    writer = BatchWriter(stuck, capacity=10, batch_rows=1)
    writer.start()
    writer.put(0)
    entered.wait()
    assert [writer.put(row) for row in range(1, 12)].count(True) == 9
    assert not writer.flush(timeout_secs=0.0)
    release.set()
    assert writer.close() == 0
    assert writer.written == 10
    assert writer.dropped == 2


def test_a_batch_larger_than_the_buffer_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_rows"):
        BatchWriter(FlakySink(), capacity=10, batch_rows=11)


class PickySink:
    """Takes no odd rows, ever, and is away for the first `away` calls."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.rows: list[int] = []

    def __call__(self, batch: Sequence[int]) -> None:
        if self.away:
            self.away -= 1
            raise Unavailable("the store is away")
        if any(row % 2 for row in batch):
            raise BadInput("an odd row")
        self.rows += batch


@given(rows=st.integers(0, 30), batch=st.integers(1, 10), away=st.integers(0, 5))
def test_a_row_that_is_always_refused_is_parked_and_holds_up_nothing(
    rows: int, batch: int, away: int
) -> None:
    time, sink = SteppedTime(), PickySink(away)
    parked: list[tuple[int, str]] = []
    told: list[str] = []
    writer = BatchWriter(
        sink, capacity=64, batch_rows=batch, monotonic=time.monotonic, wait=time.wait,
        alert=told.append, park=lambda row, error: parked.append((row, str(error))),
    )  # fmt: skip
    assert all(writer.put(row) for row in range(rows))
    assert drain(writer) == 0
    assert sink.rows == list(range(0, rows, 2))
    assert parked == [(row, "an odd row") for row in range(1, rows, 2)]
    assert writer.parked == len(parked) == len([text for text in told if "parked" in text])
    assert writer.written + writer.parked == rows
    assert writer.dropped == 0


def test_a_store_that_is_away_while_a_row_is_looked_for_parks_nothing() -> None:
    time, calls = SteppedTime(), []

    def sink(batch: Sequence[int]) -> None:
        calls.append(list(batch))
        if len(batch) > 1:
            raise BadInput("one of them")
        if len(calls) < 4:
            raise Unavailable("gone in between")

    writer = BatchWriter(sink, capacity=8, batch_rows=4, monotonic=time.monotonic, wait=time.wait)
    for row in range(3):
        writer.put(row)
    assert drain(writer) == 0
    assert writer.parked == 0
    assert writer.written == 3
