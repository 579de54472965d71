"""One prediction: the heap engine beside XGBoost's own call, hot and cold, one row and 1,024.

The two take turns, so that both see the same machine. A cold call comes after 5 ms of idleness, as
between two live ticks.
"""

import time
from collections.abc import Callable

import numpy as np
import xgboost

from models.calibration import Calibration
from models.inference.heap import HeapTrees, margins, score_row
from models.trees import compile_trees

TREES, DEPTH, FEATURES = 300, 6, 32
HOT_CALLS, COLD_CALLS, BATCH_CALLS, BATCH = 5_000, 300, 40, 1_024
IDLE_SECS = 0.005
BLOCK = 500

Call = Callable[[int], object]


def run() -> dict[str, float]:
    """Latencies in us (`*_us`), the ratio at the median, and the largest difference in p."""
    booster = _booster()
    heap = compile_trees(bytes(booster.save_raw("json")))
    rows = np.random.default_rng(1).normal(size=(HOT_CALLS, FEATURES)).astype(np.float32)
    calls = _single_row_calls(booster, heap, rows)
    figures: dict[str, float] = {"trees": TREES, "depth": DEPTH, "features": FEATURES}
    for calls_made, idle, label in ((HOT_CALLS, 0.0, "hot"), (COLD_CALLS, IDLE_SECS, "cold")):
        for name, times in _take_turns(calls, calls_made, idle).items():
            figures[f"{name}_row_{label}_p50_us"] = _us(times, 50)
            figures[f"{name}_row_{label}_p99_us"] = _us(times, 99)
    for name, times in _take_turns(_batch_calls(booster, heap, rows[:BATCH]), BATCH_CALLS).items():
        figures[f"{name}_batch_us_per_row"] = _us(times, 50) / BATCH
    figures["ratio_hot_p50"] = figures["xgboost_row_hot_p50_us"] / figures["heap_row_hot_p50_us"]
    ours = Calibration().apply(margins(heap, rows))
    figures["largest_difference_p"] = float(np.max(np.abs(ours - booster.inplace_predict(rows))))
    return figures


def _booster() -> xgboost.Booster:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20_000, FEATURES)).astype(np.float32)
    up = rows[:, :4].sum(axis=1) + rng.normal(size=len(rows)) * 2.0 > 0.0
    params = {"objective": "binary:logistic", "max_depth": DEPTH, "nthread": 1}
    booster = xgboost.train(params, xgboost.DMatrix(rows, up.astype(np.float32)), TREES)
    booster.set_param({"nthread": 1})
    return booster


def _single_row_calls(
    booster: xgboost.Booster, heap: HeapTrees, rows: np.ndarray
) -> dict[str, Call]:
    model = (heap.codes, heap.thresholds, heap.leaves, heap.base_margin, heap.depth, FEATURES)

    def ours(k: int) -> object:
        return score_row(rows[k], *model, 0.9, 0.01)

    def theirs(k: int) -> object:
        return booster.inplace_predict(rows[k : k + 1])

    return {"heap": ours, "xgboost": theirs}


def _batch_calls(booster: xgboost.Booster, heap: HeapTrees, rows: np.ndarray) -> dict[str, Call]:
    return {
        "heap": lambda _: Calibration().apply(margins(heap, rows)),
        "xgboost": lambda _: booster.inplace_predict(rows),
    }


def _take_turns(calls: dict[str, Call], count: int, idle: float = 0.0) -> dict[str, list[int]]:
    times: dict[str, list[int]] = {name: [] for name in calls}
    for call in calls.values():
        for k in range(min(count, 100)):
            call(k)
    # Hot calls come in blocks: call by call, each would evict the other's arrays from the cache.
    block = 1 if idle else min(count, BLOCK)
    for first in range(0, count, block):
        for name, call in calls.items():
            for k in range(first, min(first + block, count)):
                if idle:
                    time.sleep(idle)
                start = time.perf_counter_ns()
                call(k)
                times[name].append(time.perf_counter_ns() - start)
    return times


def _us(times: list[int], percentile: float) -> float:
    return round(float(np.percentile(times, percentile)) / 1e3, 3)


if __name__ == "__main__":
    for key, value in run().items():
        print(f"{key:32} {value:g}")
