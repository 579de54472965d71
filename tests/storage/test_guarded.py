"""Behind the guard a store may be away, hang or lie: the caller waits the budget at most."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from core.breaker import BreakerState
from core.clock import ManualClock
from core.config import CacheConfig
from core.errors import Unavailable
from storage.guarded import STORE, GuardedCache

CONFIG = CacheConfig(
    breaker_failures=3, breaker_open_ms=20.0, write_queue=8, store_ms=2.0, compress_bytes=64
)


class Store:
    """Does what `mode` says: well, fail, hang or break."""

    def __init__(self) -> None:
        self.mode = "well"
        self.held: dict[str, bytes] = {}
        self.ttl: dict[str, float] = {}
        self.gets = self.puts = self.pings = 0

    async def _do(self) -> None:
        if self.mode == "fail":
            raise Unavailable("away")
        if self.mode == "break":
            raise RuntimeError("a bug in the driver")
        if self.mode == "hang":
            await asyncio.Event().wait()

    async def get(self, key: str) -> bytes | None:
        self.gets += 1
        await self._do()
        return self.held.get(key)

    async def put(self, entries: Mapping[str, bytes], ttl_secs: float) -> None:
        self.puts += 1
        await self._do()
        self.held.update(entries)
        self.ttl.update(dict.fromkeys(entries, ttl_secs))

    async def ping(self) -> None:
        self.pings += 1
        await self._do()

    async def close(self) -> None:
        self.mode = "closed"


class Desk:
    def __init__(self, config: CacheConfig = CONFIG) -> None:
        self.store, self.clock = Store(), ManualClock(1)
        self.cache = GuardedCache(self.store, config, self.clock)

    @property
    def state(self) -> BreakerState:
        return self.cache.breaker.state


def run(body: Callable[[Desk], Awaitable[None]], *, started: bool = True) -> None:
    async def session() -> None:
        desk = Desk()
        if started:
            desk.cache.start()
        try:
            async with asyncio.timeout(20.0):
                await body(desk)
        finally:
            await desk.cache.close()
        assert desk.store.mode == "closed"

    asyncio.run(session())


def test_values_come_back_also_compressed() -> None:
    async def body(desk: Desk) -> None:
        values = {"a": b"1", "b": b"2" * 5_000, "c": b""}
        for key, value in values.items():
            desk.cache.put(key, value)
        await desk.cache.flush()
        assert [await desk.cache.get(key) for key in values] == list(values.values())
        assert len(desk.store.held["b"]) < 100
        assert await desk.cache.get("d") is None
        counts = desk.cache.counts
        assert (counts.written, counts.hits, counts.misses, counts.lost) == (3, 3, 1, 0)
        assert desk.cache.latencies.summaries()[STORE].samples == 4 + desk.store.puts

    run(body)


def test_each_value_is_kept_as_long_as_was_asked() -> None:
    async def body(desk: Desk) -> None:
        for number, secs in enumerate((0.0, 5.0, 5.0, 0.0)):
            desk.cache.put(f"k{number}", b"1", secs)
        desk.cache.put("k1", b"2", 5.0)
        await desk.cache.flush()
        usual = CONFIG.ttl_secs
        assert desk.store.ttl == {"k0": usual, "k1": 5.0, "k2": 5.0, "k3": usual}
        assert await desk.cache.get("k1") == b"2"
        assert desk.cache.counts.written == 5

    run(body)


def test_failures_open_it_and_then_the_store_is_left_alone() -> None:
    async def body(desk: Desk) -> None:
        for desk.store.mode in ("fail", "hang", "break"):
            assert await desk.cache.get("a") is None
        assert desk.state is BreakerState.OPEN
        for _ in range(50):
            assert await desk.cache.get("a") is None
        desk.cache.put("a", b"1")
        counts = desk.cache.counts
        assert (desk.store.gets, counts.timeouts, counts.errors) == (3, 1, 2)
        assert (counts.skipped, counts.lost) == (50, 1)

    run(body, started=False)


def test_it_closes_by_itself_when_the_store_is_back() -> None:
    async def body(desk: Desk) -> None:
        desk.store.mode = "fail"
        while desk.cache.breaker.is_closed:
            await desk.cache.get("a")
        while not desk.store.pings:  # a probe that fails keeps it open
            desk.clock.advance(10**9)
            await asyncio.sleep(0.001)
        desk.store.mode = "well"
        while not desk.cache.breaker.is_closed:
            desk.clock.advance(10**9)
            await asyncio.sleep(0.001)
        desk.cache.put("a", b"1")
        await desk.cache.flush()
        assert await desk.cache.get("a") == b"1"
        assert desk.cache.breaker.opened == desk.cache.breaker.closed == 1
        assert desk.store.gets == CONFIG.breaker_failures + 1, "no caller had to probe"

    run(body)


def test_writing_alone_opens_it_and_loses_only_what_waited() -> None:
    async def body(desk: Desk) -> None:
        desk.store.mode = "hang"
        put = 0
        while desk.cache.breaker.is_closed:
            desk.cache.put(f"k{put}", b"1")
            put += 1
            await asyncio.sleep(0)
        assert desk.cache.waiting == 0
        assert (desk.cache.counts.written, desk.cache.counts.lost) == (0, put)

    run(body)


def test_the_queue_is_bounded_and_what_waits_at_the_end_is_counted() -> None:
    async def body(desk: Desk) -> None:
        for number in range(20):
            desk.cache.put(f"k{number}", b"1")
        assert (desk.cache.waiting, desk.cache.counts.lost) == (8, 12)
        await desk.cache.close()
        assert desk.cache.counts.lost == 20

    run(body, started=False)


def test_what_the_store_made_up_is_no_value() -> None:
    async def body(desk: Desk) -> None:
        desk.store.held = {"a": b"\x07nonsense", "b": b"\x01\x00", "c": b""}
        for key in desk.store.held:
            assert await desk.cache.get(key) is None
        assert desk.cache.counts.damaged == 3
        assert desk.cache.breaker.is_closed

    run(body)


def test_a_caller_who_leaves_is_no_failure() -> None:
    async def body(desk: Desk) -> None:
        desk.store.mode = "hang"
        for _ in range(10):
            task = asyncio.create_task(desk.cache.get("a"))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert desk.cache.breaker.is_closed
        assert desk.cache.counts.timeouts == 0

    run(body)
