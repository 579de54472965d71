"""The stores that the settings name: embedded by default, servers when configured."""

from core.config import StorageConfig
from storage.parquet import TickStore
from storage.ports import LedgerStore, Ticks
from storage.sqlite import Ledger


def open_ticks(config: StorageConfig) -> Ticks:
    """Open the tick store; raises Unavailable when its server does not answer."""
    if config.tick_store == "parquet":
        return TickStore(config.ticks)
    # Drivers load only where they are used.
    from storage.clickhouse import ClickHouseTicks  # noqa: PLC0415
    from storage.clickhouse_connection import NativeConnection  # noqa: PLC0415

    return ClickHouseTicks(
        NativeConnection(
            config.clickhouse_url,
            timeout_secs=config.timeout_secs,
            threads=config.query_threads,
            memory_bytes=config.query_bytes,
        )
    )


def open_ledger(config: StorageConfig) -> LedgerStore:
    """Open the ledger; raises Unavailable when its server does not answer."""
    if config.ledger_store == "sqlite":
        return Ledger(config.ledger)
    from storage.postgres import PostgresLedger  # noqa: PLC0415
    from storage.postgres_pool import PostgresPool  # noqa: PLC0415

    return PostgresLedger(
        PostgresPool(
            config.postgres_url,
            smallest=config.pool_min,
            largest=config.pool_max,
            timeout_secs=config.timeout_secs,
        )
    )
