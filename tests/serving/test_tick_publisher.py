"""Quotes go to the engine at once, and to the bus beside it."""

import asyncio

from core.errors import Unavailable
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Quote, tick
from market.feed import FeedGap
from serving.tick_publisher import TickPublisher
from storage.streams import MemoryTickBus


class Engine:
    def __init__(self) -> None:
        self.heard: list[Quote | FeedGap] = []

    def on_quote(self, quote: Quote) -> None:
        self.heard.append(quote)

    def on_gap(self, gap: FeedGap) -> None:
        self.heard.append(gap)


class Shaky(MemoryTickBus):
    """A bus that takes so many calls, and no more until it is mended."""

    left = 10**6

    async def publish(self, shard, quotes):
        if self.left <= 0:
            raise Unavailable("away")
        self.left -= 1
        return await super().publish(shard, quotes)


def quotes(first: int, count: int) -> list[Quote]:
    return [tick(at % 2, at, at * 1_000, 1.1, 1.2) for at in range(first, first + count)]


async def on_bus(bus: MemoryTickBus, symbol: str) -> list[int]:
    await bus.join(symbol, "readers")
    found = await bus.take(symbol, "readers", "one", most=10**6, wait_ms=0)
    return [quote.seq for one in found for quote in one.quotes]


def test_each_symbol_has_its_quotes_in_order_also_when_the_bus_was_away() -> None:
    async def run() -> None:
        bus, engine = Shaky(lambda: 0.0), Engine()
        publisher = TickPublisher(engine, bus, DEFAULT_INSTRUMENTS)
        sent = quotes(1, 2_500)
        for quote in sent[:1_500]:
            publisher.on_quote(quote)
        bus.left = 1
        assert not await publisher.publish()
        for quote in sent[1_500:]:
            publisher.on_quote(quote)
        assert engine.heard == sent
        bus.left = 10**6
        assert await publisher.publish()
        for number in (0, 1):
            found = await on_bus(bus, DEFAULT_INSTRUMENTS[number].symbol)
            assert found == [q.seq for q in sent if q.instrument == number]
        assert (publisher.published, publisher.lost, publisher.failures) == (2_500, 0, 1)

    asyncio.run(run())


def test_a_bus_that_stays_away_costs_its_oldest_quotes_and_nothing_else() -> None:
    async def run() -> None:
        bus, engine = Shaky(lambda: 0.0), Engine()
        bus.left = 0
        publisher = TickPublisher(engine, bus, DEFAULT_INSTRUMENTS, capacity=10)
        sent = [tick(0, at, at, 1.1, 1.2) for at in range(1, 31)]
        for number, quote in enumerate(sent):
            publisher.on_quote(quote)
            if number % 7 == 0:
                assert not await publisher.publish()
        assert engine.heard == sent
        bus.left = 10
        await publisher.publish()
        assert await on_bus(bus, DEFAULT_INSTRUMENTS[0].symbol) == list(range(21, 31))
        assert publisher.lost == 20

    asyncio.run(run())


def test_a_gap_is_passed_on() -> None:
    engine = Engine()
    gap = FeedGap(0, 3, 1, "sequence jump")
    TickPublisher(engine, Shaky(lambda: 0.0), DEFAULT_INSTRUMENTS).on_gap(gap)
    assert engine.heard == [gap]
