"""A sink that a failing store costs nothing but time: what it does not take waits on the disk.

Put between `storage.batch_writer.BatchWriter` and a store. While the store answers, batches go
straight to it. From the first failure on they go to the disk, and a thread of its own stores them
in order; when none waits any more, batches go straight again.
"""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from core.errors import BadInput, SpillDamaged
from storage.spill import SpillFolder

Row = TypeVar("Row")
REPLAY_ROWS = 4_000


def _silent(_message: str) -> None:
    """Tell nobody."""


class SpillingSink(Generic[Row]):
    """Stores batches now or later, in order.

    Parameters
    ----------
    sink : callable
        Stores a batch whole or raises; it may see a batch again after it raised. BadInput means
        that it will never take the batch: that is set aside, told, and the next one tried.
    spill : SpillFolder
        What waits.
    retry_min_secs, retry_max_secs : float
        Pause between attempts while the store is away: doubled from the first to the second.
    alert : callable
        Told when the store begins to fail, when all is stored again, and of refused batches.

    Attributes
    ----------
    stored, spilled, refused : int
        Rows stored, rows that went by the disk, and rows set aside.
    """

    def __init__(
        self,
        sink: Callable[[Sequence[Row]], object],
        spill: SpillFolder[Row],
        *,
        retry_min_secs: float = 0.1,
        retry_max_secs: float = 2.0,
        alert: Callable[[str], None] = _silent,
        name: str = "spill",
    ) -> None:
        self._sink, self._spill, self._alert, self._name = sink, spill, alert, name
        self._retry_min, self._retry_max = retry_min_secs, retry_max_secs
        self._changed = threading.Condition()
        self._closing = False
        self.stored = self.spilled = self.refused = 0
        self._thread = threading.Thread(target=self._replay_all, name=name, daemon=True)
        self._thread.start()

    def __call__(self, batch: Sequence[Row]) -> None:
        """Store a batch, or put it where it will be stored from.

        Raises
        ------
        Unavailable
            When neither the store nor the disk takes it.
        """
        if not len(self._spill):  # only this thread makes it longer
            try:
                self._sink(batch)
            except BadInput as error:
                self.refused += len(batch)
                self._tell_refused(self._spill.refuse(batch), error)
                return
            except Exception as error:  # noqa: BLE001 - whatever a store raises, the rows are kept
                self._alert(f"{self._name}: store fails, rows wait on the disk: {error}")
            else:
                self.stored += len(batch)
                return
        with self._changed:
            self._spill.put(batch)
            self.spilled += len(batch)
            self._changed.notify_all()

    def __len__(self) -> int:
        """Rows that wait on the disk."""
        return self._spill.rows

    def drained(self, timeout_secs: float) -> bool:
        """Wait until nothing waits on the disk; False when time ran out."""
        with self._changed:
            return self._changed.wait_for(lambda: not len(self._spill), timeout_secs)

    def close(self, timeout_secs: float = 5.0) -> int:
        """Stop; return the rows that wait for the next process."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_secs)
        return self._spill.rows

    def _replay_all(self) -> None:
        pause, most_rows = self._retry_min, 1
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or len(self._spill))
                if self._closing:
                    return
            if self._replay(most_rows):
                pause, most_rows = self._retry_min, REPLAY_ROWS
                if not len(self._spill):
                    self._alert(f"{self._name}: all rows are stored again")
                continue
            most_rows = 1  # a store that is away is asked with little
            with self._changed:
                self._changed.wait_for(lambda: self._closing, pause)
            pause = min(2 * pause, self._retry_max)

    def _replay(self, most_rows: int) -> bool:
        """Store what waits longest; False when the store does not take it now."""
        for most in dict.fromkeys((most_rows, 1)):  # one batch alone when several are refused
            try:
                with self._changed:
                    paths, rows = self._spill.oldest(most)
                self._sink(rows)
            except (BadInput, SpillDamaged) as error:
                if most == 1 or isinstance(error, SpillDamaged):
                    self._refuse_first(error)
                    return True
            except Exception:  # noqa: BLE001 - whatever a store raises, the rows are kept
                return False
            else:
                self._note_stored(paths, len(rows))
                return True
        return False

    def _note_stored(self, paths: Sequence[Path], rows: int) -> None:
        with self._changed:
            self._spill.done(paths)
            self.stored += rows
            self._changed.notify_all()

    def _refuse_first(self, error: Exception) -> None:
        with self._changed:
            before = self._spill.rows
            kept = self._spill.refuse_first()
            self.refused += before - self._spill.rows
            self._changed.notify_all()
        self._tell_refused(kept, error)

    def _tell_refused(self, kept: Path, error: Exception) -> None:
        self._alert(f"{self._name}: a batch is refused and kept in {kept}: {error}")
