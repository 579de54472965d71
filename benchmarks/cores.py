"""What a second core brings to the batch, beside what it brings to work that shares nothing.

Three ways of doing the same two tapes are timed with one worker and with two, interleaved: the
batch in threads, as `compute_many` does it, the batch in processes, and a control that only burns
cycles, in threads as well. The rows of the threads are given back to the system after the clock has
stopped: while one thread does that, the other waits for the address space, and who computes two
tapes keeps the rows.
On a machine whose cores are not free the control shows it: read the batch against it. Core time a
tick is told, too; were memory or a lock shared between the threads, two would need more of it.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
from numba import njit

from core.columns import QuoteColumns
from features import kernel
from features.batch import compute, compute_many
from features.spec import FeatureSpec, spec_named

ROUNDS = 7
PIP = 1e-4
Work = Callable[[int], None]

_tapes: list[QuoteColumns] = []
_spec: list[FeatureSpec] = []
_turns = [0]


@njit(nogil=True)
def _spin(n: int) -> float:
    x = 1.0
    for _ in range(n):
        x = x * 1.0000001 + 1e-9
    return x


def _burn(_: int) -> None:
    _spin(_turns[0])


def _batch(k: int) -> None:
    compute(_spec[0], _tapes[k], PIP)


def _ready(_: int) -> None:
    kernel.prepare()


def _wall(pool: Executor, work: Work) -> float:
    start = time.perf_counter()
    list(pool.map(work, range(len(_tapes))))
    return time.perf_counter() - start


def _threads(workers: int) -> float:
    tapes = {str(k): (tape, PIP) for k, tape in enumerate(_tapes)}
    start = time.perf_counter()
    rows = compute_many(_spec[0], tapes, workers)
    took = time.perf_counter() - start
    assert all(len(rows[name]) for name in tapes)
    return took


def _calibrate(secs: float) -> None:
    """Let the control take about as long as a tape does."""
    _spin(10)
    start = time.perf_counter()
    _spin(1_000_000)
    _turns[0] = max(1_000, round(1e6 * secs / (time.perf_counter() - start)))


def measure(tapes: list[QuoteColumns], spec_name: str) -> dict[str, object]:
    """Time two tapes with one and two workers in all three ways."""
    _tapes[:], _spec[:] = tapes, [spec_named(spec_name)]
    start = time.perf_counter()
    _batch(0)
    _calibrate(time.perf_counter() - start)
    ticks = sum(len(tape) for tape in tapes)
    context = get_context("fork")
    with (
        ThreadPoolExecutor(1) as one,
        ThreadPoolExecutor(2) as two,
        ProcessPoolExecutor(1, context) as alone,
        ProcessPoolExecutor(2, context) as both,
    ):
        for pool in (one, two, alone, both):
            list(pool.map(_ready, range(4)))
        ways: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
            "control": (partial(_wall, one, _burn), partial(_wall, two, _burn)),
            "threads": (partial(_threads, 1), partial(_threads, 2)),
            "processes": (partial(_wall, alone, _batch), partial(_wall, both, _batch)),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        used: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            for name, (alone_secs, both_secs) in ways.items():
                before = time.process_time()
                single = alone_secs()
                between = time.process_time()
                double = both_secs()
                taken[name].append((single, double))
                if name == "threads":
                    used.append((between - before, time.process_time() - between))
    ratios = {name: _median_ratio(pairs) for name, pairs in taken.items()}
    core_us = np.median(np.array(used), axis=0) / ticks * 1e6
    return {
        "ratio_two_to_one": ratios,
        "threads_of_control": round(ratios["threads"] / ratios["control"], 2),
        "core_us_per_tick": {
            "one_thread": round(float(core_us[0]), 3),
            "two_threads": round(float(core_us[1]), 3),
        },
        "ticks_per_sec_two_threads": round(ticks / np.median([d for _, d in taken["threads"]])),
        "load_now": round(os.getloadavg()[0], 2),
    }


def _median_ratio(pairs: list[tuple[float, float]]) -> float:
    return round(float(np.median([single / double for single, double in pairs])), 2)
