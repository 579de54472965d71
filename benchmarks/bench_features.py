"""Feature rows: one live update, a tape in batch, and TA-Lib over a window per quote as control.

The control is what a program without carried-over state does at each quote: SMA, EMA, RSI, MACD and
Bollinger bands over the last 200 prices. Rounds are interleaved, so that all see the same machine.
"""

import json
import time
from collections.abc import Callable

import numpy as np
import talib

from core.columns import QuoteColumns
from core.types import Quote
from features.batch import compute
from features.engine import FeatureEngine
from features.spec import FeatureSpec, spec_named

MINUTE_NS = 60_000_000_000
PIP = 1e-4
ROUNDS = 10
QUOTES = 4_000
BATCH_ROWS = 200_000
WINDOW = 200


def _tape(n: int) -> QuoteColumns:
    """Minute rows, so that each quote ends a sample on either cadence."""
    rng = np.random.default_rng(5)
    mid = 1.1 * np.exp(np.cumsum(rng.normal(0.0, 1e-4, n)))
    high, low = mid + 5e-5, mid - 5e-5
    ts = 1_580_000_040_000_000_000 + MINUTE_NS * np.arange(n)
    span = np.full(n, MINUTE_NS)
    return QuoteColumns(ts, mid - 5e-5, mid + 5e-5, np.ones(n), span, mid, high, low)


def _time_each(call: Callable[[Quote], object], quotes: list[Quote]) -> list[int]:
    clock, durations = time.perf_counter_ns, []
    for quote in quotes:
        start = clock()
        call(quote)
        durations.append(clock() - start)
    return durations


def _time_batch(spec: FeatureSpec, columns: QuoteColumns) -> float:
    start = time.perf_counter()
    compute(spec, columns, PIP)
    return len(columns) / (time.perf_counter() - start)


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


def _percentiles(durations_ns: list[int]) -> dict[str, float]:
    p50, p99 = np.percentile(durations_ns, [50, 99]) / 1e3
    return {
        "p50_us": round(float(p50), 2),
        "p99_us": round(float(p99), 2),
        "samples": len(durations_ns),
    }


def run() -> dict[str, object]:
    """Measure and return p50 and p99 per update in us, and batch rows per second on one core."""
    specs = [spec_named(name) for name in ("core-bar", "core-tick")]
    quotes = list(_tape(ROUNDS * QUOTES + 1_000).quotes(0))
    engines = {spec.name: FeatureEngine(spec, (PIP,)) for spec in specs}
    calls = {name: engine.update for name, engine in engines.items()}
    calls["talib"] = _TalibWindow().update
    for call in calls.values():
        _time_each(call, quotes[:1_000])
    long = _tape(BATCH_ROWS)
    durations: dict[str, list[int]] = {name: [] for name in calls}
    rates: dict[str, list[float]] = {spec.name: [] for spec in specs}
    for k in range(ROUNDS):
        start = 1_000 + k * QUOTES
        for name, call in calls.items():
            durations[name] += _time_each(call, quotes[start : start + QUOTES])
        for spec in specs:
            rates[spec.name].append(_time_batch(spec, long))
    result: dict[str, object] = {
        spec.name: {
            "columns": spec.n_features,
            "update": _percentiles(durations[spec.name]),
            "batch_rows_per_sec": round(float(np.median(rates[spec.name]))),
        }
        for spec in specs
    }
    result["control_talib_5_indicators_window_200"] = _percentiles(durations["talib"])
    return result


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
