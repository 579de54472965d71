"""Ledger on SQLite: scenarios, decisions, orders and fills, for people, reports and start-up.

The journal is the authority for orders; the ledger is its searchable copy. Money and sizes are
stored as decimal text, times as integer ns UTC.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from enum import Enum
from pathlib import Path

import msgspec

from core.errors import FatalError, Unavailable
from core.types import Decision, Fill, Order

Record = msgspec.Struct | Mapping[str, object]
Row = dict[str, object]

_SCENARIOS = """
CREATE TABLE scenarios (
  account TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL, lots TEXT NOT NULL,
  steps INTEGER NOT NULL, verdict TEXT NOT NULL, "check" TEXT, reason TEXT,
  limit_value TEXT, observed TEXT, margin_per_lot TEXT NOT NULL,
  price_low ANY NOT NULL, price_high ANY NOT NULL, limits_version ANY NOT NULL,
  instruments_version ANY NOT NULL, session_expiry_ns INTEGER NOT NULL, template BLOB NOT NULL,
  created_ns INTEGER NOT NULL,
  PRIMARY KEY (account, symbol, side, steps)
) STRICT
"""
_DECISIONS = """
CREATE TABLE decisions (
  decision_id TEXT PRIMARY KEY, symbol TEXT NOT NULL, direction TEXT NOT NULL,
  confidence REAL NOT NULL, raw_score REAL NOT NULL, edge_pips REAL NOT NULL,
  reason TEXT NOT NULL, model TEXT NOT NULL, model_version TEXT NOT NULL,
  spec_fingerprint TEXT NOT NULL, quote_seq INTEGER NOT NULL, ts_event INTEGER NOT NULL,
  ts_decide INTEGER NOT NULL, stages_us TEXT NOT NULL
) STRICT
"""
_ORDERS = """
CREATE TABLE orders (
  client_order_id TEXT PRIMARY KEY, key TEXT NOT NULL, account TEXT NOT NULL,
  strategy TEXT NOT NULL, instrument INTEGER NOT NULL, side TEXT NOT NULL,
  quantity INTEGER NOT NULL, type TEXT NOT NULL, limit_ticks INTEGER NOT NULL,
  time_in_force TEXT NOT NULL, created_ns INTEGER NOT NULL, quote_seq INTEGER NOT NULL,
  status TEXT NOT NULL, filled INTEGER NOT NULL, filled_value INTEGER NOT NULL,
  venue_order_id TEXT NOT NULL, decision_id TEXT NOT NULL, reason TEXT NOT NULL,
  submitted_ns INTEGER NOT NULL
) STRICT
"""
_FILLS = """
CREATE TABLE fills (
  venue TEXT NOT NULL, exec_id TEXT NOT NULL, client_order_id TEXT NOT NULL,
  instrument INTEGER NOT NULL, side TEXT NOT NULL, quantity INTEGER NOT NULL,
  price_ticks INTEGER NOT NULL, ts_event INTEGER NOT NULL, quote_seq INTEGER NOT NULL,
  PRIMARY KEY (venue, exec_id)
) STRICT
"""
_INDEXES = """
CREATE INDEX decisions_by_time ON decisions (ts_decide);
CREATE INDEX orders_by_time ON orders (created_ns);
CREATE INDEX fills_by_order ON fills (client_order_id)
"""
_PROMOTIONS = """
CREATE TABLE promotions (
  model TEXT NOT NULL, generation INTEGER NOT NULL, payload BLOB NOT NULL, link BLOB NOT NULL,
  PRIMARY KEY (model, generation)
) STRICT
"""
_PROJECTIONS = """
CREATE TABLE projections (model TEXT PRIMARY KEY, generation INTEGER NOT NULL) STRICT
"""
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (_SCENARIOS, _DECISIONS, _ORDERS, _FILLS, *_INDEXES.split(";")),
    (_PROMOTIONS, _PROJECTIONS),
)
"""Statements by schema version; a ledger is brought forward from its own version at opening."""


class Ledger:
    """The SQLite ledger; safe to use from several threads and processes.

    Parameters
    ----------
    path : Path
        Database file; it and its folder are made when missing.

    Raises
    ------
    FatalError
        When the file is no ledger, or was written by a newer version of the project.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path, timeout=10.0, isolation_level=None, check_same_thread=False
        )
        self._connection.row_factory = sqlite3.Row
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._migrate(path)
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise FatalError(f"{path} cannot be used as a ledger: {error}") from error
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Everything inside is stored, or nothing when it raises.

        Parameters
        ----------
        durable : bool
            Sync before returning, for the few rows that nothing else could bring back.

        Raises
        ------
        Unavailable
            When another process holds the database for too long.
        """
        with self._lock:
            try:
                if durable:
                    self._connection.execute("PRAGMA synchronous=FULL")
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise Unavailable(f"ledger: {error}") from error
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                self._connection.execute("PRAGMA synchronous=NORMAL")

    def replace_scenarios(self, rows: Iterable[Record], *, account: str | None = None) -> int:
        """Put `rows` in place of all scenarios (of one account when given), in one transaction."""
        with self.transaction() as connection:
            if account is None:
                connection.execute("DELETE FROM scenarios")
            else:
                connection.execute("DELETE FROM scenarios WHERE account = ?", (account,))
            return _insert(connection, "INSERT", "scenarios", rows)

    def scenarios(self, account: str | None = None) -> list[Row]:
        """Rows of the table `scenarios`, by account, symbol, side and size."""
        return self.select(
            "SELECT * FROM scenarios WHERE account = coalesce(?, account)"
            " ORDER BY account, symbol, side, steps",
            account,
        )

    def record_decisions(self, decisions: Iterable[Decision]) -> int:
        """Store decisions; one that is stored already stays as it is."""
        return self._record("INSERT OR IGNORE", "decisions", decisions)

    def record_orders(self, orders: Iterable[Order]) -> int:
        """Store orders as they stand now, in place of what was known of them."""
        return self._record("INSERT OR REPLACE", "orders", orders)

    def record_fills(self, fills: Iterable[Fill]) -> int:
        """Store fills; one of the same venue and execution id is stored once."""
        return self._record("INSERT OR IGNORE", "fills", fills)

    def decisions(self, *, symbol: str | None = None, limit: int = 1_000) -> list[Decision]:
        """Newest decisions first."""
        rows = self.select(
            "SELECT * FROM decisions WHERE symbol = coalesce(?, symbol)"
            " ORDER BY ts_decide DESC, rowid DESC LIMIT ?",
            symbol,
            limit,
        )
        stages = [msgspec.json.decode(str(row.pop("stages_us")), type=dict) for row in rows]
        return [
            msgspec.convert(row | {"stages_us": stage}, Decision)
            for row, stage in zip(rows, stages, strict=True)
        ]

    def orders(self, *, account: str | None = None, limit: int = 1_000) -> list[Order]:
        """Newest orders first."""
        rows = self.select(
            "SELECT * FROM orders WHERE account = coalesce(?, account)"
            " ORDER BY created_ns DESC, rowid DESC LIMIT ?",
            account,
            limit,
        )
        return msgspec.convert(rows, list[Order])

    def fills(self, *, client_order_id: str | None = None) -> list[Fill]:
        """Return fills in time order, of one order when given."""
        rows = self.select(
            "SELECT * FROM fills WHERE client_order_id = coalesce(?, client_order_id)"
            " ORDER BY ts_event, rowid",
            client_order_id,
        )
        return msgspec.convert(rows, list[Fill])

    def _record(self, verb: str, table: str, rows: Iterable[Record]) -> int:
        with self.transaction() as connection:
            return _insert(connection, verb, table, rows)

    def select(self, query: str, *values: object) -> list[Row]:
        """Rows of a query; values go in as parameters, never into the text."""
        with self._lock:
            return [dict(row) for row in self._connection.execute(query, values)]

    def _migrate(self, path: Path) -> None:
        with self.transaction() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > len(MIGRATIONS):
                raise FatalError(f"{path} has ledger version {version}, newer than this program")
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _insert(connection: sqlite3.Connection, verb: str, table: str, rows: Iterable[Record]) -> int:
    kept = [_plain(row) for row in rows]
    if not kept:
        return 0
    names = [str(row["name"]) for row in connection.execute(f"PRAGMA table_info({table})")]
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(f":{name}" for name in names)
    # Only names from the schema above go into the statement.
    statement = f"{verb} INTO {table} ({columns}) VALUES ({values})"
    return connection.executemany(statement, kept).rowcount


def _plain(row: Record) -> Row:
    items = msgspec.structs.asdict(row) if isinstance(row, msgspec.Struct) else dict(row)
    return {name: _storable(value) for name, value in items.items()}


def _storable(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return msgspec.json.encode(value).decode()
    return value
