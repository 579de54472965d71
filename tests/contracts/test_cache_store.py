"""What every cache store does; a new one is one more name in `STORES`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import Unavailable
from storage.cache import CacheStore
from storage.memory import MemoryCache
from storage.redis import RedisCache
from tests.redis_server import RedisServer

Opens = Callable[[], CacheStore]
STORES = ["memory", pytest.param("redis", marks=pytest.mark.servers)]
TTL = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    running = RedisServer(tmp_path_factory.mktemp("redis"))
    running.start()
    yield running
    running.kill()


@pytest.fixture(params=STORES)
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Opens:
    if request.param == "memory":
        return lambda: MemoryCache(1_000_000, SystemClock())
    url = request.getfixturevalue("server").url
    return lambda: RedisCache(url)


def run(opens: Opens, body: Callable[[CacheStore], Awaitable[None]]) -> None:
    async def session() -> None:
        store = opens()
        try:
            await body(store)
        finally:
            await store.close()

    asyncio.run(session())


def test_what_was_put_comes_back_whole(opens: Opens) -> None:
    async def body(store: CacheStore) -> None:
        values = {"a:1": b"", "a:2": bytes(range(256)), "a:3": b"x" * 100_000, "ä": b"\r\n$-1\r\n"}
        await store.put(values, TTL)
        for key, value in values.items():
            assert await store.get(key) == value
        assert await store.get("a:4") is None

    run(opens, body)


def test_the_last_put_wins(opens: Opens) -> None:
    async def body(store: CacheStore) -> None:
        await store.put({"b": b"1"}, TTL)
        await store.put({"b": b"22"}, TTL)
        assert await store.get("b") == b"22"

    run(opens, body)


def test_nothing_to_put_is_nothing(opens: Opens) -> None:
    async def body(store: CacheStore) -> None:
        await store.put({}, TTL)
        await store.ping()

    run(opens, body)


def test_a_value_is_gone_after_its_time(opens: Opens) -> None:
    async def body(store: CacheStore) -> None:
        await store.put({"c": b"1"}, 0.02)
        async with asyncio.timeout(10.0):
            while await store.get("c") is not None:
                await asyncio.sleep(0.005)

    run(opens, body)


def test_many_callers_at_once_get_their_own(opens: Opens) -> None:
    async def body(store: CacheStore) -> None:
        values = {f"d:{i}": str(i).encode() * 50 for i in range(300)}
        await store.put(values, TTL)
        got = await asyncio.gather(*(store.get(key) for key in values))
        assert got == list(values.values())

    run(opens, body)


def test_a_caller_who_leaves_does_not_mix_up_the_others(opens: Opens) -> None:
    async def body(store: CacheStore) -> None:
        await store.put({f"e:{i}": str(i).encode() for i in range(40)}, TTL)
        for turn in range(40):
            leaving = asyncio.create_task(store.get(f"e:{turn}"))
            for _ in range(turn % 5):
                await asyncio.sleep(0)
            leaving.cancel()
            other = (turn + 7) % 40
            assert await store.get(f"e:{other}") == str(other).encode()
            await asyncio.gather(leaving, return_exceptions=True)

    run(opens, body)


def test_closing_twice_is_no_error(opens: Opens) -> None:
    async def body(store: CacheStore) -> None:
        await store.close()

    run(opens, body)


@pytest.mark.servers
def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()

    async def body(store: CacheStore) -> None:
        await store.put({"f": b"1"}, TTL)
        server.kill()
        for _ in range(3):
            with pytest.raises(Unavailable, match="redis"):
                await store.get("f")
        with pytest.raises(Unavailable, match="redis"):
            await store.put({"f": b"2"}, TTL)
        with pytest.raises(Unavailable, match="redis"):
            await store.ping()
        server.start()
        await store.ping()
        assert await store.get("f") is None

    try:
        run(lambda: RedisCache(server.url), body)
    finally:
        server.kill()
