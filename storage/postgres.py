"""Ledger on PostgreSQL, filled by binary COPY."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from core.errors import FatalError
from storage.ledger import LedgerBase
from storage.ledger_rows import SCENARIOS, Row, Table, on_conflict
from storage.migrations import migrations
from storage.postgres_pool import Connection, PostgresPool

RECENT_NS = 3_600_000_000_000
"""Age of the quotes that the recent index is kept for."""
MAINTAIN_SECS = 900.0
"""Longest time that an index may take to build."""
_MIGRATIONS = migrations("postgres")
_RECENT = "market_data_recent_"
_LOCK = 7_345_901  # any number, the same in every process of ours
_NUMERIC = {"scenarios": ("lots", "margin_per_lot"), "accounts": ("balance", "equity", "margin")}


class PostgresLedger(LedgerBase):
    """The `storage.ports.LedgerStore` of a PostgreSQL server.

    Rows go by binary COPY into a temporary table and from there by one INSERT ... ON CONFLICT, so
    that a batch that is sent again changes nothing.

    Parameters
    ----------
    pool : PostgresPool
        Closed with the ledger.

    Raises
    ------
    FatalError
        When the schema was made by a newer version of the project.
    Unavailable
        When the server does not answer, or the role may not bring an older schema forward.
    """

    def __init__(self, pool: PostgresPool) -> None:
        self._pool = pool
        try:
            migrate(pool)
            self._recent_since = self._pool.call(_recent_since)
        except BaseException:
            pool.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def maintain(self, now_ns: int) -> None:
        """Move the index on recent quotes forward; needs the owner of the tables.

        The predicate of an index must be a constant, so a new index with a later one is built
        beside the old one, without a lock on writers, and the old one is dropped after. Queries
        state the constant of the index that they mean; one that still states the old constant gets
        the same rows by another index.
        """
        since = (now_ns - RECENT_NS) // RECENT_NS * RECENT_NS

        async def run(connection: Connection, statement: str) -> None:
            await connection.execute(statement, timeout=MAINTAIN_SECS)

        async def roll(connection: Connection) -> None:
            found = await connection.fetch(_INDEXES, _RECENT)
            sound = {row["indexname"] for row in found if row["sound"]}
            wanted = f"{_RECENT}{since}"
            # One that was interrupted is there, is not used, and would stand in the way.
            for row in found:
                if not row["sound"]:
                    await run(connection, f"DROP INDEX CONCURRENTLY {row['indexname']}")
            if wanted not in sound:
                await run(
                    connection,
                    f"CREATE INDEX CONCURRENTLY {wanted} ON market_data"
                    f" (ts, symbol, sequence) INCLUDE (bid, ask, volume) WHERE ts >= {since}",
                )
            for name in sound - {wanted}:
                await run(connection, f"DROP INDEX CONCURRENTLY {name}")

        self._pool.call(roll, secs=MAINTAIN_SECS)
        self._recent_since = since

    def _fetch(self, statement: str, *values: object) -> list[Row]:
        found = self._pool.call(lambda one: one.fetch(statement.replace("?", "$"), *values))
        return [dict(row) for row in found]

    def _store(self, groups: Iterable[tuple[Table, list[Row]]]) -> int:
        batches = [(table, _records(table, rows)) for table, rows in groups if rows]

        async def store(connection: Connection) -> int:
            async with connection.transaction():
                return sum([await _copy(connection, *batch) for batch in batches])

        return self._pool.call(store) if batches else 0

    def _replace_scenarios(self, rows: list[Row], account: str | None) -> int:
        records = _records(SCENARIOS, rows)

        async def replace(connection: Connection) -> int:
            async with connection.transaction():
                if account is None:
                    await connection.execute("DELETE FROM scenarios")
                else:
                    await connection.execute("DELETE FROM scenarios WHERE account = $1", account)
                await connection.copy_records_to_table(
                    "scenarios", records=records, columns=SCENARIOS.columns
                )
            return len(records)

        return self._pool.call(replace)

    def _recent(self, since_ns: int) -> str:
        # The planner uses a partial index only where the query states its predicate.
        known = self._recent_since
        return f"ts >= {known} AND" if known and since_ns >= known else ""


def schema_version(pool: PostgresPool) -> int:
    """Version of the newest step that was applied; 0 for a new database."""

    async def ask(connection: Connection) -> int:
        if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
            return 0
        return int(
            await connection.fetchval("SELECT coalesce(max(version), 0) FROM schema_migrations")
        )

    return pool.call(ask)


def migrate(pool: PostgresPool) -> int:
    """Apply the steps that are missing, each whole or not at all; return how many were.

    Raises
    ------
    FatalError
        When the database was made by a newer version of the project.
    """
    current = schema_version(pool)
    if current > _MIGRATIONS[-1].version:
        raise FatalError(f"the PostgreSQL schema has version {current}, newer than this program")
    if current == _MIGRATIONS[-1].version:
        return 0

    async def apply(connection: Connection) -> int:
        done = 0
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(_VERSIONS)
            known = "SELECT coalesce(max(version), 0) FROM schema_migrations"
            since = int(await connection.fetchval(known))
            for step in _MIGRATIONS[since:]:
                for statement in step.statements:
                    await connection.execute(statement)
                insert = "INSERT INTO schema_migrations (version, name) VALUES ($1, $2)"
                await connection.execute(insert, step.version, step.name)
                done += 1
        return done

    return pool.call(apply)


_VERSIONS = """CREATE TABLE IF NOT EXISTS schema_migrations
  (version integer PRIMARY KEY, name text NOT NULL, applied timestamptz NOT NULL DEFAULT now())"""
_INDEXES = (
    "SELECT c.relname::text AS indexname, i.indisvalid AS sound FROM pg_index i"
    " JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass('market_data')"
    " AND starts_with(c.relname::text, $1)"
)


async def _recent_since(connection: Connection) -> int:
    found = await connection.fetch(_INDEXES, _RECENT)
    names = [row["indexname"] for row in found if row["sound"]]
    return max((int(name.removeprefix(_RECENT)) for name in names), default=0)


async def _copy(connection: Connection, table: Table, records: list[tuple[Any, ...]]) -> int:
    staging = f"staging_{table.name}"
    await connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {staging} (LIKE {table.name}) ON COMMIT DELETE ROWS"
    )
    await connection.copy_records_to_table(staging, records=records, columns=table.columns)
    names = ", ".join(f'"{name}"' for name in table.columns)
    status = await connection.execute(
        f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {staging} {on_conflict(table)}"
    )
    return int(status.split()[-1])


def _records(table: Table, rows: list[Row]) -> list[tuple[Any, ...]]:
    exact = _NUMERIC.get(table.name, ())
    return [
        tuple(_number(row.get(name)) if name in exact else row.get(name) for name in table.columns)
        for row in rows
    ]


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
