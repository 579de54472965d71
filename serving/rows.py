"""Opens the caches and the pool behind rows on demand."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Protocol

from core.clock import Clock
from core.config import CacheConfig, Config
from core.instruments import InstrumentTable
from features.cache import RowCache
from features.on_demand import OnDemandRows
from serving.admission import Admission
from serving.live_features import LiveFeatures
from serving.on_demand import OnDemand
from serving.sharing import LiveRows
from storage.cache import CacheStore
from storage.guarded import GuardedCache
from storage.memory import MemoryCache
from storage.redis import RedisCache
from trading.engine import TradingEngine
from trading.ports import Predictor


class Scoring(Protocol):
    """Everything between a quote and a prediction, as `serving.wiring` joins it."""

    @property
    def features(self) -> LiveFeatures:
        """Live rows."""
        ...

    @property
    def admission(self) -> Admission:
        """Says what is being rebuilt."""
        ...

    @property
    def requested(self) -> Predictor:
        """Models that serve, for requests."""
        ...


def open_on_demand(
    config: Config,
    engine: TradingEngine,
    scoring: Scoring,
    instruments: InstrumentTable,
    clock: Clock,
    stack: AsyncExitStack,
) -> OnDemand:
    """Open the answers to requests for rows; `stack` closes what is behind them."""
    live = LiveRows(instruments, scoring.features, scoring.admission, engine.account.marks)
    opened = OnDemand(
        instruments=instruments,
        features=scoring.features,
        live=live,
        predictor=scoring.requested,
        rows=open_rows(config.cache, clock, stack),
        clock=clock,
        costs=config.costs,
        policy=config.decision,
        cache=config.cache,
        prefix=f"H{clock.now_ns():x}-",
    )
    if config.cache.second != "memory" and config.cache.share_ms > 0:
        telling = live.tell_forever(opened.shared, config.cache.share_ms / 1e3)
        stack.callback(asyncio.create_task(telling, name="shared rows").cancel)
    return opened


def open_rows(config: CacheConfig, clock: Clock, stack: AsyncExitStack) -> OnDemandRows:
    """Open what `config` says; `stack` closes it. A server that is away is no error here."""
    second = GuardedCache(_store(config, clock), config, clock)
    stack.push_async_callback(second.close)
    second.start()
    pool = ThreadPoolExecutor(config.compute_threads, "features")
    stack.callback(pool.shutdown, wait=True, cancel_futures=True)
    return OnDemandRows(RowCache(config.rows, second, clock), config, clock, pool)


def _store(config: CacheConfig, clock: Clock) -> CacheStore:
    if config.second == "memory":
        return MemoryCache(config.second_bytes, clock)
    return RedisCache(config.url)
