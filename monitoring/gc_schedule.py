"""When Python looks for unreachable objects: while nothing else is to be done.

What the start made is put out of the collector's sight, and its thresholds are set so high that it
does not start by itself in the middle of a walk. Instead the youngest objects are collected
whenever nothing has come in for a while, and all of them now and then. Every pause is measured,
also those that Python or somebody else began.
"""

import asyncio
import gc
from collections.abc import Callable
from time import perf_counter_ns

from core.config import MemoryConfig
from monitoring.latency import StageLatencies

THRESHOLDS = (100_000, 50, 100)
IDLE, BUSY = "gc_idle", "gc_busy"
FULL_EVERY = 6


class GcSchedule:
    """Collects in idle windows.

    Parameters
    ----------
    config : MemoryConfig
    last_active_ns : callable
        When something last came in, by `time.perf_counter_ns`.

    Attributes
    ----------
    latencies : StageLatencies
        Pauses: ``gc_idle`` are those of the schedule, ``gc_busy`` all others.
    skipped : int
        Times a collection was due and no window came; the thresholds are what is left then.
    """

    def __init__(self, config: MemoryConfig, last_active_ns: Callable[[], int]) -> None:
        self._idle_ns = round(config.gc_idle_ms * 1e6)
        self._every_secs = config.gc_secs
        self._last_active_ns = last_active_ns
        self._began_ns = 0
        self._ours = False
        self._rounds = 0
        self.latencies = StageLatencies((IDLE, BUSY))
        self.skipped = 0
        self._before = gc.get_threshold()
        self.started = False

    def start(self) -> None:
        """Freeze what is there and raise the thresholds; undone by `stop`."""
        self.started = True
        gc.collect()
        gc.freeze()
        gc.callbacks.append(self._measure)
        gc.set_threshold(*THRESHOLDS)

    def stop(self) -> None:
        """Give the collector back as it was."""
        if self.started:
            self.started = False
            gc.callbacks.remove(self._measure)
            gc.set_threshold(*self._before)
            gc.unfreeze()

    async def run(self) -> None:
        """Collect in idle windows, once started, until cancelled."""
        while True:
            await asyncio.sleep(self._every_secs)
            if not self.started:
                continue
            if await self._window():
                self.collect()
            else:
                self.skipped += 1

    def is_idle(self) -> bool:
        """Say whether nothing has come in for the configured time."""
        return perf_counter_ns() - self._last_active_ns() >= self._idle_ns

    def collect(self) -> None:
        """Collect now: the young objects, every few rounds all that are not frozen.

        What is left after the first of those was made late in the start, such as the routes, and
        stays; it is frozen too. Looking at it each time had cost 11 ms of processor time.
        """
        self._rounds += 1
        self._ours = True
        try:
            gc.collect(2 if self._rounds % FULL_EVERY == 0 else 1)
        finally:
            self._ours = False
        if self._rounds == FULL_EVERY:
            gc.freeze()

    async def _window(self) -> bool:
        """Wait for an idle window, at most as long as the time between two collections."""
        step = max(self._idle_ns / 4e9, 0.001)
        for _ in range(max(1, round(self._every_secs / step))):
            if self.is_idle():
                return True
            await asyncio.sleep(step)
        return False

    def _measure(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began_ns = perf_counter_ns()
        else:
            stage = IDLE if self._ours else BUSY
            self.latencies.record(stage, perf_counter_ns() - self._began_ns)
