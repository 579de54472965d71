"""Rows on demand: the same bits as everywhere, shared, under a deadline, and stale when marked."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core.clock import ManualClock
from core.columns import QuoteColumns
from core.config import CacheConfig
from core.errors import BadInput, Unavailable
from features import batch
from features.batch import FeatureRows, compute
from features.cache import RowCache
from features.on_demand import COMPUTE, OnDemandRows, Source
from features.spec import FeatureSpec, spec_named
from storage.guarded import GuardedCache
from storage.memory import MemoryCache

SPEC, PIP = spec_named("core-tick"), 1e-4
PATIENT = CacheConfig(compute_ms=60_000.0, store_ms=1_000.0, compute_threads=2, compute_queue=1)
HASTY = replace(PATIENT, compute_ms=1.0)


class Gate:
    """A computation that waits until it is let go on, unless the gate stands open."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.calls = 0

    def __call__(self, spec: FeatureSpec, columns: QuoteColumns, pip: float) -> FeatureRows:
        self.calls += 1
        assert self.open.wait(30.0)
        return compute(spec, columns, pip)


Body = Callable[[OnDemandRows, Gate], Awaitable[None]]


def run(body: Body, config: CacheConfig = PATIENT) -> None:
    async def session() -> None:
        clock, gate = ManualClock(1_000), Gate()
        guarded = GuardedCache(MemoryCache(1_000_000, clock), config, clock)
        guarded.start()
        with ThreadPoolExecutor(config.compute_threads) as pool:
            rows = OnDemandRows(
                RowCache(config.rows, guarded, clock), config, clock, pool, compute=gate
            )
            try:
                async with asyncio.timeout(60.0):
                    await body(rows, gate)
            finally:
                gate.open.set()
        await guarded.close()

    asyncio.run(session())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("name", ["core-tick", "full-tick", "full-bar"])
def test_a_row_is_that_of_the_batch_to_the_bit_from_every_level(
    name: str, make_ticks: Any, make_minutes: Any
) -> None:
    spec = spec_named(name)
    columns = make_ticks(4_000) if name.endswith("tick") else make_minutes(400)
    wanted = compute(spec, columns, PIP).rows[-1]

    async def body(rows: OnDemandRows, gate: Gate) -> None:
        gate.open.set()
        made = await rows.newest("EURUSD", spec, PIP, columns)
        near = await rows.newest("EURUSD", spec, PIP, columns)
        await rows.cache.second.flush()
        clock = ManualClock()
        with ThreadPoolExecutor(1) as pool:
            other = OnDemandRows(
                RowCache(10, rows.cache.second, clock), PATIENT, clock, pool, compute=gate
            )
            far = await other.newest("EURUSD", spec, PIP, columns)
        found = [made, near, far]
        assert [one.source for one in found] == ["computed", "l1", "l2"]
        for one in found:
            assert one.row.values.tobytes() == wanted.tobytes()
            assert one.row.ts_event == columns.ts[-1]
            assert not one.stale
        assert gate.calls == 1
        assert rows.latencies.summaries()[COMPUTE].samples == 1

    run(body)


def test_a_window_is_the_newest_rows_of_the_batch(make_ticks: Any) -> None:
    columns = make_ticks(400)
    wanted = compute(SPEC, columns, PIP).rows

    async def body(rows: OnDemandRows, gate: Gate) -> None:
        gate.open.set()
        one = await rows.newest("EURUSD", SPEC, PIP, columns)
        made = await rows.newest("EURUSD", SPEC, PIP, columns, 8)
        near = await rows.newest("EURUSD", SPEC, PIP, columns, 8)
        await rows.cache.second.flush()
        clock = ManualClock()
        with ThreadPoolExecutor(1) as pool:
            second = rows.cache.second
            other = OnDemandRows(RowCache(10, second, clock), PATIENT, clock, pool, gate)
            far = await other.newest("EURUSD", SPEC, PIP, columns, 8)
        assert [found.source for found in (made, near, far)] == ["computed", "l1", "l2"]
        for found in (made, near, far):
            assert found.row.values.shape == (8, SPEC.n_features)
            assert found.row.values.tobytes() == wanted[-8:].tobytes()
        assert one.row.values.tobytes() == wanted[-1].tobytes()
        with pytest.raises(BadInput, match=r"199 rows more for the window"):
            await rows.newest("EURUSD", SPEC, PIP, columns, 200)

    run(body)


