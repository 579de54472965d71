"""The cache port: bytes by key, for values that can be made again.

A cache may forget anything at any time. What it gives back is what was put under that key, whole.
Callers go through `storage.guarded.GuardedCache`, which adds the time budget, the breaker and the
write-behind that are the same for every store.
"""

from collections.abc import Mapping
from typing import Protocol


class CacheStore(Protocol):
    """One second-level store; the suite that all of them pass is ``tests/contracts``."""

    async def get(self, key: str) -> bytes | None:
        """Return the value, or None when the store holds none (any more).

        Raises
        ------
        core.errors.Unavailable
            When the store does not answer, or not as one of its kind would.
        """
        ...

    async def put(self, entries: Mapping[str, bytes], ttl_secs: float) -> None:
        """Keep values for `ttl_secs` at most, all in one exchange; raises like `get`."""
        ...

    async def ping(self) -> None:
        """Return when the store answers; raises like `get`."""
        ...

    async def close(self) -> None:
        """Give up connections; never raises."""
        ...
