"""The shelf: few versions, loaded once, and none taken from who uses it."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from core.errors import ArtifactRefused, Conflict, Unavailable
from models.shelf import HALF_LIFE_SECS, Key, Shelf

A, B, C, D = (Key("m", n) for n in "1234")


class Loader:
    """Makes models of `size` bytes, counted; waits for `gate` when it has one."""

    def __init__(self, size: int = 10) -> None:
        self.size = size
        self.loads: list[Key] = []
        self.gate: threading.Event | None = None
        self.broken: set[Key] = set()
        self.now = 0.0

    def __call__(self, key: Key) -> Any:
        self.loads.append(key)
        if self.gate is not None:
            assert self.gate.wait(10)
        if key in self.broken:
            raise ArtifactRefused(f"{key} is broken")
        files = {"a": SimpleNamespace(size=self.size)}
        return SimpleNamespace(key=key, manifest=SimpleNamespace(files=files))

    def shelf(self, most: int = 3, most_bytes: int = 1_000) -> Shelf:
        return Shelf(self, most, most_bytes, lambda: self.now)


async def use(shelf: Shelf, *keys: Key) -> None:
    for key in keys:
        async with shelf.lend(key) as model:
            assert model.key == key  # type: ignore[attr-defined]


def test_the_one_used_least_makes_room() -> None:
    async def walk() -> None:
        shelf = Loader().shelf()
        await use(shelf, A, A, B, C, C, D)
        assert set(shelf.versions) == {A, C, D}
        assert (shelf.hits, shelf.misses, shelf.evicted) == (2, 4, 1)

    asyncio.run(walk())


def test_old_uses_count_less() -> None:
    async def walk() -> None:
        loader = Loader()
        shelf = loader.shelf(most=2)
        await use(shelf, *[A] * 5)
        loader.now += 10 * HALF_LIFE_SECS
        await use(shelf, B, C)
        assert set(shelf.versions) == {B, C}

    asyncio.run(walk())


def test_bytes_are_bounded_as_well() -> None:
    async def walk() -> None:
        shelf = Loader(size=400).shelf(most=10, most_bytes=1_000)
        await use(shelf, A, B, C)
        assert len(shelf.versions) == 2
        assert shelf.bytes == 800

    asyncio.run(walk())


def test_what_is_pinned_or_in_use_stays() -> None:
    async def walk() -> None:
        shelf = Loader().shelf(most=2)
        await shelf.keep(A, pin=True)
        async with shelf.lend(B):
            with pytest.raises(Unavailable, match="pinned or in use"):
                await use(shelf, C)
            with pytest.raises(Conflict, match="in use"):
                shelf.drop(B)
        await use(shelf, C)
        assert set(shelf.versions) == {A, C}
        assert shelf.is_pinned(A)
        assert shelf.drop(A)
        assert not shelf.drop(A)
        assert shelf.refused == 1

    asyncio.run(walk())


def test_a_version_that_many_ask_for_is_loaded_once() -> None:
    async def walk() -> None:
        loader = Loader()
        loader.gate = threading.Event()
        shelf = loader.shelf()
        asking = [asyncio.create_task(use(shelf, A)) for _ in range(20)]
        await asyncio.sleep(0)
        asking[0].cancel()  # who loses patience does not take it from the others
        loader.gate.set()
        await asyncio.gather(*asking[1:])
        assert loader.loads == [A]
        assert asking[0].cancelled()

    asyncio.run(walk())


def test_a_version_that_does_not_load_is_told_to_all_and_tried_again() -> None:
    async def walk() -> None:
        loader = Loader()
        loader.broken = {A}
        shelf = loader.shelf()
        told = await asyncio.gather(*(use(shelf, A) for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in told] == [ArtifactRefused] * 3
        loader.broken = set()
        await use(shelf, A)
        assert loader.loads == [A, A]

    asyncio.run(walk())


def test_a_version_is_lent_to_one_at_a_time() -> None:
    async def walk() -> None:
        shelf, inside, most = Loader().shelf(), 0, 0

        async def hold() -> None:
            nonlocal inside, most
            async with shelf.lend(A):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(hold() for _ in range(10)))
        assert most == 1

    asyncio.run(walk())


def test_a_call_without_a_wait_gets_what_nobody_has() -> None:
    async def walk() -> None:
        shelf = Loader().shelf()
        assert shelf.at_hand(A) is None
        async with shelf.lend(A) as model:
            assert shelf.at_hand(A) is None
        assert shelf.at_hand(A) is model
        await use(shelf, A, B, C, D)  # what was had without a wait counts as used
        assert A in shelf.versions

    asyncio.run(walk())
