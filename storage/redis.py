"""The cache store that processes share: Redis."""

from collections.abc import Mapping

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.errors import BadInput, Unavailable

CONNECTIONS = 8
CONNECT_SECS = 1.0


class RedisCache:
    """A `storage.cache.CacheStore` on a Redis server (6 or later), parsed by hiredis.

    Nothing is retried here, and a new connection says nothing before its first command: both would
    eat the caller's budget. A call that is cancelled half-way costs its connection, so that its
    answer can never be taken for that of another call.

    Parameters
    ----------
    url : str
        ``redis://``, ``rediss://`` or ``unix://``.

    Raises
    ------
    BadInput
        When `url` is none of those.
    """

    def __init__(self, url: str) -> None:
        try:
            pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=CONNECT_SECS,
                protocol=2,
                driver_info=None,
                retry=Retry(NoBackoff(), 0),
                socket_timeout=None,  # the caller's budget is the only time-out
                socket_connect_timeout=CONNECT_SECS,
                health_check_interval=0,
            )
        except ValueError as error:
            raise BadInput(f"cache.url: {error}") from None
        self._redis = Redis(connection_pool=pool)

    async def get(self, key: str) -> bytes | None:
        """Return the value, or None when there is none."""
        try:
            value = await self._redis.get(key)
        except (RedisError, OSError) as error:
            raise Unavailable(f"redis: {error}") from error
        if value is not None and not isinstance(value, bytes):
            raise Unavailable(f"redis: answered {type(value).__name__} to a GET")
        return value

    async def put(self, entries: Mapping[str, bytes], ttl_secs: float) -> None:
        """Keep values, in one round trip."""
        if not entries:
            return
        ttl_ms = max(1, round(ttl_secs * 1e3))
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, value in entries.items():
                    pipe.set(key, value, px=ttl_ms)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise Unavailable(f"redis: {error}") from error

    async def ping(self) -> None:
        """Return when the server answers."""
        try:
            await self._redis.ping()
        except (RedisError, OSError) as error:
            raise Unavailable(f"redis: {error}") from error

    async def close(self) -> None:
        """Close all connections."""
        try:
            await self._redis.aclose()
            await self._redis.connection_pool.disconnect()
        except (RedisError, OSError):
            return
