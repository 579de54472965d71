"""Kill -9 of the writer of the tick store at random points.

A few in ``make test-all``, two hundred in ``make proof``: no torn segment is ever read, no row that
was acknowledged is lost.
"""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.columns import QuoteColumns, from_ticks
from storage.parquet import TickStore

pytestmark = pytest.mark.servers

ROWS = 50
BATCHES_A_DAY = 40
DAY_NS = 86_400_000_000_000
START_NS = 1_577_836_800_000_000_000
SYMBOL = "EURUSD"


def batch(number: int) -> tuple[QuoteColumns, np.ndarray]:
    """Rows that belong together; they lie within one day, every third batch late and backwards."""
    place = number - 2 if number % 3 == 2 else number
    sequence = np.arange(number * ROWS, (number + 1) * ROWS)
    offset = place % BATCHES_A_DAY * ROWS + np.arange(ROWS)
    ts = START_NS + number // BATCHES_A_DAY * DAY_NS + offset * 1_000_000_000
    bid = 1.0 + sequence * 1e-6
    if number % 3 == 2:
        ts, bid, sequence = ts[::-1], bid[::-1], sequence[::-1]
    return from_ticks(ts, bid, bid + 1e-4), sequence


def write(root: Path, first: int, acknowledge: int) -> None:
    """Append batch after batch, each twice now and then, and tell of each that is stored."""
    store = TickStore(root, merge_at=5)
    for number in range(first, first + 10_000):
        rows, sequence = batch(number)
        store.append(SYMBOL, rows, sequence)
        if number % 7 == 0:
            store.append(SYMBOL, rows, sequence)
        os.write(acknowledge, number.to_bytes(8, "big"))


def counts(full: int) -> list[object]:
    """Kills in ``make test-all``, and in ``make proof``."""
    return [pytest.param(8, id="8"), pytest.param(full, id=str(full), marks=pytest.mark.proof)]


class Reader:
    """Reads the last days all the time and notes what it must never see."""

    def __init__(self, root: Path) -> None:
        self._store, self._stop = TickStore(root), threading.Event()
        self.wrong: list[str] = []
        self.reads = 0
        self.since_ns = 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                numbers = stored_batches(self._store, self.since_ns)
                self.wrong += [f"batch {n} has {c} rows" for n, c in numbers.items() if c != ROWS]
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not happen
                self.wrong.append(repr(error))
            self.reads += 1


def stored_batches(store: TickStore, since_ns: int = 0) -> dict[int, int]:
    """Rows of each batch that is at least partly stored."""
    days = [day.sequence for day in store.scan(SYMBOL, start_ns=since_ns)]
    numbers, rows = np.unique(np.concatenate([np.empty(0, int), *days]) // ROWS, return_counts=True)
    return dict(zip(numbers.tolist(), rows.tolist(), strict=True))


def killed_writer(root: Path, first: int, rng: random.Random, context: object) -> int:
    """Run a writer, kill it at some moment; return the last batch it acknowledged."""
    reading, writing = context.Pipe(duplex=False)
    writer = context.Process(target=_child, args=(root, first, writing))
    writer.start()
    writing.close()
    acknowledged, last = rng.randrange(1, 25), first - 1
    for _ in range(acknowledged):
        last = int.from_bytes(os.read(reading.fileno(), 8), "big")
    end = time.perf_counter() + rng.uniform(0.0, 0.03)
    while time.perf_counter() < end:
        pass
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    while len(rest := os.read(reading.fileno(), 8)) == 8:
        last = int.from_bytes(rest, "big")
    reading.close()
    return last


def _child(root: Path, first: int, writing: object) -> None:
    write(root, first, writing.fileno())


@pytest.mark.parametrize("kills", counts(200))
@pytest.mark.timeout(1_800)
def test_no_acknowledged_row_is_lost_and_no_torn_segment_read(
    tmp_path: Path, kills: int, record_property: Callable[[str, object], None]
) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.storage.test_writer_kills"])
    rng, store, last = random.Random(kills), TickStore(tmp_path), -1
    with Reader(tmp_path) as reader:
        for _ in range(kills):
            reader.since_ns = START_NS + max(last, 0) // BATCHES_A_DAY * DAY_NS - DAY_NS
            last = killed_writer(tmp_path, last + 1, rng, context)
            found = stored_batches(store)
            assert set(range(last + 1)) <= set(found) <= set(range(last + 2))
            assert set(found.values()) == {ROWS}
    assert reader.wrong == []
    whole = [batch(number) for number in range(last + 1)]
    fresh = TickStore(tmp_path / "fresh")
    for rows, sequence in whole:
        fresh.append(SYMBOL, rows, sequence)
    store.append(SYMBOL, *batch(last + 1))
    fresh.append(SYMBOL, *batch(last + 1))
    assert store.snapshot_hash(SYMBOL) == fresh.snapshot_hash(SYMBOL)
    record_property("kills", kills)
    record_property("acknowledged_rows", (last + 1) * ROWS)
    record_property("reads_meanwhile", reader.reads)
