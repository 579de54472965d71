"""What only PostgreSQL has: indexes that are used, roles, and a schema shared by many."""

import threading
from collections.abc import Iterator

import pytest

from core.errors import BadInput, FatalError, Unavailable
from storage.ledger_rows import LedgerQuote
from storage.postgres import RECENT_NS, PostgresLedger, migrate, schema_version
from storage.postgres_pool import PostgresPool
from storage.sqlite import Ledger
from tests.contracts.test_ledger import NOW_NS, decision, fill, order

pytestmark = pytest.mark.servers

SECOND_NS = 1_000_000_000
QUOTES = 40_000
LOCAL = ("promotions", "projections")  # an authority of this machine, no copy of anything


@pytest.fixture
def pool(postgres_url: str) -> Iterator[PostgresPool]:
    opened = PostgresPool(postgres_url, smallest=1, largest=4)
    yield opened
    opened.close()


def run(pool: PostgresPool, statement: str, *values: object) -> list[tuple]:
    return [tuple(row) for row in pool.call(lambda one: one.fetch(statement, *values))]


def plan(pool: PostgresPool, statement: str) -> str:
    return "\n".join(row[0] for row in run(pool, f"EXPLAIN {statement}"))


@pytest.fixture
def filled(pool: PostgresPool) -> PostgresLedger:
    """A ledger with enough rows that the planner has a choice; the quotes span ten hours."""
    ledger = PostgresLedger(pool)
    step = 10 * RECENT_NS // (QUOTES // 4)
    symbols = ("EURUSD", "GBPUSD", "USDJPY", "XAUUSD")
    ledger.record(
        LedgerQuote(symbols[at % 4], NOW_NS - (QUOTES - at) // 4 * step, at, 1.1, 1.2, 3.0)
        for at in range(QUOTES)
    )
    ledger.record(order(number) for number in range(20_000))
    ledger.record(fill(number % 3, f"O{number}") for number in range(20_000))
    ledger.record(decision(number) for number in range(5_000))
    ledger.maintain(NOW_NS)
    pool.call(lambda one: one.execute("VACUUM ANALYZE"))
    return ledger


def test_each_index_is_used(filled: PostgresLedger, pool: PostgresPool) -> None:
    hour = NOW_NS - 5 * RECENT_NS
    newest = plan(
        pool,
        "SELECT ts, bid, ask, volume FROM market_data WHERE symbol = 'EURUSD'"
        f" AND ts >= {hour} AND ts < {hour + RECENT_NS} ORDER BY ts DESC LIMIT 100",
    )
    assert "Index Only Scan using market_data_by_time" in newest
    recent = filled._recent(NOW_NS - RECENT_NS // 2)
    assert recent
    window = plan(
        pool,
        "SELECT symbol, ts, sequence, bid, ask, volume FROM market_data"
        f" WHERE {recent} ts >= {NOW_NS - RECENT_NS // 2} ORDER BY ts, symbol, sequence",
    )
    assert "Index Only Scan using market_data_recent_" in window
    assert "Sort" not in window
    by_id = plan(pool, "SELECT * FROM orders WHERE client_order_id = 'O77'")
    assert "Index Scan using orders_by_id" in by_id
    for statement, index in (
        ("SELECT * FROM orders WHERE venue_order_id = 'V1'", "orders_by_venue_id"),
        ("SELECT * FROM fills WHERE client_order_id = 'O5'", "fills_by_order"),
        ("SELECT * FROM orders ORDER BY created_ns DESC LIMIT 10", "orders_by_time"),
        ("SELECT * FROM decisions ORDER BY ts_decide DESC LIMIT 10", "decisions_by_time"),
    ):
        assert index in plan(pool, statement), statement


def test_the_recent_index_moves_on_and_answers_do_not_change(
    filled: PostgresLedger, pool: PostgresPool, postgres_url: str
) -> None:
    since = NOW_NS - RECENT_NS // 2
    other = PostgresLedger(PostgresPool(postgres_url, smallest=1, largest=1))  # knows the old one
    before = filled.recent_quotes(since)
    assert len(before) > 100
    filled.maintain(NOW_NS + 3 * RECENT_NS)
    filled.maintain(NOW_NS + 3 * RECENT_NS)
    names = run(pool, "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'market_data_recent%'")
    assert len(names) == 1
    assert filled.recent_quotes(since) == other.recent_quotes(since) == before
    other.close()


def test_roles_may_add_to_what_happened_and_never_change_it(
    filled: PostgresLedger, pool: PostgresPool
) -> None:
    allowed = {
        "tickpath_writer": ("SELECT * FROM fills LIMIT 1", "UPDATE orders SET reason = 'x'"),
        "tickpath_reader": ("SELECT * FROM fills LIMIT 1",),
    }
    denied = {
        "tickpath_writer": (
            "DELETE FROM fills", "UPDATE audit SET who = 'x'", "DELETE FROM orders",
            "UPDATE fills SET quantity = 0", "TRUNCATE decisions", "DROP TABLE orders",
            "CREATE TABLE mine (x integer)",
        ),
        "tickpath_reader": (
            "UPDATE orders SET reason = 'x'", "INSERT INTO audit VALUES ('a',1,'','','','')",
        ),
    }  # fmt: skip

    def as_role(role: str, statement: str) -> None:
        async def work(connection: object) -> None:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL ROLE {role}")
                await connection.execute(statement)

        pool.call(work)

    for role, statements in allowed.items():
        for statement in statements:
            as_role(role, statement)
    for role, statements in denied.items():
        for statement in statements:
            with pytest.raises(Unavailable, match=r"permission denied|must be owner"):
                as_role(role, statement)


def test_a_writer_without_more_rights_can_do_all_that_the_platform_does(
    pool: PostgresPool, postgres_url: str
) -> None:
    migrate(pool)
    statements = (
        "DROP ROLE IF EXISTS app",
        "CREATE ROLE app LOGIN",
        "GRANT tickpath_writer TO app",
    )
    for statement in statements:
        pool.call(lambda one, text=statement: one.execute(text))
    ledger = PostgresLedger(PostgresPool(postgres_url.replace("postgres@", "app@"), smallest=1))
    ledger.record([order(1), fill(1), decision(1)])
    assert ledger.order("O1") == order(1)
    ledger.replace_scenarios([])
    ledger.close()


def test_two_that_migrate_at_once_do_it_once(postgres_url: str) -> None:
    pools = [PostgresPool(postgres_url, smallest=1, largest=1) for _ in range(4)]
    done: list[int] = []
    threads = [threading.Thread(target=lambda one=one: done.append(migrate(one))) for one in pools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done)[:3] == [0, 0, 0]
    assert schema_version(pools[0]) == max(done) > 0
    run(pools[0], "INSERT INTO schema_migrations (version, name) VALUES (99, 'later')")
    with pytest.raises(FatalError, match="newer"):
        migrate(pools[1])
    for pool in pools:
        pool.close()


def test_the_schema_is_that_of_the_embedded_ledger(pool: PostgresPool, tmp_path) -> None:
    migrate(pool)
    found = run(
        pool,
        "SELECT table_name::text, column_name::text, is_nullable::text"
        " FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'schema_migrations'",
    )
    with Ledger(tmp_path / "ledger.sqlite") as embedded, embedded.transaction() as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        expected = [
            (table["name"], column["name"])
            for table in tables.fetchall()
            for column in connection.execute(f"PRAGMA table_info({table['name']})")
            if table["name"] not in LOCAL
        ]
    assert sorted(row[:2] for row in found) == sorted(expected)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    pool = PostgresPool("postgresql://postgres@127.0.0.1:1/x", smallest=1, timeout_secs=0.5)
    with pytest.raises(Unavailable):
        PostgresLedger(pool)
    with pytest.raises(BadInput, match="no address"):
        PostgresPool("mysql://x")
