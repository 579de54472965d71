"""Fixtures of real servers, one of each kind for a test session.

A conftest imports those that it offers. Without the program a test skips with the reason; with
``SERVERS_REQUIRED`` set it fails, so that a run that must use them cannot pass without.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from core.errors import Unavailable
from storage.servers import processes
from storage.servers.processes import Server

PACKAGES = Path(__file__).resolve().parent.parent / "var" / "servers"


def _serve(kind: Callable[[Path], AbstractContextManager[Server]]) -> Iterator[Server]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(kind(PACKAGES))
        except Unavailable as error:
            if os.environ.get("SERVERS_REQUIRED"):
                raise
            pytest.skip(str(error))
        yield server


@pytest.fixture(scope="session")
def clickhouse_server() -> Iterator[Server]:
    yield from _serve(processes.clickhouse)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    yield from _serve(processes.postgres)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    yield from _serve(processes.redis)


@contextmanager
def fresh_servers(packages: Path) -> Iterator[dict[str, Server]]:
    """Run new servers for one test that is going to hurt them."""
    with ExitStack() as stack:
        found = {}
        for name, kind in (
            ("clickhouse", processes.clickhouse),
            ("postgres", processes.postgres),
        ):
            try:
                found[name] = stack.enter_context(kind(packages))
            except Unavailable as error:
                if os.environ.get("SERVERS_REQUIRED"):
                    raise
                pytest.skip(str(error))
        yield found
