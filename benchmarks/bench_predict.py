"""One prediction: the heap engine beside XGBoost's own call and onnxruntime, hot and cold.

They take turns, so that all see the same machine. A cold call comes after 5 ms of idleness, as
between two live ticks. Loading is measured in processes of their own, with compiled code on disk
from an earlier start, and without.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import xgboost

from benchmarks.bars import beside
from benchmarks.tree_onnx import tree_onnx
from models.calibration import Calibration
from models.export import write_artifact
from models.inference.engines import HeapEngine, NodeEngine
from models.inference.heap import HeapTrees, margins
from models.trees import compile_nodes, compile_trees
from tests.models.synthetic import CONFIG, make_dataset, train_on

TREES, DEPTH, FEATURES = 300, 6, 32
HOT_CALLS, COLD_CALLS, BATCH_CALLS, BATCH = 5_000, 300, 40, 1_024
IDLE_SECS = 0.005
BLOCK = 500
STARTS = 3
# Each promised figure with its bar, and what it is read beside.
BARS = (
    ("xgboost_over_heap_hot_p50", ">= 50", ("heap_row_hot_p50_us", "xgboost_row_hot_p50_us")),
    ("onnxruntime_over_heap_hot_p50", ">= 5", ("onnxruntime_row_hot_p50_us",)),
    (
        "heap_row_hot_p99_us",
        "<= 25",
        ("heap_row_cold_p50_us", "heap_row_cold_p99_us", "onnxruntime_row_hot_p99_us"),
    ),
    ("xgboost_over_heap_batch", ">= 1", ("heap_batch_us_per_row", "xgboost_batch_us_per_row")),
    (
        "import_load_and_warm_secs",
        "<= 2",
        ("load_and_warm_secs", "import_load_and_warm_without_compiled_code_secs"),
    ),
    ("largest_difference_p", "<= 1e-7", ("onnxruntime_largest_difference_p",)),
)
CALIBRATION = Calibration(kind="platt", params={"slope": 0.9, "offset": 0.01})

Call = Callable[[int], object]


def run() -> dict[str, object]:
    """Latencies in us (`*_us`), ratios, seconds to load, and each bar with what was found."""
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
    for name in ("xgboost", "onnxruntime"):
        hot = figures[f"{name}_row_hot_p50_us"] / figures["heap_row_hot_p50_us"]
        batch = figures[f"{name}_batch_us_per_row"] / figures["heap_batch_us_per_row"]
        figures[f"{name}_over_heap_hot_p50"] = round(hot, 2)
        figures[f"{name}_over_heap_batch"] = round(batch, 2)
    raw = margins(heap, rows)
    figures["largest_difference_p"] = _worst(Calibration().apply(raw), booster, rows)
    # Nobody else adds in tree order, so the control may differ by more than the engine does.
    session, feed = _onnx(booster), "rows"
    theirs = session.run(None, {feed: rows})[0][:, 0]
    figures["onnxruntime_largest_difference_p"] = _worst(theirs, booster, rows)
    figures |= _loading()
    bars = {
        name: beside(figures[name], bar, {other: figures[other] for other in control})
        for name, bar, control in BARS
    }
    return {**figures, "bars": bars}


def _worst(p: np.ndarray, booster: xgboost.Booster, rows: np.ndarray) -> float:
    return float(np.max(np.abs(p - booster.inplace_predict(rows))))


def _booster() -> xgboost.Booster:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20_000, FEATURES)).astype(np.float32)
    up = rows[:, :4].sum(axis=1) + rng.normal(size=len(rows)) * 2.0 > 0.0
    params = {"objective": "binary:logistic", "max_depth": DEPTH, "nthread": 1}
    booster = xgboost.train(params, xgboost.DMatrix(rows, up.astype(np.float32)), TREES)
    booster.set_param({"nthread": 1})
    return booster


def _onnx(booster: xgboost.Booster) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        tree_onnx(bytes(booster.save_raw("json"))), options, providers=["CPUExecutionProvider"]
    )


def _single_row_calls(
    booster: xgboost.Booster, heap: HeapTrees, rows: np.ndarray
) -> dict[str, Call]:
    score, terms = HeapEngine(heap).scorer(CALIBRATION)
    nodes = NodeEngine(compile_nodes(bytes(booster.save_raw("json"))))
    walk, _ = nodes.scorer(CALIBRATION)
    session = _onnx(booster)
    return {
        "heap": lambda k: score(rows[k], *terms),
        "nodes": lambda k: walk(rows[k]),
        "onnxruntime": lambda k: session.run(None, {"rows": rows[k : k + 1]}),
        "xgboost": lambda k: booster.inplace_predict(rows[k : k + 1]),
    }


def _batch_calls(booster: xgboost.Booster, heap: HeapTrees, rows: np.ndarray) -> dict[str, Call]:
    session = _onnx(booster)
    return {
        "heap": lambda _: Calibration().apply(margins(heap, rows)),
        "onnxruntime": lambda _: session.run(None, {"rows": rows}),
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


def _loading() -> dict[str, float]:
    """Seconds to verify, load and warm a version in a fresh process; the imports beside it."""
    with tempfile.TemporaryDirectory(prefix="tickpath-bench-") as home:
        folder, sha256 = _artifact(Path(home) / "model")
        cache = Path(home) / "compiled"
        found = [fresh_start(folder, sha256, cache) for _ in range(STARTS + 1)]
    return start_figures(found)


def start_figures(found: list[tuple[float, float]]) -> dict[str, float]:
    """Medians of what `fresh_start` gave; only the first start had no compiled code on disk.

    The imports count: they bring the compiled code.
    """
    bare, cached = found[0], np.array(found[1:])
    return {
        "load_and_warm_secs": round(float(np.median(cached[:, 1])), 3),
        "import_load_and_warm_secs": round(float(np.median(cached.sum(axis=1))), 3),
        "import_load_and_warm_without_compiled_code_secs": round(sum(bare), 3),
    }


_START = """
import sys, time
start = time.perf_counter()
from pathlib import Path
from models.inference.artifact import load_verified
imported = time.perf_counter()
load_verified(Path(sys.argv[1]), sys.argv[2]).warm()
print(imported - start, time.perf_counter() - imported)
"""


def fresh_start(folder: Path, sha256: str, cache: Path) -> tuple[float, float]:
    """Seconds to import what serves, and to load and warm a version, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", _START, str(folder), sha256],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    imported, loaded = (float(word) for word in done.stdout.split())
    return imported, loaded


def _artifact(folder: Path) -> tuple[Path, str]:
    """A version of 300 trees of depth 6, as a training would write it."""
    dataset = make_dataset(0, n=6_000)
    config = replace(CONFIG, trees=TREES, depth=DEPTH, min_child_weight=0.1, folds=1)
    result = train_on(dataset, config)
    _, sha256 = write_artifact(folder, result, dataset, code_revision="bench")
    return folder, sha256


def _us(times: list[int], percentile: float) -> float:
    return round(float(np.percentile(times, percentile)) / 1e3, 3)
