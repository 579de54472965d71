"""Bring a ClickHouse database to the schema of this version."""

import time

import numpy as np

from core.errors import FatalError
from storage.clickhouse_connection import ClickHouse
from storage.migrations import migrations

_VERSIONS = """CREATE TABLE IF NOT EXISTS schema_migrations
  (version Int64, name String, applied Int64) ENGINE = MergeTree ORDER BY version"""


def schema_version(connection: ClickHouse) -> int:
    """Version of the newest step that was applied; 0 for a new database."""
    known = connection.select("SELECT name FROM system.tables WHERE database = currentDatabase()")
    if not known or "schema_migrations" not in known[0].tolist():
        return 0
    found = connection.select("SELECT max(version) FROM schema_migrations")
    return int(found[0][0]) if found else 0


def newest_version(connection: ClickHouse) -> int:
    """Version that this program brings a database to."""
    return migrations(connection.dialect.name)[-1].version


def migrate(connection: ClickHouse) -> int:
    """Apply the steps that are missing; return how many were.

    ClickHouse has no transactions over DDL: a step only creates what is not there, so one that was
    interrupted is run again as a whole.

    Raises
    ------
    FatalError
        When the database was made by a newer version of the project.
    """
    current, steps = schema_version(connection), migrations(connection.dialect.name)
    if current > steps[-1].version:
        raise FatalError(f"the ClickHouse schema has version {current}, newer than this program")
    connection.command(_VERSIONS)
    missing = [step for step in steps if step.version > current]
    for step in missing:
        for statement in step.statements:
            connection.command(statement)
        row = (step.version, step.name, time.time_ns())
        columns = zip(("version", "name", "applied"), row, strict=True)
        connection.insert(
            "schema_migrations",
            {name: np.array([value], object if name == "name" else np.int64)
             for name, value in columns},
        )  # fmt: skip
    return len(missing)
