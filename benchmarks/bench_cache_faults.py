"""What a cache store that is killed, hung or slow costs the walk of a tick.

Venue, serving and a real Redis run as processes; requests with new histories, each of which looks
into Redis and writes to it, come all the time. Before each fault stands a stretch without one, so
that both see the same machine. The walk is what each decision of a tick says of itself: waiting,
features, prediction and decision.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from websockets.asyncio.client import connect

from benchmarks.bars import beside
from benchmarks.bench_http import http
from core.config import CacheConfig
from tests.e2e.stack import SYMBOL, platform, with_venue
from tests.e2e.test_cache_faults import FAULTS, history, metrics
from tests.redis_server import RedisServer, SlowWire

ROUNDS = 6
SECS = 3.0
PAUSE_SECS = 0.02
COUNTERS = (
    "cache_l2_hits", "cache_l2_misses", "cache_l2_errors", "cache_l2_timeouts", "cache_l2_skipped",
    "cache_l2_written", "cache_l2_lost", "cache_breaker_opened", "cache_breaker_closed",
    "cache_breaker_probes", "feature_rows_computed", "feature_rows_stale",
)  # fmt: skip

Walks = dict[str, list[list[float]]]


def percentile(walks: list[list[float]], q: float) -> float:
    return round(float(np.percentile(np.concatenate(walks), q)), 1)


def figures(walks: Walks) -> dict[str, object]:
    """Percentiles over all rounds, and the rise of the p99 with its median over the rounds."""
    found: dict[str, object] = {}
    for name, *_ in FAULTS:
        calm, during = walks[f"before {name}"], walks[name]
        rises = [
            np.percentile(b, 99) - np.percentile(a, 99) for a, b in zip(calm, during, strict=True)
        ]
        found[name] = {
            "control_p50_us": percentile(calm, 50),
            "control_p99_us": percentile(calm, 99),
            "during_p50_us": percentile(during, 50),
            "during_p99_us": percentile(during, 99),
            "rise_of_p99_us": round(percentile(during, 99) - percentile(calm, 99), 1),
            "rise_of_p99_median_of_rounds_us": round(float(np.median(rises)), 1),
            "rises_of_p99_by_round_us": [round(float(rise), 1) for rise in rises],
            "samples": sum(map(len, calm)) + sum(map(len, during)),
        }
    return found


class Bench:
    """One start of everything; collects walks under the name of the stretch."""

    def __init__(self, port: int, walks: Walks) -> None:
        self._port, self._walks = port, walks
        self._into: list[float] | None = None
        self._numbers = iter(range(int(time.time()) % 10**6 * 1_000, 10**12))
        self.answered = self.failed = 0

    async def run(self, faults: list[tuple[str, Callable[[], None], Callable[[], None]]]) -> None:
        tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._ask())]
        await asyncio.sleep(1.0)
        for name, fault, mend in faults:
            await self._stretch(f"before {name}")
            await asyncio.to_thread(fault)
            await self._stretch(name)
            await asyncio.to_thread(mend)
            await asyncio.sleep(1.0)  # the breaker closes
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _stretch(self, name: str) -> None:
        self._into = []
        self._walks.setdefault(name, []).append(self._into)
        await asyncio.sleep(SECS)
        self._into = None

    async def _listen(self) -> None:
        async with connect(f"ws://127.0.0.1:{self._port}/v1/stream") as stream:
            async for text in stream:
                message = json.loads(text)
                if message["type"] == "decision" and self._into is not None:
                    self._into.append(sum(message["data"]["stages_us"].values()))

    async def _ask(self) -> None:
        def body(number: int) -> tuple[bytes, str]:
            sent = {"symbol": SYMBOL, "history": history(number)}
            return json.dumps(sent).encode(), ""

        exchange = http("/v1/decisions", body, b"200")
        wires = await asyncio.open_connection("127.0.0.1", self._port)
        for number in self._numbers:
            good = await exchange(*wires, number)
            self.answered += 1
            self.failed += not good
            await asyncio.sleep(PAUSE_SECS)


def one_round(folder: Path, walks: Walks) -> dict[str, float]:
    """Start all, go through the faults, and say what the service counted."""
    server = RedisServer(folder / "redis")
    server.start()
    wire = SlowWire(server.port)
    made, home = folder / "made", folder / f"home-{time.monotonic_ns()}"
    made.mkdir(exist_ok=True)
    cache = CacheConfig(second="redis", url=wire.url, breaker_open_ms=250.0)
    try:
        venue = with_venue(max_quotes_per_sec=200.0)
        with platform(made, home, cache=cache, venue=venue) as running:
            bench = Bench(running.config.serving.port, walks)
            faults = [
                (name, lambda f=fault: f(server, wire), lambda m=mend: m(server, wire))
                for name, fault, mend, _ in FAULTS
            ]
            uvloop.run(bench.run(faults))
            told = metrics(running.client)
            counts = {name: told[name] for name in COUNTERS}
            return {**counts, "requests": bench.answered, "requests_failed": bench.failed}
    finally:
        wire.close()
        server.kill()


def run() -> dict[str, object]:
    """Go through all faults in each round, with a control before each."""
    walks: Walks = {}
    with tempfile.TemporaryDirectory() as folder:
        rounds = [one_round(Path(folder), walks) for _ in range(ROUNDS)]
    counted = {name: sum(each[name] for each in rounds) for name in rounds[0]}
    found = figures(walks)
    return {**found, "counted": counted, "bars": bars(found, counted)}


def bars(found: Any, counted: dict[str, float]) -> dict[str, dict[str, object]]:
    """Every promised figure beside its bar and its control."""
    rises = {
        f"Redis {name}, rise of the walk's p99 us": beside(
            found[name]["rise_of_p99_us"], "<= 999.9",
            {"p99 us just before": found[name]["control_p99_us"],
             "median of rounds": found[name]["rise_of_p99_median_of_rounds_us"]},
        )
        for name, *_ in FAULTS
    }  # fmt: skip
    faults = len(FAULTS) * ROUNDS
    return {
        **rises,
        "requests that failed": beside(
            counted["requests_failed"], "<= 0", {"requests": counted["requests"]}
        ),
        "times the breaker opened": beside(
            counted["cache_breaker_opened"], f">= {faults}", {"faults": faults}
        ),
        "times the breaker closed": beside(
            counted["cache_breaker_closed"], f">= {faults}", {"faults": faults}
        ),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
