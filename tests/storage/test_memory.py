"""The embedded store forgets by size and by age."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from core.clock import ManualClock
from storage.memory import MemoryCache


def test_the_least_recently_used_goes_first() -> None:
    async def body() -> None:
        store = MemoryCache(30, ManualClock())
        await store.put({"a": b"1" * 9, "b": b"2" * 9, "c": b"3" * 9}, 1.0)
        assert await store.get("a") is not None
        await store.put({"d": b"4" * 9}, 1.0)
        assert [await store.get(key) is not None for key in "abcd"] == [True, False, True, True]
        await store.put({"e": b"5" * 30}, 1.0)
        assert await store.get("e") is None, "larger than the whole store"

    asyncio.run(body())


def test_age_counts_from_the_last_put() -> None:
    async def body() -> None:
        clock = ManualClock()
        store = MemoryCache(1_000, clock)
        await store.put({"a": b"1"}, 1.0)
        clock.advance(999_999_999)
        assert await store.get("a") == b"1"
        clock.advance(1)
        assert await store.get("a") is None
        assert (len(store), store.size) == (0, 0)

    asyncio.run(body())


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 60)), max_size=40))
def test_it_never_holds_more_than_its_bound(puts: list[tuple[str, int]]) -> None:
    async def body() -> None:
        store = MemoryCache(100, ManualClock())
        for key, size in puts:
            await store.put({key: b"x" * size}, 1.0)
            assert store.size <= 100
            held = [(k, await store.get(k)) for k in "abcdefgh"]
            assert store.size == sum(len(k) + len(v) for k, v in held if v is not None)

    asyncio.run(body())
