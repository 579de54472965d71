"""A word to every serving process that a model's standing changed, so that none waits for its poll.

Redis carries it where the cache is there (`cache.second = "redis"`). It may be lost: the poll finds
the change all the same.
"""

import asyncio
import logging
from collections.abc import Callable

import redis
import redis.asyncio

from core.config import CacheConfig

log = logging.getLogger(__name__)

CHANNEL = "tickpath:standing"
_PATIENCE_SECS = 0.5
_AGAIN_SECS = 2.0


def teller(config: CacheConfig) -> Callable[[str], None]:
    """Return what tells that a model changed; never raises, and waits half a second at most."""
    if config.second != "redis":
        return lambda _model: None

    def tell(model: str) -> None:
        try:
            with redis.Redis.from_url(
                config.url, socket_timeout=_PATIENCE_SECS, socket_connect_timeout=_PATIENCE_SECS
            ) as client:
                client.publish(CHANNEL, model)
        except redis.RedisError as error:
            log.info("no notice of %s was given, polls will find it: %s", model, error)

    return tell


async def listen(config: CacheConfig, wake: Callable[[], None]) -> None:
    """Call `wake` at every notice, until cancelled; connect again as often as needed."""
    while True:
        try:
            async with (
                redis.asyncio.Redis.from_url(
                    config.url, socket_connect_timeout=_PATIENCE_SECS
                ) as client,
                client.pubsub() as channel,
            ):
                await channel.subscribe(CHANNEL)
                wake()  # what changed while nobody listened
                async for _message in channel.listen():
                    wake()
        except (redis.RedisError, OSError) as error:
            log.info("notices of new champions are not heard, polls go on: %s", error)
        await asyncio.sleep(_AGAIN_SECS)
