"""Moves rows from the live path to a store: bounded, batched, in a thread of its own.

The producer never waits: a row that finds the buffer full is dropped and counted, and somebody is
told. A failing sink costs no row while the buffer lasts: the batch is kept and tried again. A row
that the sink will never take does not hold up the others: it is parked.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from core.errors import BadInput

Row = TypeVar("Row")
REFUSALS: tuple[type[Exception], ...] = (BadInput, TypeError, ValueError, OverflowError)
"""Errors by which a sink says that a row is wrong, not that the store is away."""


def _silent(_message: str) -> None:
    """Tell nobody."""


class BatchWriter(Generic[Row]):
    """Buffer in front of a sink.

    Parameters
    ----------
    sink : callable
        Takes a batch and stores it whole or raises. It may see a batch again after it raised.
    capacity : int
        Most rows waiting, those of a failed batch included. A decision with all that it holds is
        1.1 kB, a quote 0.4 kB: a writer of each, full, holds 49 MB.
    batch_rows : int
        Rows that are written at once at most, and that are not waited for any longer.
    max_delay_secs : float
        Longest time that a row waits for others.
    retry_min_secs, retry_max_secs : float
        Back-off after a failure: doubled from the first to the second.
    alert : callable
        Told when rows begin to be dropped, when the sink begins to fail and when it is back, and of
        each row that is parked.
    park : callable
        Takes a row that the sink refuses by itself (see `REFUSALS`), with the error; such a row is
        not tried again.
    monotonic, wait
        Injected time in seconds; ``wait(condition, secs)`` waits, holding the condition, for at
        most `secs`.
    """

    def __init__(
        self,
        sink: Callable[[Sequence[Row]], object],
        *,
        capacity: int = 32_768,
        batch_rows: int = 2_000,
        max_delay_secs: float = 0.5,
        retry_min_secs: float = 0.1,
        retry_max_secs: float = 5.0,
        alert: Callable[[str], None] = _silent,
        park: Callable[[Row, Exception], object] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Condition, float], object] = threading.Condition.wait,
        name: str = "batch-writer",
    ) -> None:
        if not 1 <= batch_rows <= capacity:
            raise ValueError(f"batch_rows must be 1..capacity, got {batch_rows} of {capacity}")
        self._sink, self._alert, self._monotonic, self._wait = sink, alert, monotonic, wait
        self._park = park
        self._capacity, self._batch_rows, self._max_delay = capacity, batch_rows, max_delay_secs
        self._retry_min, self._retry_max = retry_min_secs, retry_max_secs
        self._rows: deque[Row] = deque()
        self._changed = threading.Condition()
        self._oldest_since = 0.0
        self._retry_secs = 0.0
        self._retry_at = 0.0
        self._flushing = 0
        self._closing = False
        self._dropping = False
        self._deadline = float("inf")
        self.written = 0
        self.dropped = 0
        self.failures = 0
        self.parked = 0
        self._thread = threading.Thread(target=self.run, name=name, daemon=True)

    def __len__(self) -> int:
        """Rows that are not stored yet."""
        return len(self._rows)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, row: Row) -> bool:
        """Hand over one row; False when it was dropped. Never waits for the sink."""
        tell = False
        with self._changed:
            taken = not self._closing and len(self._rows) < self._capacity
            if not taken:
                self.dropped += 1
                tell, self._dropping = not self._dropping, True
            else:
                self._dropping = False
                self._rows.append(row)
                if len(self._rows) == 1:
                    self._oldest_since = self._monotonic()
                if len(self._rows) in (1, self._batch_rows):
                    self._changed.notify_all()
        if tell:
            self._alert(f"{self._thread.name}: buffer full, rows are dropped")
        return taken

    def flush(self, timeout_secs: float = 10.0) -> bool:
        """Wait until what was handed over so far is stored or parked; False when time ran out."""
        with self._changed:
            goal = self.written + self.parked + len(self._rows)
            self._flushing += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(
                    lambda: self.written + self.parked >= goal, timeout_secs
                )
            finally:
                self._flushing -= 1

    def close(self, timeout_secs: float = 10.0) -> int:
        """Take no more rows, store what waits, stop; return the rows that could not be stored.

        A failing sink is tried until the time is over.
        """
        with self._changed:
            self._closing = True
            self._deadline = self._monotonic() + timeout_secs
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout_secs + 1.0)
        left = len(self._rows)
        if left:
            self._alert(f"{self._thread.name}: closed with {left} rows not stored")
        return left

    def run(self) -> None:
        """Write until closed; what the thread does, for who wants to run it otherwise."""
        while (batch := self._next_batch()) is not None:
            self._store(batch)

    def _next_batch(self) -> list[Row] | None:
        """Wait for a batch that is due; None when the writer is done."""
        with self._changed:
            while (pause := self._pause_secs()) > 0.0:
                self._wait(self._changed, pause)
            if self._finished():
                return None
            return [self._rows[at] for at in range(min(self._batch_rows, len(self._rows)))]

    def _pause_secs(self) -> float:
        """Seconds until there is something to do; 0 for now."""
        now = self._monotonic()
        if self._finished():
            return 0.0
        if self._retry_secs and now < self._retry_at:
            return min(self._retry_at, self._deadline) - now
        if not self._rows:
            return 3_600.0
        if len(self._rows) >= self._batch_rows or self._flushing or self._closing:
            return 0.0
        return self._oldest_since + self._max_delay - now

    def _finished(self) -> bool:
        return self._closing and (not self._rows or self._monotonic() >= self._deadline)

    def _store(self, batch: list[Row]) -> None:
        try:
            self._sink(batch)
        except REFUSALS:
            self._store_singly(batch)
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the rows are kept
            self._note_failure(error)
        else:
            self._done(len(batch), 0)

    def _store_singly(self, batch: list[Row]) -> None:
        """Store what the sink takes and park what it refuses; what else fails is tried again."""
        for row in batch:
            try:
                self._sink([row])
            except REFUSALS as error:
                if self._park is not None:
                    self._park(row, error)
                self._alert(f"{self._thread.name}: a row is parked: {error}")
                self._done(0, 1)
            except Exception as error:  # noqa: BLE001 - as above
                self._note_failure(error)
                return
            else:
                self._done(1, 0)

    def _done(self, written: int, parked: int) -> None:
        with self._changed:
            for _ in range(written + parked):
                self._rows.popleft()
            self.written += written
            self.parked += parked
            self._oldest_since = self._monotonic()
            recovered, self._retry_secs = self._retry_secs > 0.0, 0.0
            self._changed.notify_all()
        if recovered:
            self._alert(f"{self._thread.name}: sink is back")

    def _note_failure(self, error: Exception) -> None:
        with self._changed:
            self.failures += 1
            first = self._retry_secs == 0.0
            self._retry_secs = min(max(2 * self._retry_secs, self._retry_min), self._retry_max)
            self._retry_at = self._monotonic() + self._retry_secs
        if first:
            self._alert(f"{self._thread.name}: sink fails: {error}")
