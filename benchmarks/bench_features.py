"""Feature rows: one live update, a tape in batch, and TA-Lib over a window per quote as control.

The control is what a program without carried-over state does at each quote: SMA, EMA, RSI, MACD and
Bollinger bands over the last 200 prices; `five` is those five and nothing else. Rounds are
interleaved, so that all see the same machine, and ratios are medians over the rounds of neighbours.
`update` is called from Python and includes that call; `kernel_us` is what the kernel takes of it.
`bars` has every figure that is promised, beside what was promised. What a second core brings is
measured by `benchmarks.cores`, beside a control that shares nothing.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import talib

from benchmarks import cores
from benchmarks.bars import beside
from core.columns import QuoteColumns, from_ticks
from core.types import Cadence, Quote
from features import kernel
from features.batch import compute, feed
from features.engine import FeatureEngine
from features.spec import Block, FeatureSpec, make_spec, plan_of, spec_named

MINUTE_NS = 60_000_000_000
PIP = 1e-4
ROUNDS = 10
QUOTES = 4_000
BATCH_ROWS = 200_000
WINDOW = 200
HISTORIES = tuple(10**k for k in range(3, 8))


def _tape(n: int) -> QuoteColumns:
    """Minute rows, so that each quote ends a sample on either cadence."""
    rng = np.random.default_rng(5)
    mid = 1.1 * np.exp(np.cumsum(rng.normal(0.0, 1e-4, n)))
    high, low = mid + 5e-5, mid - 5e-5
    ts = 1_580_000_040_000_000_000 + MINUTE_NS * np.arange(n)
    span = np.full(n, MINUTE_NS)
    return QuoteColumns(ts, mid - 5e-5, mid + 5e-5, np.ones(n), span, mid, high, low)


def _ticks(n: int, seed: int = 5) -> QuoteColumns:
    rng = np.random.default_rng(seed)
    mid = 1.1 * np.exp(np.cumsum(rng.normal(0.0, 2e-5, n)))
    gaps = rng.integers(0, 4, n) * rng.integers(1, 900_000_000, n)
    half = rng.choice([2e-5, 5e-5], n)
    return from_ticks(1_580_000_040_000_000_000 + np.cumsum(gaps), mid - half, mid + half)


def _shifted(columns: QuoteColumns, by_ns: int) -> QuoteColumns:
    c = columns
    return QuoteColumns(c.ts + by_ns, c.bid, c.ask, c.volume, c.span, c.open, c.high, c.low)


def _time_each(call: Callable[[Quote], object], quotes: list[Quote]) -> list[int]:
    clock, durations = time.perf_counter_ns, []
    for quote in quotes:
        start = clock()
        call(quote)
        durations.append(clock() - start)
    return durations


def _time_batch(spec: FeatureSpec, columns: QuoteColumns) -> tuple[float, float]:
    """Ticks per second of the clock, and of one core's time (what others use is not in it)."""
    start, used = time.perf_counter(), time.process_time()
    compute(spec, columns, PIP)
    n = len(columns)
    return n / (time.perf_counter() - start), n / (time.process_time() - used)


class _TalibWindow:
    """Five classic indicators over the last 200 mids, all recomputed at each quote."""

    def __init__(self) -> None:
        self._prices = np.full(2 * WINDOW, 1.1)
        self._at = 0

    def update(self, quote: Quote) -> tuple[float, ...]:
        # Each price is written twice, so that the window is always one contiguous slice.
        self._prices[self._at] = self._prices[self._at + WINDOW] = quote.mid
        self._at = (self._at + 1) % WINDOW
        window = self._prices[self._at : self._at + WINDOW]
        return (
            talib.SMA(window, 20)[-1],
            talib.EMA(window, 26)[-1],
            talib.RSI(window, 14)[-1],
            talib.MACD(window, 12, 26, 9)[0][-1],
            talib.BBANDS(window, 20, 2.0, 2.0)[0][-1],
        )


def _nothing(_: Quote) -> None:
    """What being called and timed takes."""


def _percentiles(durations_ns: list[int]) -> dict[str, float]:
    p50, p99 = np.percentile(durations_ns, [50, 99]) / 1e3
    return {
        "p50_us": round(float(p50), 2),
        "p99_us": round(float(p99), 2),
        "samples": len(durations_ns),
    }


def _five() -> FeatureSpec:
    """The control's five indicators and nothing else."""
    kinds = (("sma", (20,)), ("ema", (26,)), ("rsi", (14,)), ("macd", (12, 26, 9)))
    blocks = (*(Block(kind, windows) for kind, windows in kinds), Block("bollinger", (20,)))
    return make_spec("five", Cadence.TICK, blocks)


def _time_kernel(spec: FeatureSpec, columns: QuoteColumns) -> float:
    """Core seconds per tick of the kernel alone, on warm output memory."""
    slot, n = kernel.Slot(spec, plan_of(spec), PIP), len(columns)
    rows = np.zeros((n, spec.n_features), np.float32)
    index, warm = np.zeros(n, np.int64), np.zeros(n, np.bool_)
    start = time.process_time()
    feed(slot, columns, rows, index, warm)
    return (time.process_time() - start) / n


