"""Every adapter behind its port, each new and empty for every test."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.clickhouse import ClickHouseTicks
from storage.clickhouse_connection import ClickHouse, NativeConnection
from storage.parquet import TickStore
from storage.ports import LedgerStore, Ticks
from storage.postgres import PostgresLedger
from storage.postgres_pool import PostgresPool
from storage.servers.processes import Server
from storage.sqlite import Ledger
from tests.contracts.chdb_connection import ChdbConnection
from tests.servers import clickhouse_server, postgres_server, redis_server

__all__ = ["clickhouse_server", "postgres_server", "redis_server"]


@pytest.fixture(scope="session")
def chdb_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The one session that chdb bears in a process."""
    session = pytest.importorskip("chdb.session").Session(str(tmp_path_factory.mktemp("chdb")))
    yield session
    session.close()


_NUMBERS = itertools.count(1)


def native(server: Server) -> NativeConnection:
    """Connect to a new database; old ones stay, since dropping one waits for its merges."""
    database = f"contract_{next(_NUMBERS)}"
    first = NativeConnection(f"clickhouse://127.0.0.1:{server.port}/default")
    first.command(f"CREATE DATABASE {database}")
    first.close()
    return NativeConnection(f"clickhouse://127.0.0.1:{server.port}/{database}")


@pytest.fixture(params=["portable", "modern"])
def clickhouse_connection(request: pytest.FixtureRequest) -> Iterator[ClickHouse]:
    """An empty database, on the real server (18.16) and, for the modern dialect, on chdb."""
    connection: ClickHouse
    if request.param == "portable":
        connection = native(request.getfixturevalue("clickhouse_server"))
    else:
        connection = ChdbConnection(request.getfixturevalue("chdb_session"))
    yield connection
    connection.close()


EMBEDDED = pytest.param("parquet")
SERVERS = [pytest.param(name, marks=pytest.mark.servers) for name in ("portable", "modern")]


@pytest.fixture(params=[EMBEDDED, *SERVERS])
def ticks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ticks]:
    """An empty tick store."""
    store: Ticks
    if request.param == "parquet":
        store = TickStore(tmp_path / "ticks", merge_at=4)
    elif request.param == "portable":
        server = request.getfixturevalue("clickhouse_server")
        store = ClickHouseTicks(native(server), block_rows=97)
    else:
        chdb = ChdbConnection(request.getfixturevalue("chdb_session"))
        store = ClickHouseTicks(chdb, block_rows=97)
    yield store
    store.close()


@pytest.fixture
def postgres_url(postgres_server: Server) -> str:
    """Address of a new, empty database."""
    database = f"contract_{next(_NUMBERS)}"
    address = f"postgresql://postgres@127.0.0.1:{postgres_server.port}"
    pool = PostgresPool(f"{address}/postgres", smallest=1, largest=1)
    pool.call(lambda connection: connection.execute(f"CREATE DATABASE {database}"))
    pool.close()
    return f"{address}/{database}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LedgerStore]:
    """An empty ledger."""
    store: LedgerStore
    if request.param == "sqlite":
        store = Ledger(tmp_path / "ledger.sqlite")
    else:
        url = request.getfixturevalue("postgres_url")
        store = PostgresLedger(PostgresPool(url, smallest=1, largest=4))
    yield store
    store.close()
