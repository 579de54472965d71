"""Rows on demand: each level of the cache and the computation, beside its bar and a control.

A hit in the process stands beside a bare dict, one in a real Redis beside a bare GET of the same
bytes by the same client, and a miss beside the computation alone. Rounds are interleaved; figures
are medians over rounds of each round's percentile.
"""

import gc
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import uvloop
from redis.asyncio import Redis

from benchmarks.bars import beside
from core.clock import SystemClock
from core.columns import QuoteColumns
from core.config import CacheConfig
from core.instruments import DEFAULT_INSTRUMENTS
from features.batch import compute
from features.cache import FeatureRow, KeptRows, RowCache, encode_row, history_key
from features.on_demand import OnDemandRows
from features.spec import spec_named
from market.simulator import simulate
from serving.history import HistoryBody, columns_of
from serving.routes.features import FeaturesRequest
from storage.guarded import GuardedCache
from storage.memory import MemoryCache
from storage.packing import pack, unpack
from storage.redis import RedisCache
from tests.redis_server import RedisServer

ROUNDS = 7
TERMS = DEFAULT_INSTRUMENTS.by_symbol("EURUSD")
SPEC = spec_named("full-tick")
PATIENT = CacheConfig(compute_ms=10_000.0, store_ms=1_000.0)

Timed = Callable[[], list[int]]


def timed(call: Callable[[int], object], n: int) -> list[int]:
    """Duration of each of `n` calls, ns; the clock itself takes about 40 of them."""
    now, found = time.perf_counter_ns, []
    for i in range(n):
        started = now()
        call(i)
        found.append(now() - started)
    return found


async def timed_async(call: Callable[[int], Awaitable[object]], n: int) -> list[int]:
    now, found = time.perf_counter_ns, []
    for i in range(n):
        started = now()
        await call(i)
        found.append(now() - started)
    return found


def summed(rounds: dict[str, list[list[int]]]) -> dict[str, object]:
    """Median over the rounds of each one's p50 and p99, us."""
    found: dict[str, object] = {}
    for name, each in rounds.items():
        p50, p99 = (float(np.median([np.percentile(r, q) for r in each])) for q in (50, 99))
        found[name] = {
            "p50_us": round(p50 / 1e3, 3),
            "p99_us": round(p99 / 1e3, 3),
            "samples": sum(len(r) for r in each),
        }
    return found


def row_of(seed: int) -> FeatureRow:
    values = np.random.default_rng(seed).normal(size=SPEC.n_features).astype(np.float32)
    return FeatureRow(values, SPEC.fingerprint, 0, 1, time.time_ns())


def first_level() -> dict[str, object]:
    """A hit by key, also with the counting and timing that the service adds to it."""
    keys = [
        f"tickpath:0123456789abcd:{SPEC.fingerprint}:EURUSD@0.0001:400:{i:032x}" for i in range(600)
    ]
    recent, bare = KeptRows(1_000), {key: row_of(i) for i, key in enumerate(keys)}
    clock = SystemClock()
    counted = RowCache(1_000, GuardedCache(MemoryCache(1 << 20, clock), PATIENT, clock), clock)
    for key, row in bare.items():
        for cache in (recent, counted._rows):
            cache.put(key, row)
            cache.get(key)
    asked = [keys[i] for i in np.random.default_rng(1).integers(0, len(keys), 20_000)]
    rounds: dict[str, list[list[int]]] = {"dict_get": [], "l1_hit": [], "l1_hit_counted": []}
    for _ in range(ROUNDS):
        rounds["dict_get"].append(timed(lambda i: bare.get(asked[i]), 20_000))
        rounds["l1_hit"].append(timed(lambda i: recent.get(asked[i]), 20_000))
        rounds["l1_hit_counted"].append(timed(lambda i: counted.find(asked[i]), 20_000))
    return summed(rounds)


async def second_level(url: str) -> dict[str, object]:
    """A hit in Redis through budget, breaker and decoding, beside the client's own GET."""
    clock = SystemClock()
    guarded = GuardedCache(RedisCache(url), PATIENT, clock)
    guarded.start()
    keys = [f"bench:{i}" for i in range(200)]
    for i, key in enumerate(keys):
        guarded.put(key, encode_row(row_of(i)))
    await guarded.flush()
    cache = RowCache(2, guarded, clock)
    default = Redis.from_url(url)
    rounds: dict[str, list[list[int]]] = {"redis_get": [], "l2_hit": []}
    await timed_async(lambda i: default.get(keys[i % 200]), 200)
    for _ in range(ROUNDS):
        rounds["redis_get"].append(await timed_async(lambda i: default.get(keys[i % 200]), 1_000))
        rounds["l2_hit"].append(
            await timed_async(lambda i: cache.fetch(keys[i % 200], SPEC), 1_000)
        )
    assert guarded.counts.hits == ROUNDS * 1_000
    await default.aclose()
    await guarded.close()
    return summed(rounds)


