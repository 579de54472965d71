"""Serving on the stores of production: ClickHouse, PostgreSQL and Redis, chosen by settings."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.config import CacheConfig, StorageConfig
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Quote
from storage.adapters import open_ticks
from storage.clickhouse_connection import NativeConnection
from storage.parquet import TickStore
from storage.postgres_pool import PostgresPool
from storage.servers.processes import Server
from storage.streams import RedisTickBus
from tests.e2e.stack import SYMBOL, Platform, _made, config_for, make_home, until
from tests.servers import clickhouse_server, postgres_server, redis_server

__all__ = ["clickhouse_server", "postgres_server", "redis_server"]

pytestmark = [pytest.mark.servers, pytest.mark.timeout(400)]
QUOTES = 300


@pytest.fixture
def storage(
    made: Path,
    tmp_path: Path,
    clickhouse_server: Server,
    postgres_server: Server,
    redis_server: Server,
) -> StorageConfig:
    chosen = StorageConfig(
        home=tmp_path / "home",
        tick_store="clickhouse",
        clickhouse_url=f"clickhouse://127.0.0.1:{clickhouse_server.port}/default",
        ledger_store="postgres",
        postgres_url=f"postgresql://postgres@127.0.0.1:{postgres_server.port}/postgres",
        pool_min=2,
        pool_max=4,
        analysis_store="clickhouse",
        tick_bus="redis",
        tick_bus_url=f"redis://127.0.0.1:{redis_server.port}/0",
    )
    ticks = open_ticks(chosen)
    ticks.append(SYMBOL, TickStore(_made(made) / "ticks").read(SYMBOL))
    ticks.close()
    return chosen


@pytest.fixture
def running(made: Path, storage: StorageConfig) -> Iterator[Platform]:
    make_home(made, storage.home, version="3")
    cache = CacheConfig(second="redis", url=storage.tick_bus_url)
    platform = Platform(config_for(storage.home, storage=storage, cache=cache), tapped=False)
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()


async def published(url: str) -> list[Quote]:
    """Quotes on the bus, as a group that begins with the oldest sees them."""
    bus = RedisTickBus(url)
    await bus.join(SYMBOL, "readers")
    found: list[Quote] = []
    while deliveries := await bus.take(SYMBOL, "readers", "one", most=100, wait_ms=10):
        found += itertools.chain.from_iterable(one.quotes for one in deliveries)
        await bus.acknowledge(SYMBOL, "readers", [one.id for one in deliveries])
    await bus.close()
    return found


def test_rows_arrive_in_every_store(running: Platform, storage: StorageConfig) -> None:
    pool = PostgresPool(storage.postgres_url, smallest=1, largest=1)
    clickhouse = NativeConnection(storage.clickhouse_url)

    def rows(table: str) -> int:
        return int(pool.call(lambda one: one.fetchval(f"SELECT count(*) FROM {table}")))

    def analysed(question: str) -> int:
        return int(clickhouse.select(f"SELECT toInt64(count()) FROM {question}")[0][0])

    until("orders and fills in the ledger", lambda: rows("fills") > 5 and rows("orders") > 5)
    until("decisions in the ledger", lambda: rows("decisions") >= QUOTES)
    until("decisions for analysis", lambda: analysed("decisions") >= QUOTES)
    walked = "latency_samples WHERE stage = 'predict'"
    until("samples of a stage", lambda: analysed(walked) >= QUOTES)
    until("orders' latencies", lambda: analysed("latency_samples WHERE stage = 'tick_to_ack'") > 5)
    recent = "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'market_data_recent_%'"
    until("the recent index", lambda: pool.call(lambda one: one.fetchval(recent)) == 1)
    asked = running.client.call("GET", "/v1/decisions?limit=5")
    assert asked[0] in {200, 404, 405}
    running.stop()

    quotes = asyncio.run(published(storage.tick_bus_url))
    numbers = [quote.seq for quote in quotes]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) >= QUOTES
    assert {quote.instrument for quote in quotes} == {DEFAULT_INSTRUMENTS.by_symbol(SYMBOL).id}
    assert rows("decisions") == analysed("(SELECT DISTINCT decision_id FROM decisions)")
    assert not (storage.home / "ledger.sqlite").exists() or not _embedded_orders(storage)
    clickhouse.close()
    pool.close()


def _embedded_orders(storage: StorageConfig) -> int:
    import sqlite3

    connection = sqlite3.connect(storage.ledger)
    (count,) = connection.execute("SELECT count(*) FROM orders").fetchone()
    connection.close()
    return int(count)
