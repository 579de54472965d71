"""The stores that the settings name: embedded by default, servers when configured.

Drivers are imported where they are used: what is not chosen is not loaded.
"""

from typing import TYPE_CHECKING

from core.clock import SystemClock
from core.config import StorageConfig
from storage.parquet import TickStore
from storage.ports import LedgerStore, Ticks
from storage.sqlite import Ledger

if TYPE_CHECKING:
    from storage.analysis import AnalysisSink
    from storage.clickhouse_connection import NativeConnection
    from storage.streams import TickBus


def open_ticks(config: StorageConfig) -> Ticks:
    """Open the tick store; raises Unavailable when its server does not answer."""
    if config.tick_store == "parquet":
        return TickStore(config.ticks)
    from storage.cached_ticks import CachedTicks  # noqa: PLC0415
    from storage.clickhouse import ClickHouseTicks  # noqa: PLC0415
    from storage.query_cache import QueryCache  # noqa: PLC0415

    cache = QueryCache(
        SystemClock(),
        entries=config.query_cache_entries,
        max_bytes=config.query_cache_bytes,
        ttl_secs=config.query_cache_secs,
    )
    return CachedTicks(ClickHouseTicks(_clickhouse(config)), cache)


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


def open_analysis(config: StorageConfig) -> "AnalysisSink | None":
    """Return where decisions and latency samples go for analysis, if anywhere.

    Nothing is asked of the server yet, so that it may be away at the start.
    """
    if config.analysis_store == "none":
        return None
    from storage.analysis import AnalysisSink  # noqa: PLC0415

    return AnalysisSink(_clickhouse(config))


def open_tick_bus(config: StorageConfig) -> "TickBus | None":
    """Return the bus that live quotes are published on, if any; it connects when first used."""
    if config.tick_bus == "none":
        return None
    from storage.streams import RedisTickBus  # noqa: PLC0415

    return RedisTickBus(config.tick_bus_url, timeout_secs=config.timeout_secs)


def _clickhouse(config: StorageConfig) -> "NativeConnection":
    from storage.clickhouse_connection import NativeConnection  # noqa: PLC0415

    return NativeConnection(
        config.clickhouse_url,
        timeout_secs=config.timeout_secs,
        threads=config.query_threads,
        memory_bytes=config.query_bytes,
    )
