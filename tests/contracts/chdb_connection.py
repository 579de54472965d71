"""`ClickHouse` on the embedded engine of chdb: the modern dialect's SQL without its server."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from core.errors import Unavailable
from storage.clickhouse_connection import Column
from storage.clickhouse_dialect import MODERN, Dialect, Value, with_literals


class ChdbConnection:
    """A new database of a chdb session. chdb bears one session in a process, so tests share it."""

    dialect: Dialect = MODERN

    def __init__(self, session: Any, database: str = "contract") -> None:
        self._session = session
        self.command(f"DROP DATABASE IF EXISTS {database}")
        self.command(f"CREATE DATABASE {database}")
        self.command(f"USE {database}")

    def select(self, statement: str, **values: Value) -> list[Column]:
        answer = self._query(statement, "Arrow", {k: _sent(v) for k, v in values.items()})
        if not answer.bytes():
            return []
        table = pa.ipc.open_file(pa.BufferReader(answer.bytes())).read_all()
        if len(table) == 0:
            return []
        return [_column(table.column(at).combine_chunks()) for at in range(table.num_columns)]

    def insert(self, table: str, columns: Mapping[str, Column]) -> None:
        rows = pa.table({name: pa.array(values) for name, values in columns.items()})  # noqa: F841
        stamps = {"ts", "ts_event", "ts_decide"}
        kept = [self.dialect.stamp_of(name) if name in stamps else name for name in columns]
        names = ", ".join(columns)
        self._session.query(
            f"INSERT INTO {table} ({names}) SELECT {', '.join(kept)} FROM Python(rows)"
        )

    def command(self, statement: str, **values: Value) -> None:
        self._query(with_literals(statement, values), "CSV", {})

    def close(self) -> None:
        """The session lives on."""

    def _query(self, statement: str, form: str, values: dict[str, Value]) -> Any:
        try:
            return self._session.query(statement, form, params=values)
        except RuntimeError as error:
            raise Unavailable(f"chdb: {str(error)[:300]}") from error


def _sent(value: Value) -> Value:
    """A bound parameter as the server reads it: text as a field of a TSV file."""
    return value.translate(_TSV) if isinstance(value, str) else value


_TSV = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\0": "\\0", "\r": "\\r"})


def _column(values: Any) -> Column:
    if pa.types.is_string(values.type) or pa.types.is_binary(values.type):
        return np.array([_text(value) for value in values.to_pylist()], object)
    return np.asarray(values.to_numpy(zero_copy_only=False))


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
