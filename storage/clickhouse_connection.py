"""A connection to a ClickHouse server over its native protocol, in columns of NumPy."""

import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import numpy as np
from clickhouse_driver import Client, errors
from numpy.typing import NDArray

from core.errors import BadInput, Unavailable
from storage.clickhouse_dialect import Dialect, Value, dialect_for, with_literals

Column = NDArray[Any]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PORT = 9000
# Each failure reaches the caller as Unavailable; the driver would log every attempt beside it.
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)


class ClickHouse(Protocol):
    """What the adapters need of a server; every method raises Unavailable when it fails."""

    @property
    def dialect(self) -> Dialect:
        """How to speak to it."""
        ...

    def select(self, statement: str, **values: Value) -> list[Column]:
        """Columns of the answer; an empty list when there is no row."""
        ...

    def insert(self, table: str, columns: Mapping[str, Column]) -> None:
        """Insert one block."""
        ...

    def command(self, statement: str, **values: Value) -> None:
        """Run a statement without an answer."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class NativeConnection:
    """A `ClickHouse` by clickhouse-driver; calls from several threads take turns.

    After a failure the connection is dropped and the next call opens a new one, so that an answer
    that comes late is never taken for that of another call.

    Parameters
    ----------
    url : str
        ``clickhouse://user:password@host:port/database``.
    timeout_secs : float
        Longest silence of the server within a call.
    threads, memory_bytes : int
        Bounds of each query.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_secs: float = 5.0,
        threads: int = 2,
        memory_bytes: int = 2_000_000_000,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "clickhouse" or not parts.hostname:
            raise BadInput(f"{url!r} is no address clickhouse://host:port/database")
        self._settings = {
            "max_threads": threads,
            "max_memory_usage": memory_bytes,
            "use_uncompressed_cache": 1,
        }
        self._where = f"{parts.hostname}:{parts.port or _PORT}"
        self._options: dict[str, Any] = {
            "host": parts.hostname,
            "port": parts.port or _PORT,
            "user": unquote(parts.username or "default"),
            "password": unquote(parts.password or ""),
            "database": parts.path.strip("/") or "default",
            "connect_timeout": min(timeout_secs, 2.0),
            "send_receive_timeout": timeout_secs,
            "sync_request_timeout": timeout_secs,
        }
        self._lock = threading.RLock()
        self._client: Client | None = None
        self._dialect: Dialect | None = None

    @property
    def dialect(self) -> Dialect:
        """How to speak to the server, told from its version at the first connection."""
        if self._dialect is None:
            with self._calling() as client:
                client.connection.force_connect()
                self._dialect = dialect_for(client.connection.server_info.version_tuple())
            self.close()  # whether parameters are bound by the server is fixed at its making
        return self._dialect

    def select(self, statement: str, **values: Value) -> list[Column]:
        """Run a query; numbers come as they are stored, strings as objects."""
        bound = self._bound(statement, values)
        with self._calling() as client:
            found = client.execute(*bound, columnar=True, settings=self._settings)
        return [np.asarray(column) for column in found]

    def insert(self, table: str, columns: Mapping[str, Column]) -> None:
        """Insert one block, as it lies in memory."""
        names = ", ".join(_checked(name) for name in columns)
        statement = f"INSERT INTO {_checked(table)} ({names}) VALUES"
        rows: Sequence[Column] = list(columns.values())
        with self._calling() as client:
            client.execute(statement, rows, columnar=True)

    def command(self, statement: str, **values: Value) -> None:
        """Run a statement; parameters of DDL are always written as literals."""
        with self._calling() as client:
            client.execute(with_literals(statement, values))

    def close(self) -> None:
        """Drop the connection."""
        with self._lock:
            client, self._client = self._client, None
            if client is not None:
                client.disconnect()

    def _bound(
        self, statement: str, values: Mapping[str, Value]
    ) -> tuple[str, Mapping[str, Value] | None]:
        if self.dialect.binds:
            return statement, values or None
        return with_literals(statement, values), None

    @contextmanager
    def _calling(self) -> Iterator[Client]:
        with self._lock:
            if self._client is None:
                binds = {"server_side_params": bool(self._dialect and self._dialect.binds)}
                settings = {"use_numpy": True, **binds}
                self._client = Client(**self._options, settings=settings)
            try:
                yield self._client
            except (errors.Error, OSError, EOFError) as error:
                self.close()
                said = str(error).split("Stack trace")[0].strip()
                raise Unavailable(f"clickhouse {self._where}: {said[:300]}") from error
            except BaseException:
                self.close()  # interrupted half-way: what comes now belongs to the old call
                raise


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} is no name of a table or column")
    return name
