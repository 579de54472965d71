"""Collections happen in idle windows, all pauses are measured, and the collector is given back."""

import asyncio
import gc
from collections.abc import Iterator
from time import perf_counter_ns

import pytest

from core.config import MemoryConfig
from monitoring.gc_schedule import BUSY, FULL_EVERY, IDLE, THRESHOLDS, GcSchedule

CONFIG = MemoryConfig(gc_idle_ms=1.0, gc_secs=0.002)


@pytest.fixture
def schedule() -> Iterator[GcSchedule]:
    made = GcSchedule(CONFIG, lambda: 0)
    made.start()
    yield made
    made.stop()


def test_start_freezes_and_raises_the_thresholds_and_stop_undoes_it() -> None:
    before, callbacks = gc.get_threshold(), list(gc.callbacks)
    made = GcSchedule(CONFIG, lambda: 0)
    made.start()
    assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() > 1_000
    made.stop()
    made.stop()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
    assert gc.callbacks == callbacks


def test_pauses_of_the_schedule_and_of_others_are_told_apart(schedule: GcSchedule) -> None:
    schedule.collect()
    gc.collect()
    found = schedule.latencies.summaries()
    assert (found[IDLE].samples, found[BUSY].samples) == (1, 1)
    assert found[IDLE].max > 0


def test_every_few_rounds_all_generations_are_looked_at(schedule: GcSchedule) -> None:
    def full() -> int:
        return gc.get_stats()[2]["collections"]

    before = full()
    for _ in range(2 * FULL_EVERY):
        schedule.collect()
    assert full() - before == 2


def test_what_the_start_left_behind_is_frozen_once(schedule: GcSchedule) -> None:
    late: list[object] = [[] for _ in range(1_000)]
    for _ in range(FULL_EVERY - 1):
        schedule.collect()
    before = gc.get_freeze_count()
    schedule.collect()
    assert gc.get_freeze_count() - before >= len(late)
    young = [[] for _ in range(1_000)]
    settled = gc.get_freeze_count()
    for _ in range(2 * FULL_EVERY):
        schedule.collect()
    assert gc.get_freeze_count() <= settled
    assert any(thing is young for thing in gc.get_objects())


def test_it_collects_while_idle_only() -> None:
    active = [True]
    made = GcSchedule(CONFIG, lambda: perf_counter_ns() if active[0] else 0)

    async def work() -> None:
        task = asyncio.create_task(made.run())
        async with asyncio.timeout(20):
            await asyncio.sleep(0.02)
            assert made.skipped == 0  # not started: nothing is due
            made.start()
            while made.skipped < 2:
                await asyncio.sleep(0.001)
            assert IDLE not in made.latencies.summaries()
            active[0] = False
            while IDLE not in made.latencies.summaries():
                await asyncio.sleep(0.001)
        task.cancel()

    try:
        asyncio.run(work())
    finally:
        made.stop()
