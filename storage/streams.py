"""The tick bus: quotes to the shards that trade their symbols, by Redis Streams.

One stream a shard. Readers of a group share its quotes; what a reader took and did not acknowledge
stays its own until another claims it, so a shard that died loses nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from core.errors import BadInput, Unavailable
from core.types import Quote
from storage.row_codec import decode_quotes, encode_quotes

_FIELD = b"quotes"


class Delivery(NamedTuple):
    """Quotes that were published together, and the id to acknowledge them by."""

    id: str
    quotes: list[Quote]


class TickBus(Protocol):
    """Quotes by shard; every method raises Unavailable when the bus does not answer."""

    async def publish(self, shard: str, quotes: Sequence[Quote]) -> str:
        """Put quotes on a shard's stream; returns their id."""
        ...

    async def join(self, shard: str, group: str) -> None:
        """Make a group that begins with the oldest quotes kept; it may be there already."""
        ...

    async def take(
        self, shard: str, group: str, reader: str, *, most: int, wait_ms: int
    ) -> list[Delivery]:
        """Take what no reader of the group has taken yet, oldest first; waits at most `wait_ms`."""
        ...

    async def acknowledge(self, shard: str, group: str, ids: Sequence[str]) -> None:
        """Tell that deliveries are dealt with."""
        ...

    async def claim(
        self, shard: str, group: str, reader: str, *, idle_ms: int, most: int
    ) -> list[Delivery]:
        """Take over what others took at least `idle_ms` ago and did not acknowledge."""
        ...

    async def close(self) -> None:
        """Give up connections."""
        ...


class RedisTickBus:
    """A `TickBus` on Redis 6.2 or later.

    Parameters
    ----------
    url : str
        ``redis://``, ``rediss://`` or ``unix://``.
    kept : int
        Deliveries that a stream keeps at least, dealt with or not; older ones are trimmed.
    """

    def __init__(self, url: str, *, kept: int = 100_000, timeout_secs: float = 5.0) -> None:
        try:
            self._redis = Redis.from_url(
                url,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                socket_connect_timeout=timeout_secs,
                socket_timeout=timeout_secs,
            )
        except ValueError as error:
            raise BadInput(f"tick bus: {error}") from None
        self._kept = kept

    async def publish(self, shard: str, quotes: Sequence[Quote]) -> str:
        """Add one entry to the stream."""
        fields: Any = {_FIELD: encode_quotes(quotes)}
        added = self._redis.xadd(_stream(shard), fields, maxlen=self._kept, approximate=True)
        return _text(await _answered(added))

    async def join(self, shard: str, group: str) -> None:
        """Make the group, and the stream with it."""
        try:
            await _answered(self._redis.xgroup_create(_stream(shard), group, "0", mkstream=True))
        except Unavailable as error:
            busy = isinstance(error.__cause__, ResponseError) and "BUSYGROUP" in str(error)
            if not busy:
                raise

    async def take(
        self, shard: str, group: str, reader: str, *, most: int, wait_ms: int
    ) -> list[Delivery]:
        """Read new entries as `reader`; `wait_ms` must be below the time-out of the connection."""
        asked = self._redis.xreadgroup(
            group, reader, {_stream(shard): ">"}, count=most, block=wait_ms or None
        )
        found = await _answered(asked)
        return _deliveries(found[0][1]) if found else []

    async def acknowledge(self, shard: str, group: str, ids: Sequence[str]) -> None:
        """Take entries off the group's pending list."""
        if ids:
            await _answered(self._redis.xack(_stream(shard), group, *ids))

    async def claim(
        self, shard: str, group: str, reader: str, *, idle_ms: int, most: int
    ) -> list[Delivery]:
        """Walk the group's pending list once; entries that were trimmed are let go."""
        found: list[Delivery] = []
        cursor = "0-0"
        while len(found) < most:
            asked = self._redis.xautoclaim(
                _stream(shard), group, reader, idle_ms, cursor, count=most - len(found)
            )
            following, entries, *_ = await _answered(asked)
            found += _deliveries(entries)
            cursor = _text(following)
            if cursor == "0-0":
                break
        return found

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()


class MemoryTickBus:
    """A `TickBus` within one process and event loop, for tests and for a single shard.

    Parameters
    ----------
    monotonic_ms : callable
        Injected time, by which a delivery is idle.
    """

    def __init__(self, monotonic_ms: Any) -> None:
        self._now_ms = monotonic_ms
        self._streams: dict[str, list[Delivery]] = {}
        self._groups: dict[tuple[str, str], _Group] = {}

    async def publish(self, shard: str, quotes: Sequence[Quote]) -> str:
        """Append to the shard's list."""
        stream = self._streams.setdefault(shard, [])
        stream.append(Delivery(f"{len(stream) + 1}-0", list(quotes)))
        return stream[-1].id

    async def join(self, shard: str, group: str) -> None:
        """Make the group."""
        self._groups.setdefault((shard, group), _Group(0, {}))

    async def take(
        self, shard: str, group: str, reader: str, *, most: int, wait_ms: int
    ) -> list[Delivery]:
        """Take what is there; nothing is waited for."""
        joined = self._group(shard, group)
        new = self._streams.get(shard, [])[joined.taken : joined.taken + most]
        self._groups[shard, group] = joined._replace(taken=joined.taken + len(new))
        joined.pending.update({one.id: (one, self._now_ms()) for one in new})
        return new

    async def acknowledge(self, shard: str, group: str, ids: Sequence[str]) -> None:
        """Forget that deliveries wait."""
        pending = self._group(shard, group).pending
        for one in ids:
            pending.pop(one, None)

    async def claim(
        self, shard: str, group: str, reader: str, *, idle_ms: int, most: int
    ) -> list[Delivery]:
        """Take over what has been idle."""
        pending, now = self._group(shard, group).pending, self._now_ms()
        idle = [one for one, since in pending.values() if now - since >= idle_ms][:most]
        pending.update({one.id: (one, now) for one in idle})
        return idle

    async def close(self) -> None:
        """Forget everything."""
        self._streams.clear()
        self._groups.clear()

    def _group(self, shard: str, group: str) -> "_Group":
        try:
            return self._groups[shard, group]
        except KeyError:
            raise Unavailable(f"tick bus: shard {shard} has no group {group}") from None


class _Group(NamedTuple):
    taken: int
    pending: dict[str, tuple[Delivery, float]]


def _stream(shard: str) -> str:
    return f"tickpath:ticks:{shard}"


async def _answered(asked: Any) -> Any:
    try:
        return await asked
    except (RedisError, OSError) as error:
        raise Unavailable(f"redis: {error}") from error


def _deliveries(entries: Any) -> list[Delivery]:
    return [
        Delivery(_text(number), decode_quotes(fields[_FIELD]))
        for number, fields in entries
        if fields
    ]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
