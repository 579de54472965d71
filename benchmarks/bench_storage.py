"""Stores on this machine, each figure with its bar and beside the driver's plain use.

ClickHouse, PostgreSQL and their packages as ``make servers`` fetches them. Nothing is asserted; a
figure says whether it meets its bar.
"""

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from clickhouse_driver import Client

from core.clock import SystemClock
from core.columns import QuoteColumns, from_ticks
from core.types import Order, OrderType, Side, TimeInForce
from storage.bars import MINUTE_NS
from storage.cached_ticks import CachedTicks
from storage.clickhouse import ClickHouseTicks
from storage.clickhouse_connection import NativeConnection
from storage.ledger_rows import LedgerQuote
from storage.parquet import TickStore
from storage.ports import LedgerStore, Ticks
from storage.postgres import PostgresLedger
from storage.postgres_pool import PostgresPool
from storage.query_cache import QueryCache
from storage.servers import processes
from storage.sqlite import Ledger

PACKAGES = Path(__file__).resolve().parent.parent / "var" / "servers"
TICKS = 1_000_000
BATCH = 50_000
ROUNDS = 3
QUOTES = 100_000
DAY_NS = 86_400_000_000_000
START_NS = 1_577_836_800_000_000_000


def tape(rows: int = TICKS, days: int = 5) -> QuoteColumns:
    rng = np.random.default_rng(7)
    ts = START_NS + np.sort(rng.integers(0, days * 86_400_000, rows)) * 1_000_000
    bid = np.round(1.1 + 1e-5 * np.cumsum(rng.integers(-1, 2, rows)), 5)
    return from_ticks(ts, bid, np.round(bid + 1e-4, 5), rng.integers(0, 10, rows).astype(float))


