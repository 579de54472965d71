"""What stands before every cache store: a time budget, a breaker, and write-behind.

Reading costs a caller the budget at most, and nothing at all while the breaker is open. Writing
costs nothing: values wait in a bounded queue for a task of its own, and are dropped when it is full
or the store is away. The same task probes the store after a failure, so no caller waits for that.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import TypeVar

from core.breaker import Breaker, BreakerState
from core.clock import Clock
from core.config import CacheConfig
from core.errors import Unavailable
from monitoring.latency import StageLatencies
from storage.cache import CacheStore
from storage.packing import pack, unpack

log = logging.getLogger(__name__)

STORE = "cache_store"
BATCH = 32
Answer = TypeVar("Answer")


@dataclass(slots=True)
class GuardCounts:
    """Totals since the start.

    Attributes
    ----------
    hits, misses : int
        Answers of the store.
    timeouts, errors : int
        Calls that took longer than the budget, or that the store failed. Probes are among them.
    skipped : int
        Reads not tried because the breaker was not closed.
    damaged : int
        Values that were not what a cache of ours had put.
    written, lost : int
        Values that the store took, and that were dropped on the way to it.
    """

    hits: int = 0
    misses: int = 0
    timeouts: int = 0
    errors: int = 0
    skipped: int = 0
    damaged: int = 0
    written: int = 0
    lost: int = 0


class GuardedCache:
    """A store behind its budget, breaker and queue; all of it on one event loop.

    Parameters
    ----------
    store : CacheStore
    config : CacheConfig
    clock : Clock
        For the breaker.

    Attributes
    ----------
    breaker : Breaker
    counts : GuardCounts
    latencies : StageLatencies
        One stage, `cache_store`: calls to the store, whichever way they end.
    """

    def __init__(self, store: CacheStore, config: CacheConfig, clock: Clock) -> None:
        self._store = store
        self._budget_secs = config.store_ms / 1e3
        self._open_secs = config.breaker_open_ms / 1e3
        self._compress_bytes = config.compress_bytes
        self._ttl_secs = config.ttl_secs
        self._capacity = config.write_queue
        self._queue: deque[tuple[str, bytes, float]] = deque()
        self._writing = self._told = 0
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.counts = GuardCounts()
        self.latencies = StageLatencies((STORE,))
        self.breaker = Breaker(
            config.breaker_failures, int(config.breaker_open_ms * 1e6), clock, self._changed
        )

    @property
    def waiting(self) -> int:
        """Values that are not written yet."""
        return len(self._queue) + self._writing

    async def get(self, key: str) -> bytes | None:
        """Value of `key`; None when there is none, or the store cannot say within the budget."""
        if not self.breaker.is_closed:
            self.counts.skipped += 1
            return None
        ticket = self.breaker.admit()
        try:
            packed = await self._call(ticket, self._store.get(key))
            value = None if packed is None else unpack(packed)
        except Unavailable:
            return None
        except ValueError:
            self.counts.damaged += 1
            return None
        if value is None:
            self.counts.misses += 1
        else:
            self.counts.hits += 1
        return value

    def put(self, key: str, value: bytes, ttl_secs: float = 0.0) -> None:
        """Have a value written soon; it is dropped when the queue is full or the store is away.

        It is kept for `ttl_secs`, or as long as the settings say.
        """
        if len(self._queue) >= self._capacity or not self.breaker.is_closed:
            self.counts.lost += 1
            return
        self._queue.append((key, value, ttl_secs or self._ttl_secs))
        self._work.set()

    def start(self) -> None:
        """Begin to write and to probe."""
        self._task = asyncio.create_task(self._run(), name="cache writer")

    async def close(self) -> None:
        """Stop; what still waits is dropped, for it can be made again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.counts.lost += len(self._queue)
        self._queue.clear()
        await self._store.close()

    async def flush(self) -> None:
        """Return when nothing waits to be written."""
        while self.waiting and self.breaker.is_closed:
            await asyncio.sleep(0.001)

    async def _run(self) -> None:
        while True:
            try:
                await self._turn()
            except Exception as error:
                log.error("cache writer: %s", error, exc_info=error)
                await asyncio.sleep(self._open_secs)

    async def _turn(self) -> None:
        """Probe a store that is away, or write what waits."""
        if not self.breaker.is_closed:
            await asyncio.sleep(self._open_secs / 4)
            await self._probe()
            return
        await self._work.wait()
        if self._queue:
            await self._write()
        else:
            self._work.clear()

    async def _write(self) -> None:
        entries, ttl_secs, size = self._next_batch()
        self._writing = size
        try:
            await self._call(self.breaker.admit(), self._store.put(entries, ttl_secs))
        except Unavailable:
            self.counts.lost += size
        else:
            self.counts.written += size
        finally:
            self._writing = 0

    def _next_batch(self) -> tuple[dict[str, bytes], float, int]:
        """Take what waits and is kept equally long; how many puts that were, too."""
        ttl_secs, entries, size = self._queue[0][2], dict[str, bytes](), 0
        while size < BATCH and self._queue and self._queue[0][2] == ttl_secs:
            key, value, _ = self._queue.popleft()
            entries[key] = pack(value, self._compress_bytes)
            size += 1
        return entries, ttl_secs, size

    async def _probe(self) -> None:
        """Ask; the first call may have to connect, the second must keep the budget."""
        ticket = self.breaker.admit()
        if not ticket:
            return
        try:
            await self._timed(ticket, self._store.ping(), self._open_secs)
            await self._call(ticket, self._store.ping())
        except Unavailable:
            return

    async def _call(self, ticket: int, call: Awaitable[Answer]) -> Answer:
        """Wait for the store, for as long as the budget is; raises Unavailable."""
        started = perf_counter_ns()
        try:
            answer = await self._timed(ticket, call, self._budget_secs)
        finally:
            self.latencies.record(STORE, perf_counter_ns() - started)
        self.breaker.succeed(ticket)
        return answer

    async def _timed(self, ticket: int, call: Awaitable[Answer], secs: float) -> Answer:
        try:
            async with asyncio.timeout(secs):
                return await call
        except TimeoutError as error:
            self.counts.timeouts += 1
            reason: Exception = error
        except Exception as error:  # noqa: BLE001 - whatever a store raises, we go on without it
            self.counts.errors += 1
            reason = error
        self.breaker.fail(ticket)
        raise Unavailable(f"cache store: {reason or 'no answer in time'}") from reason

    def _changed(self, state: BreakerState) -> None:
        """Tell once, drop what waits, and wake the task: it is the one that probes."""
        if state is BreakerState.CLOSED:
            log.warning("cache store is back")
        elif state is BreakerState.OPEN and self.breaker.opened != self._told:
            self._told = self.breaker.opened
            log.warning("cache store is left alone: it failed or was too slow several times")
        if state is BreakerState.OPEN:
            self.counts.lost += len(self._queue)
            self._queue.clear()
            self._work.set()
