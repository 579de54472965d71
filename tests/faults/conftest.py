"""Real stores to be failed."""

from tests.servers import clickhouse_server, postgres_server

__all__ = ["clickhouse_server", "postgres_server"]
