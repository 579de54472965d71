"""Cached rows: bounded, keyed by everything they depend on, and believed only when they fit."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import ManualClock
from core.columns import QuoteColumns
from core.config import CacheConfig
from features.cache import (
    FIRST,
    HIT_AGE,
    SECOND,
    FeatureRow,
    KeptRows,
    RowCache,
    decode_row,
    encode_row,
    history_key,
    tick_key,
)
from features.spec import spec_named
from storage.guarded import GuardedCache
from storage.memory import MemoryCache

SPEC = spec_named("core-tick")


def row(seq: int = 1) -> FeatureRow:
    values = np.arange(SPEC.n_features, dtype=np.float32) / 7
    return FeatureRow(values, SPEC.fingerprint, seq, 5, 1_000)


def test_it_never_holds_more_rows_than_its_bound() -> None:
    rng, rows = random.Random(4), KeptRows(20)
    for _ in range(5_000):
        key = str(int(60 * rng.random() ** 2))
        if rows.get(key) is None:
            rows.put(key, row())
        assert len(rows) <= 20
    assert len(rows) == 20


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=100))
def test_what_it_gives_is_what_was_last_put(steps: list[tuple[bool, int]]) -> None:
    rows, told = KeptRows(4), dict[str, FeatureRow]()
    for number, (puts, key) in enumerate(steps):
        if puts:
            told[str(key)] = row(number)
            rows.put(str(key), told[str(key)])
            assert rows.get(str(key)) is told[str(key)]
        else:
            got = rows.get(str(key))
            assert got is None or got is told[str(key)]


def test_a_flood_of_keys_that_come_once_leaves_the_others() -> None:
    rows = KeptRows(1_000)
    wanted = [f"w{i}" for i in range(600)]
    for key in wanted:
        rows.put(key, row())
        assert rows.get(key) is not None
    for flood in range(50_000):
        rows.put(f"f{flood}", row())
    assert all(rows.get(key) is not None for key in wanted)


def test_wanted_keys_may_change() -> None:
    rng, rows = random.Random(1), KeptRows(1_000)
    for phase in range(3):
        hits = asked = 0
        for step in range(20_000):
            key = f"{phase}-{int(700 * rng.random() ** 2)}" if step % 2 else f"{phase}-once-{step}"
            found = rows.get(key)
            if found is None:
                rows.put(key, row())
            if step % 2 and step > 10_000:
                asked, hits = asked + 1, hits + (found is not None)
        assert hits / asked > 0.8, f"phase {phase}"


def test_keys_tell_apart_what_makes_another_row(
    make_ticks: Callable[..., QuoteColumns], make_minutes: Callable[..., QuoteColumns]
) -> None:
    ticks, minutes = make_ticks(50), make_minutes(50)
    keys = [
        tick_key(SPEC, "EURUSD", 1e-4, 7),
        tick_key(SPEC, "EURUSD", 1e-4, 8),
        tick_key(SPEC, "GBPUSD", 1e-4, 7),
        tick_key(SPEC, "EURUSD", 1e-2, 7),
        tick_key(spec_named("core-bar"), "EURUSD", 1e-4, 7),
        history_key(SPEC, "EURUSD", 1e-4, ticks),
        history_key(SPEC, "GBPUSD", 1e-4, ticks),
        history_key(SPEC, "EURUSD", 1e-4, ticks, 8),
        history_key(SPEC, "EURUSD", 1e-4, ticks[1:]),
        history_key(SPEC, "EURUSD", 1e-4, minutes),
    ]
    for made, names in ((ticks, ("ts", "bid", "ask", "volume", "span")), (minutes, ("high",))):
        for name in names:
            column = getattr(made, name).copy()
            column[17] += 1 if column.dtype == np.int64 else 1e-7
            keys.append(history_key(SPEC, "EURUSD", 1e-4, replace(made, **{name: column})))
    assert len(set(keys)) == len(keys)
    copied = QuoteColumns(*(getattr(ticks, f).copy() for f in QuoteColumns.__slots__))
    assert history_key(SPEC, "EURUSD", 1e-4, copied) == keys[5]


def test_rows_come_back_to_the_bit() -> None:
    first = row()
    again = decode_row(encode_row(first), SPEC)
    assert again is not None
    assert again.values.tobytes() == first.values.tobytes()
    assert (again.seq, again.ts_event, again.made_ns) == (1, 5, 1_000)
    assert not again.values.flags.writeable


@given(st.binary(max_size=200))
def test_bytes_that_are_no_row_of_the_spec_are_none(data: bytes) -> None:
    assert decode_row(data, SPEC) is None
    good = encode_row(row())
    assert decode_row(good[: len(good) // 2] + data, SPEC) is None
    assert decode_row(good, spec_named("core-bar")) is None
    bad = msgspec.structs.replace(row(), values=np.full(SPEC.n_features, np.nan, np.float32))
    assert decode_row(encode_row(bad), SPEC) is None
    short = msgspec.structs.replace(row(), values=np.zeros(3, np.float32))
    assert decode_row(encode_row(short), SPEC) is None


@pytest.mark.parametrize("damaged", [False, True])
def test_a_row_is_found_in_either_level_and_counted(damaged: bool) -> None:
    async def body() -> None:
        clock = ManualClock(3_000)
        store = MemoryCache(10_000, clock)
        guarded = GuardedCache(store, CacheConfig(store_ms=1_000.0), clock)
        guarded.start()
        cache = RowCache(10, guarded, clock)
        cache.put("a", row())
        assert cache.find("a") is not None
        await guarded.flush()
        other = RowCache(10, guarded, clock)
        assert other.find("a") is None
        if damaged:
            await store.put({"a": b"\x00nothing"}, 9.0)
            assert await other.fetch("a", SPEC) is None
            assert other.foreign == 1
        else:
            got = await other.fetch("a", SPEC)
            assert got is not None
            assert other.find("a") is got
            assert other.latencies.summaries()[HIT_AGE].max == 2_000
        assert await other.fetch("b", SPEC) is None
        assert (other.hits, other.misses) == (int(not damaged), 1)
        assert guarded.counts.misses == 1
        assert {FIRST, SECOND} <= set(other.latencies.summaries())
        await guarded.close()

    asyncio.run(body())