def _by_history(spec: FeatureSpec, chunk: QuoteColumns) -> dict[str, float]:
    """Seconds per update after 10^3 to 10^7 ticks of history: the same quotes, later and later."""
    engine = FeatureEngine(spec, (PIP,))
    step = int(chunk.ts[-1] - chunk.ts[0]) + MINUTE_NS
    quotes, seen, figures = list(chunk[:1_000].quotes(0)), 0, {}
    shift = 0
    rows = np.zeros((len(chunk), spec.n_features), np.float32)
    index, warm = np.zeros(len(chunk), np.int64), np.zeros(len(chunk), np.bool_)
    for target in HISTORIES:
        while seen < target:
            part = _shifted(chunk[: target - seen], shift)
            feed(engine._slots[0], part, rows, index, warm)
            seen, shift = seen + len(part), shift + step
        later = [msgspec.structs.replace(q, ts_event=q.ts_event + shift) for q in quotes]
        shift += step
        durations = _time_each(engine.update, later)
        seen += len(later)
        figures[f"1e{len(str(target)) - 1}"] = round(float(np.median(durations)) / 1e3, 2)
    return figures


def run() -> dict[str, object]:
    """Measure updates in us, batch in ticks per second, and the control."""
    specs = [spec_named(name) for name in ("core-bar", "core-tick", "full-bar", "full-tick")]
    specs.append(_five())
    quotes = list(_tape(ROUNDS * QUOTES + 1_000).quotes(0))
    engines = {spec.name: FeatureEngine(spec, (PIP,)) for spec in specs}
    calls = {name: engine.update for name, engine in engines.items()}
    calls["talib"] = _TalibWindow().update
    calls["empty"] = _nothing
    for call in calls.values():
        _time_each(call, quotes[:1_000])
    long, ticks = _tape(BATCH_ROWS), _ticks(BATCH_ROWS)
    durations: dict[str, list[int]] = {name: [] for name in calls}
    medians: dict[str, list[float]] = {name: [] for name in calls}
    rates: dict[str, list[tuple[float, float]]] = {spec.name: [] for spec in specs}
    kernels: dict[str, list[float]] = {spec.name: [] for spec in specs}
    for k in range(ROUNDS):
        start = 1_000 + k * QUOTES
        for name, call in calls.items():
            took = _time_each(call, quotes[start : start + QUOTES])
            durations[name] += took
            medians[name].append(float(np.median(took)))
        for spec in specs:
            columns = ticks if spec.cadence is Cadence.TICK else long
            rates[spec.name].append(_time_batch(spec, columns))
            kernels[spec.name].append(_time_kernel(spec, columns))
    result: dict[str, object] = {
        spec.name: {
            "columns": spec.n_features,
            "update": _percentiles(durations[spec.name]),
            "kernel_us": round(1e6 * float(np.median(kernels[spec.name])), 3),
            "batch_ticks_per_sec": round(float(np.median(rates[spec.name], axis=0)[0])),
            "batch_ticks_per_core_sec": round(float(np.median(rates[spec.name], axis=0)[1])),
            "times_as_fast_as_talib": _ratio(medians["talib"], medians[spec.name]),
            "kernel_times_as_fast_as_talib": _ratio(
                medians["talib"], [1e9 * secs for secs in kernels[spec.name]]
            ),
        }
        for spec in specs
    }
    result["control_empty_call"] = _percentiles(durations["empty"])
    result["control_talib_5_indicators_window_200"] = _percentiles(durations["talib"])
    result["two_cores_full_tick"] = cores.measure([ticks, _ticks(BATCH_ROWS, 6)], "full-tick")
    result["update_p50_us_by_ticks_of_history"] = _by_history(spec_named("full-tick"), ticks)
    result["bars"] = _bars(result)
    return result


def _bars(result: dict[str, Any]) -> dict[str, dict[str, object]]:
    """Every promised figure beside its bar; the worse of both cadences where there are two."""
    full = [result["full-bar"], result["full-tick"]]
    five, talib = result["five"], result["control_talib_5_indicators_window_200"]
    history = result["update_p50_us_by_ticks_of_history"]
    two = result["two_cores_full_tick"]["ratio_two_to_one"]
    called = {
        "an empty call p50 us": result["control_empty_call"]["p50_us"],
        "an empty call p99 us": result["control_empty_call"]["p99_us"],
        "TA-Lib p50 us": talib["p50_us"],
    }
    return {
        "update of the full spec, p50 us": beside(
            max(s["update"]["p50_us"] for s in full), "<= 4", called
        ),
        "update of the full spec, p99 us": beside(
            max(s["update"]["p99_us"] for s in full), "<= 12",
            {**called, "TA-Lib p99 us": talib["p99_us"]},
        ),
        "five classics, times as fast as TA-Lib over 200 prices": beside(
            five["times_as_fast_as_talib"], ">= 20",
            {**called, "kernel alone": five["kernel_times_as_fast_as_talib"]},
        ),
        "full spec, times as fast as those five by TA-Lib": beside(
            min(s["times_as_fast_as_talib"] for s in full), ">= 3",
            {"kernel alone": min(s["kernel_times_as_fast_as_talib"] for s in full)},
        ),
        "batch of the full spec on one core, ticks/s": beside(
            min(s["batch_ticks_per_sec"] for s in full), ">= 1e6",
            {"per second of core time": min(s["batch_ticks_per_core_sec"] for s in full)},
        ),
        "batch on two cores, times one": beside(
            two["threads"], ">= 1.7",
            {"work that shares nothing": two["control"], "processes": two["processes"]},
        ),
        "update after 1e7 ticks, times after 1e3": beside(
            history["1e7"] / history["1e3"], "<= 1.2",
            {f"us after {k}": v for k, v in history.items()},
        ),
    }  # fmt: skip


def _ratio(slow: list[float], fast: list[float]) -> float:
    """Median over the rounds of what two neighbours in time had."""
    return round(float(np.median(np.array(slow) / np.array(fast))), 2)


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
