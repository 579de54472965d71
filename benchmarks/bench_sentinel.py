"""What the skew sentinel adds to the tick: live updates with it checking all the time, and without.

Quotes come to an event loop at a steady pace; each update is timed. In every other round the
sentinel checks the instrument every twentieth of a second, a hundred times as often as by default.
The rounds are interleaved, so both see the same machine.
"""

import asyncio
import json
import time

import numpy as np

from core.config import FeaturesConfig, MemoryConfig
from core.instruments import DEFAULT_INSTRUMENTS
from features.source import ColumnsStore
from features.spec import spec_named
from market.simulator import simulate
from monitoring.memory import MemoryBudgets
from serving.live_features import LiveFeatures
from serving.skew_sentinel import SkewSentinel
from trading.events import FeaturesRebuilt

ROUNDS = 8
QUOTES = 3_000
PER_SEC = 1_500
CHECK_SECS = 0.05
EURUSD = DEFAULT_INSTRUMENTS.by_symbol("EURUSD")


class _Bench:
    """Live features of one instrument with a sentinel beside them."""

    def __init__(self) -> None:
        columns = simulate(EURUSD, days=5.0).columns
        self.features = LiveFeatures(DEFAULT_INSTRUMENTS, MemoryBudgets(MemoryConfig()))
        self.features.use(EURUSD.id, spec_named("full-tick"))
        store = ColumnsStore({"EURUSD": columns[:5_000]})
        config = FeaturesConfig(skew_check_secs=CHECK_SECS)
        self.sentinel = SkewSentinel(
            DEFAULT_INSTRUMENTS, self.features, store, lambda _: None, config
        )
        from_ns, before_ns = int(columns.ts[0]), int(columns.ts[5_000])
        self.features.rebuild(EURUSD.id, columns[:5_000], store, before_ns)
        self.sentinel.rebuilt(FeaturesRebuilt(0, EURUSD.id, from_ns, before_ns))
        self.quotes = list(columns[5_000 : 5_000 + 2 * ROUNDS * QUOTES].quotes(EURUSD.id))

    async def play(self, first: int, durations: list[int]) -> None:
        """Let quotes come in bunches at a steady pace, and time each update."""
        clock, update, bunch = time.perf_counter_ns, self.features.update, 15
        for at in range(first, first + QUOTES, bunch):
            for quote in self.quotes[at : at + bunch]:
                start = clock()
                update(quote)
                durations.append(clock() - start)
            await asyncio.sleep(bunch / PER_SEC)


async def _run() -> dict[str, object]:
    bench = _Bench()
    await bench.sentinel.check(EURUSD.id)
    taken: dict[str, list[int]] = {"with": [], "without": []}
    for turn in range(2 * ROUNDS):
        name = "without" if turn % 2 else "with"
        watch = asyncio.create_task(bench.sentinel.run()) if name == "with" else None
        await bench.play(turn * QUOTES, taken[name])
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
    return {
        **{name: _percentiles(durations) for name, durations in taken.items()},
        "checks": bench.sentinel.checks,
        "skews": bench.sentinel.skews,
    }


def _percentiles(durations: list[int]) -> dict[str, float]:
    p50, p99, p999, most = np.percentile(durations, [50, 99, 99.9, 100]) / 1e3
    figures = {"p50_us": p50, "p99_us": p99, "p999_us": p999, "max_us": most}
    return {**{k: round(float(v), 2) for k, v in figures.items()}, "samples": len(durations)}


def run() -> dict[str, object]:
    """Measure updates with the sentinel at work and without."""
    return asyncio.run(_run())


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
