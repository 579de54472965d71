"""Ledger on SQLite: the embedded searchable copy of what the journal and the models did.

The journal is the authority for orders. Money and sizes are stored as decimal text, times as
integer ns UTC.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from core.errors import BadInput, FatalError, Unavailable
from storage.ledger import LedgerBase
from storage.ledger_rows import SCENARIOS, Row, Table, on_conflict
from storage.migrations import migrations

MIGRATIONS = migrations("sqlite")
"""Steps by schema version; a ledger is brought forward from its own version at opening."""


class Ledger(LedgerBase):
    """The embedded `storage.ports.LedgerStore`; safe in several threads and processes.

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

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def maintain(self, now_ns: int) -> None:
        """Bring the statistics of the query planner up to date."""
        self._fetch("PRAGMA optimize")

    @property
    def version(self) -> int:
        """Schema version of the file."""
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Everything inside is stored, or nothing when it raises.

        Parameters
        ----------
        durable : bool
            Sync before returning, for the few rows that nothing else could bring back.

        Raises
        ------
        BadInput
            When a row breaks a rule of its table.
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
            except sqlite3.IntegrityError as error:
                self._connection.execute("ROLLBACK")
                raise BadInput(f"ledger: a row does not fit: {error}") from error
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                self._connection.execute("PRAGMA synchronous=NORMAL")

    def _fetch(self, statement: str, *values: object) -> list[Row]:
        return self.select(statement, *values)

    def select(self, statement: str, *values: object) -> list[Row]:
        """Rows of a query; values go in as parameters, never into the text."""
        with self._lock:
            try:
                return [dict(row) for row in self._connection.execute(statement, values)]
            except sqlite3.OperationalError as error:
                raise Unavailable(f"ledger: {error}") from error

    def _store(self, groups: Iterable[tuple[Table, list[Row]]]) -> int:
        with self.transaction() as connection:
            return sum(
                _insert(connection, table, rows, on_conflict(table)) for table, rows in groups
            )

    def _replace_scenarios(self, rows: list[Row], account: str | None) -> int:
        with self.transaction() as connection:
            if account is None:
                connection.execute("DELETE FROM scenarios")
            else:
                connection.execute("DELETE FROM scenarios WHERE account = ?", (account,))
            return _insert(connection, SCENARIOS, rows, "")

    def _migrate(self, path: Path) -> None:
        with self.transaction() as connection:
            if self.version > MIGRATIONS[-1].version:
                raise FatalError(
                    f"{path} has ledger version {self.version}, newer than this program"
                )
            for step in MIGRATIONS[self.version :]:
                for statement in step.statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {MIGRATIONS[-1].version}")


def _insert(connection: sqlite3.Connection, table: Table, rows: list[Row], on_conflict: str) -> int:
    if not rows:
        return 0
    columns = ", ".join(f'"{name}"' for name in table.columns)
    places = ", ".join("?" for _ in table.columns)
    # Only names from the schema go into the statement.
    statement = f"INSERT INTO {table.name} ({columns}) VALUES ({places}) {on_conflict}"
    values = ([_storable(row.get(name)) for name in table.columns] for row in rows)
    return connection.executemany(statement, values).rowcount


def _storable(value: object) -> object:
    return format(value, "f") if isinstance(value, Decimal) else value
