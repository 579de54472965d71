"""The minute bars of ClickHouse equal bars by NumPy over real quotes, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from core.columns import QuoteColumns
from core.config import MarketConfig
from core.instruments import DEFAULT_INSTRUMENTS
from market.loaders import load
from storage.bars import MINUTE_NS, StoredBars, bars_of, bucket_range
from storage.clickhouse import ClickHouseTicks
from storage.clickhouse_connection import ClickHouse
from storage.sequenced import Sequenced
from tests.contracts.test_ticks import tape
from tests.naive_bars import naive_bars

pytestmark = pytest.mark.servers

FILES = (
    ("histdata", "EURUSD"),
    ("truefx", "USDJPY"),
    ("fxcm", "GBPUSD"),
    ("bars", "EURUSD"),
)


def numpy_bars(rows: QuoteColumns, interval_ns: int) -> StoredBars:
    numbered = Sequenced(rows, np.arange(len(rows), dtype=np.int64))
    return bars_of(numbered, interval_ns, *bucket_range(interval_ns, None, None))


@pytest.fixture(params=FILES, ids=[name for name, _ in FILES])
def quotes(request: pytest.FixtureRequest, real_data: Path) -> QuoteColumns:
    """All quotes of one folder of real files, which load every file of their symbol."""
    folder, symbol = request.param
    instrument = DEFAULT_INSTRUMENTS.by_symbol(symbol)
    return load(real_data / folder, instrument, MarketConfig()).columns


@pytest.mark.parametrize("way", ["in order", "twice", "shuffled", "late", "one by one"])
def test_the_minute_view_equals_numpy_over_real_files(
    clickhouse_connection: ClickHouse, quotes: QuoteColumns, way: str
) -> None:
    if way == "one by one":
        quotes = quotes[:100]
    parts = ways(len(quotes))[way]
    store = ClickHouseTicks(clickhouse_connection, block_rows=1_777)
    numbers = np.arange(len(quotes), dtype=np.int64)
    for part in parts:
        store.append("EURUSD", quotes[part], numbers[part])
    expected = numpy_bars(quotes, MINUTE_NS)
    assert store.bars("EURUSD", MINUTE_NS).equals(expected)
    assert expected.equals(naive_bars(quotes, numbers, MINUTE_NS))
    for minutes in (5, 15, 60, 1_440):
        rolled = store.bars("EURUSD", minutes * MINUTE_NS)
        assert rolled.equals(numpy_bars(quotes, minutes * MINUTE_NS))


def ways(n: int) -> dict[str, list[np.ndarray]]:
    """Orders in which the rows of a tape reach the store."""
    rows, rng = np.arange(n), np.random.default_rng(1)
    late = rng.random(n) < 0.1
    return {
        "in order": [rows],
        "twice": [rows[: n // 2], rows, rows],
        "shuffled": np.array_split(rng.permutation(n), 11),
        "late": [rows[~late], rows[late]],
        "one by one": [np.array([at]) for at in rows],
    }


@pytest.fixture
def store(clickhouse_connection: ClickHouse) -> ClickHouseTicks:
    return ClickHouseTicks(clickhouse_connection)


def test_a_block_that_reached_the_quotes_only_is_mended(
    store: ClickHouseTicks, clickhouse_connection: ClickHouse
) -> None:
    rows = tape(span_every=4)
    store.append("EURUSD", rows[:400])
    clickhouse_connection.command("ALTER TABLE bars_minute DELETE WHERE minute % 2 = 0")
    again = ClickHouseTicks(clickhouse_connection)
    again.append("EURUSD", rows[400:])
    assert again.bars("EURUSD", MINUTE_NS).equals(numpy_bars(rows, MINUTE_NS))


def test_a_block_that_came_twice_is_mended(
    store: ClickHouseTicks, clickhouse_connection: ClickHouse
) -> None:
    rows = tape(span_every=4)
    store.append("EURUSD", rows)
    clickhouse_connection.command("INSERT INTO market_data SELECT * FROM market_data")
    again = ClickHouseTicks(clickhouse_connection)
    assert len(again.read("EURUSD")) == 2 * len(rows)
    again.append("EURUSD", rows[:1])
    assert len(again.read("EURUSD")) == len(rows)
    assert again.bars("EURUSD", MINUTE_NS).equals(numpy_bars(rows, MINUTE_NS))


def test_the_schema_is_brought_forward_once(clickhouse_connection: ClickHouse) -> None:
    from storage.clickhouse_schema import migrate, newest_version, schema_version

    assert schema_version(clickhouse_connection) == 0
    assert migrate(clickhouse_connection) == newest_version(clickhouse_connection)
    assert migrate(clickhouse_connection) == 0
    assert schema_version(clickhouse_connection) == newest_version(clickhouse_connection)
