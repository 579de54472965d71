"""What every tick bus does alike."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable

import pytest

from core.errors import Unavailable
from core.types import Quote, tick
from storage.streams import MemoryTickBus, RedisTickBus, TickBus

Test = Callable[[TickBus, Callable[[int], Awaitable[None]]], Awaitable[None]]
_DATABASES = itertools.count(1)


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.servers)])
def on_bus(request: pytest.FixtureRequest) -> Callable[[Test], None]:
    """Run a test on an empty bus; the second thing it gets lets time pass."""

    def run(test: Test) -> None:
        async def whole() -> None:
            now = [0.0]

            async def pass_ms(ms: int) -> None:
                if request.param == "memory":
                    now[0] += ms
                    return
                until = time.monotonic() + ms / 1e3  # the server's clock is the real one
                while time.monotonic() < until:
                    await asyncio.sleep(0.001)

            bus: TickBus = MemoryTickBus(lambda: now[0])
            if request.param == "redis":
                port = request.getfixturevalue("redis_server").port
                bus = RedisTickBus(f"redis://127.0.0.1:{port}/{next(_DATABASES)}")
            try:
                await test(bus, pass_ms)
            finally:
                await bus.close()

        asyncio.run(whole())

    return run


def quotes(first: int, count: int = 3) -> list[Quote]:
    return [tick(0, seq, seq * 1_000, 1.1, 1.2, volume=0.5) for seq in range(first, first + count)]


def test_each_quote_goes_to_one_reader_of_a_group_in_order(on_bus) -> None:
    async def test(bus: TickBus, _: object) -> None:
        await bus.join("a", "traders")
        await bus.join("a", "traders")
        for first in range(1, 31, 3):
            await bus.publish("a", quotes(first))
        one = await bus.take("a", "traders", "one", most=4, wait_ms=0)
        two = await bus.take("a", "traders", "two", most=99, wait_ms=0)
        assert [q for d in one + two for q in d.quotes] == quotes(1, 30)
        assert await bus.take("a", "traders", "two", most=9, wait_ms=1) == []

    on_bus(test)


def test_groups_and_shards_do_not_share(on_bus) -> None:
    async def test(bus: TickBus, _: object) -> None:
        for shard, group in (("a", "traders"), ("a", "writers"), ("b", "traders")):
            await bus.join(shard, group)
        await bus.publish("a", quotes(1))
        for group in ("traders", "writers"):
            (found,) = await bus.take("a", group, "x", most=9, wait_ms=0)
            assert found.quotes == quotes(1)
        assert await bus.take("b", "traders", "x", most=9, wait_ms=1) == []

    on_bus(test)


def test_what_a_dead_reader_held_is_claimed_once(on_bus) -> None:
    async def test(bus: TickBus, pass_ms: Callable[[int], Awaitable[None]]) -> None:
        await bus.join("a", "traders")
        for first in (1, 4, 7):
            await bus.publish("a", quotes(first))
        held = await bus.take("a", "traders", "dead", most=9, wait_ms=0)
        await bus.acknowledge("a", "traders", [held[0].id])
        assert await bus.claim("a", "traders", "heir", idle_ms=60_000, most=9) == []
        await pass_ms(30)
        heir = await bus.claim("a", "traders", "heir", idle_ms=20, most=9)
        assert heir == held[1:]
        assert await bus.claim("a", "traders", "late", idle_ms=10_000, most=9) == []
        await bus.acknowledge("a", "traders", [one.id for one in heir])
        await pass_ms(30)
        assert await bus.claim("a", "traders", "heir", idle_ms=20, most=9) == []

    on_bus(test)


def test_a_group_that_is_none_is_told(on_bus) -> None:
    async def test(bus: TickBus, _: object) -> None:
        with pytest.raises(Unavailable):
            await bus.take("a", "nobody", "x", most=1, wait_ms=0)

    on_bus(test)
