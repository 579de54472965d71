"""The embedded cache store: bytes in this process, bounded by their size."""

from collections import OrderedDict
from collections.abc import Mapping

from core.clock import Clock


class MemoryCache:
    """A `storage.cache.CacheStore` without a server; the least recently used goes first.

    Parameters
    ----------
    max_bytes : int
        Bound of keys and values together. A value that is larger on its own is not kept.
    clock : Clock
        Its monotonic time ages the entries.
    """

    def __init__(self, max_bytes: int, clock: Clock) -> None:
        self._max_bytes, self._clock = max_bytes, clock
        self._entries: OrderedDict[str, tuple[bytes, int]] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: str) -> bytes | None:
        """Return the value, or None when there is none or it is too old."""
        found = self._entries.get(key)
        if found is None:
            return None
        value, until_ns = found
        if self._clock.monotonic_ns() >= until_ns:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def put(self, entries: Mapping[str, bytes], ttl_secs: float) -> None:
        """Keep values, and let go of the least recently used ones beyond the bound."""
        until_ns = self._clock.monotonic_ns() + int(ttl_secs * 1e9)
        for key, value in entries.items():
            if key in self._entries:
                self._drop(key)
            self._entries[key] = (value, until_ns)
            self.size += len(key) + len(value)
        while self.size > self._max_bytes:
            self._drop(next(iter(self._entries)))

    async def ping(self) -> None:
        """Answer."""

    async def close(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size = 0

    def _drop(self, key: str) -> None:
        value, _ = self._entries.pop(key)
        self.size -= len(key) + len(value)