def rate(rows: int, action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return rows / (time.perf_counter() - started)


def best(rates: list[float]) -> int:
    """Median of the rounds, rows a second."""
    return round(statistics.median(rates))


def p95_ms(call: Callable[[], object], calls: int) -> float:
    samples = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        samples.append(time.perf_counter() - started)
    return round(float(np.percentile(samples, 95)) * 1e3, 4)


def at_least(value: float, bar: float, **control: float) -> dict[str, object]:
    return {"value": value, "bar": f">= {bar:g}", "met": value >= bar, **control}


def below(value: float, bar: float, **control: float) -> dict[str, object]:
    return {"value": value, "bar": f"< {bar:g}", "met": value < bar, **control}


def append_all(store: Ticks, symbol: str, rows: QuoteColumns) -> None:
    numbers = np.arange(len(rows), dtype=np.int64)
    for first in range(0, len(rows), BATCH):
        part = slice(first, first + BATCH)
        store.append(symbol, rows[part], numbers[part])


def plain_rows(client: Client, rows: QuoteColumns) -> None:
    """Use the driver as its manual begins: a list of tuples, into a table without a view."""
    lists = [column.tolist() for column in (rows.ts, rows.bid, rows.ask)]
    client.execute("INSERT INTO plain VALUES", list(zip(*lists, strict=True)))


def plain_columns(client: Client, rows: QuoteColumns) -> None:
    """Use the driver at its best: NumPy columns of the same width, into a table without a view."""
    n = len(rows)
    zeros = np.zeros(n, np.int64)
    symbol = np.full(n, "EURUSD", object)
    columns = [symbol, rows.ts, zeros, rows.bid, rows.ask, zeros, zeros, *[rows.open] * 3]
    for first in range(0, n, BATCH):
        part = [column[first : first + BATCH] for column in columns]
        client.execute("INSERT INTO bare VALUES", part, columnar=True)


def clickhouse_figures(rows: QuoteColumns) -> dict[str, object]:
    with processes.clickhouse(PACKAGES) as server:
        url = f"clickhouse://127.0.0.1:{server.port}/default"
        store = ClickHouseTicks(NativeConnection(url, timeout_secs=60))
        numpy_client = Client("127.0.0.1", server.port, settings={"use_numpy": True})
        client = Client("127.0.0.1", server.port)
        client.execute(
            "CREATE TABLE plain (ts Int64, bid Float64, ask Float64) ENGINE = MergeTree ORDER BY ts"
        )
        client.execute("CREATE TABLE bare AS market_data")
        insert, columns = [], []
        for number in range(ROUNDS):
            insert.append(rate(TICKS, lambda n=number: append_all(store, f"S{n}", rows)))
            columns.append(rate(TICKS, lambda: plain_columns(numpy_client, rows)))
        tuples = rate(100_000, lambda: plain_rows(client, rows[:100_000]))
        figures = {
            "clickhouse_insert_per_sec": at_least(
                best(insert), 300_000, driver_columns_no_view=best(columns),
                driver_rows_no_view=round(tuples),
            ),
            **bar_figures(store, client),
        }  # fmt: skip
        for one in (client, numpy_client):
            one.disconnect()
        store.close()
    return figures


def bar_figures(store: ClickHouseTicks, client: Client) -> dict[str, object]:
    day = START_NS + DAY_NS, START_NS + 2 * DAY_NS
    plain = (
        "SELECT intDiv(ts, 60000000000) AS m, argMin(open, (ts, sequence)), max(high), min(low),"
        " argMax(0.5 * (bid + ask), (ts, sequence)), sum(volume), count() FROM market_data"
        f" WHERE symbol = 'S0' AND ts >= {day[0]} AND ts < {day[1]} GROUP BY m ORDER BY m"
    )
    cached = CachedTicks(store, QueryCache(SystemClock()))
    cached.bars("S0", MINUTE_NS, *day)
    return {
        "minute_bars_of_a_day_p95_ms": below(
            p95_ms(lambda: store.bars("S0", MINUTE_NS, *day), 200),
            20.0,
            without_view=p95_ms(lambda: client.execute(plain), 30),
        ),
        "cached_query_p95_ms": below(
            p95_ms(lambda: cached.bars("S0", MINUTE_NS, *day), 10_000), 0.1
        ),
    }


def parquet_figures(rows: QuoteColumns) -> dict[str, object]:
    insert, plain = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            store = TickStore(Path(folder) / f"ticks{number}")
            insert.append(rate(TICKS, lambda: append_all(store, "EURUSD", rows)))  # noqa: B023
            plain.append(rate(TICKS, lambda n=number: _plain_parquet(Path(folder), n, rows)))
    return {"parquet_append_per_sec": at_least(best(insert), 500_000, pyarrow_unsynced=best(plain))}


def _plain_parquet(folder: Path, number: int, rows: QuoteColumns) -> None:
    for first in range(0, len(rows), BATCH):
        part = rows[first : first + BATCH]
        names = ("ts", "bid", "ask", "volume", "span", "open", "high", "low")
        table = pa.table({name: getattr(part, name) for name in names})
        pq.write_table(table, folder / f"plain{number}-{first}.parquet", compression="zstd")


def an_order(number: int) -> Order:
    return Order(
        f"O{number}", f"k{number}", "PAPER", "manual", 0, Side.BUY, 10, OrderType.MARKET, 112_000,
        TimeInForce.IOC, START_NS + number, 7,
    )  # fmt: skip


def quotes(first: int, rows: int) -> list[LedgerQuote]:
    return [
        LedgerQuote("EURUSD", START_NS + at, at, 1.1, 1.2, 1.0) for at in range(first, first + rows)
    ]


_EXECUTEMANY = (
    "INSERT INTO market_data (symbol, ts, sequence, bid, ask, volume)"
    " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (symbol, ts, sequence) DO NOTHING"
)


def postgres_figures() -> dict[str, object]:
    with processes.postgres(PACKAGES) as server:
        url = f"postgresql://postgres@127.0.0.1:{server.port}/postgres"
        pool = PostgresPool(url, smallest=1, largest=4, timeout_secs=300)
        ledger = PostgresLedger(pool)
        copied, many, one_by_one = [], [], []
        staged, staged_many = [], []
        for number in range(ROUNDS):
            first = 10 * number * QUOTES
            rows = quotes(first, QUOTES)
            staged.append(_staging_rate(pool, rows, copy=True))
            staged_many.append(_staging_rate(pool, rows, copy=False))
            copied.append(_copy_rate(ledger, rows))
            many.append(_many_rate(pool, quotes(first + 2 * QUOTES, QUOTES)))
            one_by_one.append(_one_by_one_rate(pool, quotes(first + 4 * QUOTES, 2_000)))
        ratio = round(statistics.median(copied) / statistics.median(many), 2)
        staging = round(statistics.median(staged) / statistics.median(staged_many), 2)
        ledger.record(an_order(number) for number in range(50_000))
        ledger.record([an_order(0)])
        figures = {
            "copy_over_executemany_no_index": at_least(
                staging, 5.0, copy_per_sec=best(staged), executemany_per_sec=best(staged_many)
            ),
            "record_over_executemany_with_indexes": at_least(
                ratio, 5.0, copy_per_sec=best(copied), executemany_per_sec=best(many),
                execute_each_per_sec=best(one_by_one),
            ),
            "postgres_order_by_id_p95_ms": below(*_order_by_id(ledger), bare=_bare_order(pool)),
        }  # fmt: skip
        ledger.close()
    return figures


def _copy_rate(ledger: PostgresLedger, rows: list[LedgerQuote]) -> float:
    return rate(len(rows), lambda: ledger.record(rows))


def _staging_rate(pool: PostgresPool, rows: list[LedgerQuote], *, copy: bool) -> float:
    """Rows a second into a table like the staging one: neither keys nor indexes."""
    values = [(q.symbol, q.ts, q.sequence, q.bid, q.ask, q.volume) for q in rows]

    async def fill(connection: object) -> float:
        await connection.execute("CREATE TEMP TABLE bare (LIKE market_data)")
        started = time.perf_counter()
        if copy:
            await connection.copy_records_to_table("bare", records=values)
        else:
            await connection.executemany("INSERT INTO bare VALUES ($1,$2,$3,$4,$5,$6)", values)
        secs = time.perf_counter() - started
        await connection.execute("DROP TABLE bare")
        return len(values) / secs

    return pool.call(fill)


def _many_rate(pool: PostgresPool, rows: list[LedgerQuote]) -> float:
    values = [(q.symbol, q.ts, q.sequence, q.bid, q.ask, q.volume) for q in rows]
    return rate(len(rows), lambda: pool.call(lambda one: one.executemany(_EXECUTEMANY, values)))


def _one_by_one_rate(pool: PostgresPool, rows: list[LedgerQuote]) -> float:
    async def each(connection: object) -> None:
        for q in rows:
            values = q.symbol, q.ts, q.sequence, q.bid, q.ask, q.volume
            await connection.execute(_EXECUTEMANY, *values)

    return rate(len(rows), lambda: pool.call(each))


def _order_by_id(ledger: LedgerStore) -> tuple[float, float]:
    ids = iter([f"O{number}" for number in np.random.default_rng(1).integers(0, 50_000, 3_000)])
    return p95_ms(lambda: ledger.order(next(ids)), 3_000), 5.0


def _bare_order(pool: PostgresPool) -> float:
    statement = "SELECT * FROM orders WHERE client_order_id = 'O77'"
    return p95_ms(lambda: pool.call(lambda one: one.fetch(statement)), 1_000)


def sqlite_figures() -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "ledger.sqlite") as ledger:
        ledger.record(an_order(number) for number in range(50_000))
        bare = sqlite3.connect(Path(folder) / "ledger.sqlite")
        statement = "SELECT * FROM orders WHERE client_order_id = 'O77'"
        control = p95_ms(lambda: bare.execute(statement).fetchall(), 1_000)
        bare.close()
        return {"sqlite_order_by_id_p95_ms": below(*_order_by_id(ledger), bare=control)}


def run() -> dict[str, object]:
    """Measure all stores; the servers must be there (``make servers``)."""
    rows = tape()
    return {
        **clickhouse_figures(rows),
        **parquet_figures(rows),
        **postgres_figures(),
        **sqlite_figures(),
    }