def test_a_missed_deadline_gives_the_last_good_row_marked_stale(make_ticks: Any) -> None:
    old, new = make_ticks(400, seed=1), make_ticks(400, seed=2)

    async def body(rows: OnDemandRows, gate: Gate) -> None:
        with pytest.raises(Unavailable, match="not ready in time"):
            await rows.newest("EURUSD", SPEC, PIP, old)
        gate.open.set()
        await until(lambda: not rows.running)
        gate.open.clear()
        late = await rows.newest("EURUSD", SPEC, PIP, new)
        assert (late.source, late.stale) == (Source.LAST_GOOD, True)
        assert late.row.values.tobytes() == compute(SPEC, old, PIP).rows[-1].tobytes()
        with pytest.raises(Unavailable):
            await rows.newest("GBPUSD", SPEC, PIP, new)
        with pytest.raises(Unavailable):
            await rows.newest("EURUSD", spec_named("full-bar"), PIP, make_ticks(400))
        gate.open.set()
        await until(lambda: not rows.running)
        again = await rows.newest("EURUSD", SPEC, PIP, new)
        assert (again.source, again.stale) == (Source.FIRST_LEVEL, False)
        assert (rows.late, rows.stale) == (4, 1)

    run(body, HASTY)


def test_callers_of_one_history_share_its_computation(make_ticks: Any) -> None:
    columns = make_ticks(400)

    async def body(rows: OnDemandRows, gate: Gate) -> None:
        asks = [asyncio.create_task(rows.newest("EURUSD", SPEC, PIP, columns)) for _ in range(10)]
        await until(lambda: gate.calls == 1 and rows.shared == 9)
        gate.open.set()
        found = await asyncio.gather(*asks)
        assert len({id(one.row) for one in found}) == 1
        assert (gate.calls, rows.computed) == (1, 1)

    run(body)


def test_a_crowd_is_turned_to_the_last_good_row(make_ticks: Any) -> None:
    async def body(rows: OnDemandRows, gate: Gate) -> None:
        gate.open.set()
        await rows.newest("EURUSD", SPEC, PIP, make_ticks(400))
        gate.open.clear()
        asks = [
            asyncio.create_task(rows.newest("EURUSD", SPEC, PIP, make_ticks(400, seed=k)))
            for k in range(1, 9)
        ]
        await until(lambda: rows.crowded == 5)
        gate.open.set()
        found = await asyncio.gather(*asks)
        assert sum(one.stale for one in found) == 5
        assert rows.computed == 4

    run(body)


def test_a_caller_who_leaves_takes_nothing_from_the_others(make_ticks: Any) -> None:
    columns = make_ticks(400)

    async def body(rows: OnDemandRows, gate: Gate) -> None:
        leaving = asyncio.create_task(rows.newest("EURUSD", SPEC, PIP, columns))
        staying = asyncio.create_task(rows.newest("EURUSD", SPEC, PIP, columns))
        await until(lambda: rows.shared == 1)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        gate.open.set()
        assert (await staying).source is Source.COMPUTED

    run(body)


def test_a_history_that_gives_no_row_is_refused_by_name(make_ticks: Any) -> None:
    async def body(rows: OnDemandRows, gate: Gate) -> None:
        gate.open.set()
        with pytest.raises(BadInput, match=rf"100 quotes are too few to warm up.*{SPEC.warmup}"):
            await rows.newest("EURUSD", SPEC, PIP, make_ticks(100))
        assert gate.calls == 0
        with pytest.raises(BadInput, match=r"too few to warm up.*45 minutes"):
            await rows.newest("EURUSD", spec_named("full-tick"), PIP, make_ticks(290))
        with pytest.raises(BadInput, match="closed bars of 60 s"):
            await rows.newest("EURUSD", spec_named("core-bar"), PIP, make_ticks(290))
        with pytest.raises(BadInput, match="tapes of other instruments"):
            await rows.newest("EURUSD", spec_named("cross-tick"), PIP, make_ticks(5_000))
        assert not rows.running
        assert len(rows.cache) == 0

    run(body)


def test_a_row_that_is_not_finite_is_refused(make_ticks: Any) -> None:
    columns = make_ticks(400)

    def broken(spec: FeatureSpec, columns: QuoteColumns, pip: float) -> FeatureRows:
        rows = batch.compute(spec, columns, pip)
        rows.rows[-1][3] = np.inf
        return rows

    async def body(rows: OnDemandRows, gate: Gate) -> None:
        rows._compute = broken
        with pytest.raises(BadInput, match="not finite"):
            await rows.newest("EURUSD", SPEC, PIP, columns)

    run(body)
