"""Versions at hand beside those that trade: few, warm, and loaded once however many ask.

Bounded by count and bytes. What goes to make room is what was used least, older uses counting less;
never what is pinned or in use.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from core.errors import Conflict, Unavailable
from models.inference.artifact import LoadedModel

HALF_LIFE_SECS = 60.0


class Key(NamedTuple):
    """A version of a model."""

    name: str
    version: str


@dataclass(slots=True)
class _Kept:
    model: LoadedModel
    bytes: int
    pinned: bool
    using: int = 0
    uses: float = 0.0
    counted_at: float = 0.0
    # Engines have buffers of their own: one row at a time.
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def count(self, now: float) -> None:
        self.uses, self.counted_at = self.worth(now) + 1.0, now

    def worth(self, now: float) -> float:
        return float(self.uses * 0.5 ** ((now - self.counted_at) / HALF_LIFE_SECS))


class Shelf:
    """Loaded versions, lent one call at a time.

    Parameters
    ----------
    load : callable
        Loads, verifies and warms a version; blocks, so it runs in a thread. Raises NotFound,
        ArtifactRefused, Unavailable.
    most : int
        Versions kept.
    most_bytes : int
        Bytes of artifacts kept.
    now : callable
        Monotonic clock in seconds.

    Attributes
    ----------
    hits, misses, evicted, refused : int
    """

    def __init__(
        self,
        load: Callable[[Key], LoadedModel],
        most: int,
        most_bytes: int,
        now: Callable[[], float],
    ) -> None:
        self._load = load
        self._most = most
        self._most_bytes = most_bytes
        self._now = now
        self._kept: dict[Key, _Kept] = {}
        self._coming: dict[Key, asyncio.Task[_Kept]] = {}
        self.hits = self.misses = self.evicted = self.refused = 0

    @property
    def versions(self) -> dict[Key, LoadedModel]:
        """What is kept now."""
        return {key: kept.model for key, kept in self._kept.items()}

    @property
    def bytes(self) -> int:
        """Size of what is kept."""
        return sum(kept.bytes for kept in self._kept.values())

    def is_pinned(self, key: Key) -> bool:
        """Tell whether a version stays whatever comes."""
        return key in self._kept and self._kept[key].pinned

    def at_hand(self, key: Key) -> LoadedModel | None:
        """Give a version for a call without any wait in it; None when it is not there, or lent."""
        kept = self._kept.get(key)
        if kept is None or kept.turn.locked():
            return None
        self.hits += 1
        kept.count(self._now())
        return kept.model

    @asynccontextmanager
    async def lend(self, key: Key) -> AsyncIterator[LoadedModel]:
        """Give a version for one call, loading it when it is not there.

        Raises
        ------
        Unavailable
            When everything kept is pinned or in use; also what loading raises.
        """
        kept = await self._obtain(key)
        kept.using += 1
        kept.count(self._now())
        try:
            async with kept.turn:
                yield kept.model
        finally:
            kept.using -= 1

    async def keep(self, key: Key, *, pin: bool) -> None:
        """Have a version at hand; raises as `lend`."""
        kept = await self._obtain(key)
        kept.pinned = kept.pinned or pin

    def drop(self, key: Key) -> bool:
        """Let go of a version, pinned or not; tell whether it was there.

        Raises
        ------
        Conflict
            When it is in use.
        """
        kept = self._kept.get(key)
        if kept is None:
            return False
        if kept.using:
            raise Conflict(f"{key.name} version {key.version} is in use; try again")
        del self._kept[key]
        return True

    async def _obtain(self, key: Key) -> _Kept:
        kept = self._kept.get(key)
        if kept is not None:
            self.hits += 1
            return kept
        task = self._coming.get(key)
        if task is None:
            self.misses += 1
            task = self._coming[key] = asyncio.create_task(self._bring(key))
            task.add_done_callback(partial(self._came, key))
        # Who gives up waiting does not take it from the others.
        return await asyncio.shield(task)

    def _came(self, key: Key, task: asyncio.Task[_Kept]) -> None:
        del self._coming[key]
        if not task.cancelled():
            task.exception()  # told to who waits, if anybody still does

    async def _bring(self, key: Key) -> _Kept:
        model = await asyncio.to_thread(self._load, key)
        size = sum(entry.size for entry in model.manifest.files.values())
        self._make_room(size)
        kept = _Kept(model, size, pinned=False, counted_at=self._now())
        self._kept[key] = kept
        return kept

    def _make_room(self, size: int) -> None:
        now = self._now()
        idle = sorted(
            (key for key, kept in self._kept.items() if not (kept.pinned or kept.using)),
            key=lambda key: self._kept[key].worth(now),
        )
        while len(self._kept) >= self._most or self.bytes + size > self._most_bytes:
            if not idle:
                self.refused += 1
                raise Unavailable("all versions at hand are pinned or in use; unload one")
            del self._kept[idle.pop(0)]
            self.evicted += 1
