"""Rows of histories that callers send: from the caches, or computed on a pool under a deadline.

A computation that misses its deadline goes on behind and fills the caches for the next who asks;
this caller gets the last good row of the symbol, marked stale. Callers who ask for the same history
at the same time share one computation.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from enum import StrEnum
from functools import partial
from time import perf_counter_ns
from typing import NamedTuple

import numpy as np

from core.clock import Clock
from core.columns import QuoteColumns
from core.config import CacheConfig
from core.errors import BadInput, Unavailable
from core.types import Cadence
from features import batch
from features.batch import FeatureRows
from features.cache import FIRST, SECOND, FeatureRow, RowCache, history_key
from features.spec import FeatureSpec
from monitoring.latency import LatencySummary, StageLatencies
from storage.guarded import STORE

COMPUTE = "feature_compute"
BUDGETS_NS = {FIRST: 1_000_000, SECOND: 5_000_000, COMPUTE: 25_000_000, STORE: 2_000_000}

Compute = Callable[[FeatureSpec, QuoteColumns, float], FeatureRows]


class Source(StrEnum):
    """Where a row came from."""

    LIVE = "live"
    SHARED = "shared"
    FIRST_LEVEL = "l1"
    SECOND_LEVEL = "l2"
    COMPUTED = "computed"
    LAST_GOOD = "last_good"


class Found(NamedTuple):
    """A row; when `stale` it is not of what was asked for, and nothing may be decided on it."""

    row: FeatureRow
    source: Source
    stale: bool = False


class _Ask(NamedTuple):
    """What a caller wants."""

    symbol: str
    spec: FeatureSpec
    pip: float
    columns: QuoteColumns
    window: int


class OnDemandRows:
    """Newest rows of histories; everything but the computation runs on the event loop.

    Parameters
    ----------
    cache : RowCache
    config : CacheConfig
    clock : Clock
        Wall time of the rows.
    pool : Executor
        Where rows are computed; threads do, since the kernels let go of the interpreter's lock.
    compute : callable
        `features.batch.compute`, or what a test gives.

    Attributes
    ----------
    computed, shared : int
        Computations that were begun, and callers who waited for one of somebody else.
    late, crowded : int
        Callers whose computation missed the deadline, or was not begun since too many wait.
    stale : int
        Callers who were given the last good row.
    """

    def __init__(
        self,
        cache: RowCache,
        config: CacheConfig,
        clock: Clock,
        pool: Executor,
        compute: Compute = batch.compute,
    ) -> None:
        self.cache = cache
        self._deadline_secs = config.compute_ms / 1e3
        self._most = config.compute_threads + config.compute_queue
        self._clock, self._pool, self._compute = clock, pool, compute
        self._running: dict[str, asyncio.Future[FeatureRow]] = {}
        # By symbol, spec, and whether it is a row (1) or a window of rows (2).
        self._last_good: dict[tuple[str, str, int], FeatureRow] = {}
        self.latencies = StageLatencies((COMPUTE,))
        self.computed = self.shared = self.late = self.crowded = self.stale = 0

    @property
    def running(self) -> int:
        """Computations that are under way or wait for a thread."""
        return len(self._running)

    def summaries(self) -> dict[str, LatencySummary]:
        """Summaries of all stages between a request for a row and the row."""
        return {
            name: summary for part in self._parts() for name, summary in part.summaries().items()
        }

    def over_budget(self) -> dict[str, tuple[float, int]]:
        """Budget of each stage in seconds, and how often it took longer."""
        return {
            stage: (limit / 1e9, part.above(stage, limit))
            for part in self._parts()
            for stage, limit in BUDGETS_NS.items()
            if stage in part.stages
        }

    def _parts(self) -> tuple[StageLatencies, ...]:
        return self.cache.latencies, self.cache.second.latencies, self.latencies

    async def newest(
        self, symbol: str, spec: FeatureSpec, pip: float, columns: QuoteColumns, window: int = 1
    ) -> Found:
        """Find or make the newest row of a history, or a window of its newest rows.

        Parameters
        ----------
        columns : QuoteColumns
            Sound quotes of `symbol` in time order; see `features.history`.
        window : int
            Rows that the model reads at a time.

        Raises
        ------
        BadInput
            When the history is too short for a warm row, or the spec needs other tapes as well.
        Unavailable
            When the deadline was missed and there is no last good row.
        """
        refuse_hopeless(spec, columns)
        key = history_key(spec, symbol, pip, columns, window)
        if row := self.cache.find(key):
            return self._good(symbol, row, Source.FIRST_LEVEL)
        if key not in self._running and (row := await self.cache.fetch(key, spec, window)):
            return self._good(symbol, row, Source.SECOND_LEVEL)
        ask = _Ask(symbol, spec, pip, columns, window)
        work = self._begin(key, ask)
        if work is not None:
            await asyncio.wait({work}, timeout=self._deadline_secs)
            if work.done():
                return Found(work.result(), Source.COMPUTED)
            self.late += 1
        return self._fall_back(ask)

    def _good(self, symbol: str, row: FeatureRow, source: Source) -> Found:
        self._last_good[symbol, row.fingerprint, row.values.ndim] = row
        return Found(row, source)

    def _begin(self, key: str, ask: _Ask) -> asyncio.Future[FeatureRow] | None:
        """Return the computation of the key, also one under way; None when too many wait."""
        running = self._running.get(key)
        if running is not None:
            self.shared += 1
            return running
        if len(self._running) >= self._most:
            self.crowded += 1
            return None
        self.computed += 1
        work = asyncio.get_running_loop().run_in_executor(self._pool, self._make, ask)
        self._running[key] = work
        work.add_done_callback(partial(self._made, key, ask.symbol, perf_counter_ns()))
        return work

    def _make(self, ask: _Ask) -> FeatureRow:
        """Compute, on a thread of the pool."""
        spec, columns = ask.spec, ask.columns
        made = self._compute(spec, columns, ask.pip)
        if made.late or made.malformed:
            raise BadInput(f"history: {made.late + made.malformed} quotes lie in a closed bar")
        if not made.warm[-ask.window :].all() or len(made) < ask.window:
            raise _too_short(spec, len(columns), ask.window)
        values = made.rows[-1].copy() if ask.window == 1 else made.rows[-ask.window :].copy()
        if not np.isfinite(values).all():
            raise BadInput("history: its newest feature row is not finite")
        values.flags.writeable = False
        ts = int(columns.ts[-1])
        return FeatureRow(values, spec.fingerprint, 0, ts, self._clock.now_ns())

    def _made(self, key: str, symbol: str, started: int, work: asyncio.Future[FeatureRow]) -> None:
        del self._running[key]
        self.latencies.record(COMPUTE, perf_counter_ns() - started)
        if work.cancelled() or work.exception() is not None:
            return  # whoever waits for it is told
        row = work.result()
        self.cache.put(key, row)
        self._good(symbol, row, Source.COMPUTED)

    def _fall_back(self, ask: _Ask) -> Found:
        row = self._last_good.get((ask.symbol, ask.spec.fingerprint, 1 + (ask.window > 1)))
        if row is None:
            raise Unavailable(f"{ask.symbol}: the features were not ready in time, try again")
        self.stale += 1
        return Found(row, Source.LAST_GOOD, stale=True)


def refuse_hopeless(spec: FeatureSpec, columns: QuoteColumns) -> None:
    """Refuse what cannot give a row, before anything is computed; raises BadInput."""
    if spec.needs_strength:
        raise BadInput(f"spec {spec.name!r} needs the tapes of other instruments, not one history")
    if len(columns) < (spec.warmup if spec.cadence is Cadence.TICK else 2):
        raise _too_short(spec, len(columns))


def _too_short(spec: FeatureSpec, quotes: int, window: int = 1) -> BadInput:
    unit = "quotes" if spec.cadence is Cadence.TICK else f"closed bars of {spec.bar_ns / 1e9:g} s"
    minutes = f" and {spec.warmup_ns / 60e9:g} minutes of quotes" if spec.warmup_ns else ""
    more = f", and {window - 1} rows more for the window" if window > 1 else ""
    return BadInput(
        f"history: {quotes} quotes are too few to warm up, {spec.name!r} needs {spec.warmup} "
        f"{unit}{minutes}{more}"
    )