async def misses(tape: QuoteColumns) -> dict[str, object]:
    """A history nobody has asked for: both look-ups, the pool and the computation."""
    clock = SystemClock()
    guarded = GuardedCache(MemoryCache(1 << 24, clock), PATIENT, clock)
    guarded.start()
    rounds: dict[str, list[list[int]]] = {}
    with ThreadPoolExecutor(2) as pool:
        rows = OnDemandRows(RowCache(1_000, guarded, clock), PATIENT, clock, pool)
        for turn in range(ROUNDS):
            for n in (3_000, 5_000):
                parts = [tape[(at := 40 * i + turn) : at + n] for i in range(60)]
                rounds.setdefault(f"compute_{n}", []).append(
                    timed(lambda i, p=parts: compute(SPEC, p[i], TERMS.pip), 60)
                )
                rounds.setdefault(f"miss_{n}", []).append(
                    await timed_async(
                        lambda i, p=parts: rows.newest("EURUSD", SPEC, TERMS.pip, p[i]), 60
                    )
                )
                rounds.setdefault(f"key_{n}", []).append(
                    timed(lambda i, p=parts: history_key(SPEC, "EURUSD", 1e-4, p[i]), 60)
                )
    await guarded.close()
    return summed(rounds)


def pool_gain(tape: QuoteColumns) -> dict[str, float]:
    """How much sooner two threads are done than one: the kernels let go of the lock."""
    part = tape[:10_000]

    def secs(workers: int) -> float:
        with ThreadPoolExecutor(workers) as pool:
            started = time.perf_counter()
            list(pool.map(lambda _: compute(SPEC, part, TERMS.pip), range(40)))
            return time.perf_counter() - started

    gains = [secs(1) / secs(2) for _ in range(5)]
    return {"two_threads_over_one": round(float(np.median(gains)), 2)}


def requests(tape: QuoteColumns) -> dict[str, object]:
    """What decoding and checking a history takes from the event loop."""
    decode = msgspec.json.Decoder(FeaturesRequest).decode
    rounds: dict[str, list[list[int]]] = {}
    sizes = {}
    for n in (3_000, 5_000):
        part = tape[:n]
        sent = HistoryBody(part.ts.tolist(), part.bid.tolist(), part.ask.tolist())
        body = msgspec.json.encode(FeaturesRequest("EURUSD", history=sent))
        sizes[f"bytes_{n}"] = len(body)
        rounds[f"decode_{n}"] = [timed(lambda i, b=body: decode(b), 60)]
        rounds[f"check_{n}"] = [timed(lambda i, s=sent: columns_of(s, 5_000), 60)]
    return {**summed(rounds), **sizes}


def compression(tape: QuoteColumns) -> dict[str, object]:
    """Bytes and microseconds of packing real rows, plain and compressed."""
    rows = compute(SPEC, tape, TERMS.pip)
    warm = rows.rows[rows.warm]
    found: dict[str, object] = {}
    for k in (1, 4, 16, 64, 256):
        raw = warm[500 : 500 + k].tobytes()
        packed = pack(raw, 0)
        found[f"rows_{k}"] = {
            "bytes": len(raw),
            "compressed": len(packed),
            "pack_us": round(float(np.median(timed(lambda i, r=raw: pack(r, 0), 300))) / 1e3, 1),
            "unpack_us": round(
                float(np.median(timed(lambda i, p=packed: unpack(p), 300))) / 1e3, 1
            ),
        }
    return found


def bars(found: Any) -> dict[str, dict[str, object]]:
    """Every promised figure beside its bar and its control."""
    bare, get = found["dict_get"]["p50_us"], found["redis_get"]["p99_us"]
    alone = found["compute_5000"]["p99_us"]
    return {
        "L1 hit, p50 us": beside(found["l1_hit"]["p50_us"], "<= 2", {"a dict, p50 us": bare}),
        "L1 hit as the service counts it, p99 us": beside(
            found["l1_hit_counted"]["p99_us"], "<= 1000", {"a dict, p50 us": bare}
        ),
        "L2 hit in Redis, p99 us": beside(
            found["l2_hit"]["p99_us"], "<= 1000", {"the client's own GET, p99 us": get}
        ),
        "a miss of 5,000 quotes, p99 us": beside(
            found["miss_5000"]["p99_us"], "<= 25000", {"the computation alone, p99 us": alone}
        ),
    }


def run() -> dict[str, object]:
    """Measure all of it; needs no server but the one it starts."""
    tape = simulate(TERMS, days=1.0).columns
    compute(SPEC, tape, TERMS.pip)
    gc.collect()
    gc.disable()
    try:
        with tempfile.TemporaryDirectory() as folder:
            server = RedisServer(Path(folder))
            server.start()
            try:
                second = uvloop.run(second_level(server.url))
            finally:
                server.kill()
        found = {**first_level(), **second, **uvloop.run(misses(tape))}
        return {
            **found,
            **pool_gain(tape),
            **requests(tape),
            "compression": compression(tape),
            "config": msgspec.to_builtins(replace(CacheConfig())),
            "bars": bars(found),
        }
    finally:
        gc.enable()


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
