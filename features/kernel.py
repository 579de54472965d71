"""The step that stream and batch share: one quote into the state, at most one row out.

State of an instrument is two arrays, all zeros but for the settings in front:

* `ints`: the bar's (`market.bars`), then the names below;
* `state`: the sample (`features.blocks`), then the blocks' slices as the plan lays them out.

A quote can end two samples (it closes the bar before it, and completes its own); the row is then
that of the later one.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numba import carray, njit, types
from numpy.typing import DTypeLike, NDArray

from core.columns import F8, I8
from core.types import Cadence
from features import strength
from features.blocks import BPS, F4
from features.borrow import borrow, pointer
from features.dispatch import STRENGTH_OP, run_block
from features.sample import (
    ASK_MOVES,
    ASK_NET,
    BID_MOVES,
    BID_NET,
    COLD_BLOCKS,
    ELAPSED_SECS,
    ENDS,
    IS_FIRST,
    LAST_ASK,
    LAST_BID,
    LAST_CLOSE,
    MINUTE,
    N_TICKS,
    PIP,
    QUIET_SECS,
    RETURN_BPS,
)
from features.spec import FeatureSpec, Plan
from features.strength import MINUTE_NS, Strength
from market import bars
from market.bars import BUCKET, CLOSE, COUNT, LAST_TS, N_INTS, STARTED

# Time and number of samples, samples until warm, bar length (0: every quote is a sample), whether
# the newest row is warm, whether bid or ask ever moved and when they last did.
SAMPLE_TS, SAMPLES, WARMUP, BAR_NS, IS_WARM, HAS_MOVED, MOVED_TS = range(N_INTS, N_INTS + 7)
N_KERNEL_INTS = N_INTS + 7

# What became of a quote.
MALFORMED, LATE, NO_SAMPLE, COLD, WARM = -2, -1, 0, 1, 2


Allocate = Callable[[str, int, DTypeLike], NDArray[Any]]


def _placed(array: NDArray[Any], allocate: Allocate | None) -> NDArray[Any]:
    """Put an array where it is to live."""
    if allocate is None:
        return array
    placed = allocate("feature state", len(array), array.dtype)
    placed[:] = array
    return placed


class Slot:
    """Arrays of one instrument, and where the kernels find them.

    Attributes
    ----------
    ints, state, row : arrays
        State and newest row; written in place, never replaced.
    address : int
        Of the table of the arrays' addresses; valid while the slot lives.

    Parameters
    ----------
    allocate : callable, optional
        Gives the memory to live in, as `monitoring.memory.Area.array` does.
    """

    __slots__ = ("_plan", "_table", "address", "ints", "pip", "row", "spec", "state")

    def __init__(
        self, spec: FeatureSpec, plan: Plan, pip: float, allocate: Allocate | None = None
    ) -> None:
        self.spec, self._plan, self.pip = spec, plan, pip
        fresh = *fresh_state(spec, plan, pip), np.zeros(spec.n_features, np.float32)
        self.ints, self.state, self.row = (_placed(array, allocate) for array in fresh)
        parts = (plan.table, self.ints, self.state, self.row)
        self._table = np.array(
            [number for part in parts for number in (part.ctypes.data, len(part))], np.int64
        )
        self.address = int(self._table.ctypes.data)

    @property
    def arrays(self) -> tuple[I8, I8, F8]:
        """Plan, ints and state, for kernels that write their rows elsewhere."""
        return self._plan.table, self.ints, self.state

    def push_strength(self, minute: int, values: Sequence[float]) -> None:
        """Tell a minute of the dollar's strength to the blocks that use it."""
        for line in self._plan.table:
            if line[0] == STRENGTH_OP:
                strength.push(self.state, int(line[4]), minute, values)

    def retell_strength(self, minutes: Strength) -> None:
        """Put minutes, the newest ones, in the place of those that wait."""
        for line in self._plan.table:
            if line[0] == STRENGTH_OP:
                strength.clear_waiting(self.state, int(line[4]))
        for minute, values in zip(minutes.minute.tolist(), minutes.values.tolist(), strict=True):
            self.push_strength(minute, values)

    def reset(self) -> None:
        """Forget everything."""
        self.ints[:], self.state[:] = fresh_state(self.spec, self._plan, self.pip)

    def copy_from(self, other: "Slot") -> None:
        """Take over the state of another slot of the same spec."""
        np.copyto(self.ints, other.ints)
        np.copyto(self.state, other.state)


@njit(forceinline=True)
def _arrays_at(address: int) -> tuple[I8, I8, F8, F4]:
    """Plan, ints, state and row of the slot at an address."""
    t = carray(pointer(address), (8,), np.int64)
    return (
        carray(pointer(t[0]), (t[1], 6), np.int64),
        carray(pointer(t[2]), (t[3],), np.int64),
        carray(pointer(t[4]), (t[5],), np.float64),
        carray(pointer(t[6]), (t[7],), np.float32),
    )


def fresh_state(spec: FeatureSpec, plan: Plan, pip: float) -> tuple[I8, F8]:
    """State of an instrument that has seen nothing."""
    ints, state = np.zeros(N_KERNEL_INTS, np.int64), np.zeros(plan.n_state)
    ints[WARMUP] = spec.warmup
    # A bar length of zero tells the kernel that every quote is a sample.
    ints[BAR_NS] = spec.bar_ns if spec.cadence == Cadence.BAR else 0
    state[PIP] = pip
    # A bar's time is its end; on the tick cadence each quote says what its time is.
    state[ENDS] = 1.0 if spec.cadence == Cadence.BAR else 0.0
    return ints, state


@njit(forceinline=True)
def _take_sample(table: I8, ints: I8, state: F8, row: F4, ts: int) -> int:
    """Run all blocks on the bar that has just ended, or on the tick that has just come."""
    first = ints[SAMPLES] == 0
    state[IS_FIRST] = 1.0 if first else 0.0
    state[N_TICKS] = ints[COUNT]
    state[ELAPSED_SECS] = 0.0 if first else (ts - ints[SAMPLE_TS]) * 1e-9
    state[RETURN_BPS] = 0.0 if first else BPS * math.log(state[CLOSE] / state[LAST_CLOSE])
    state[QUIET_SECS] = (ts - ints[MOVED_TS]) * 1e-9 if ints[HAS_MOVED] != 0 else -1.0
    state[COLD_BLOCKS] = 0.0
    for line in range(len(table)):
        run_block(table, line, state, ts, row)
    state[LAST_CLOSE] = state[CLOSE]
    state[BID_NET] = state[ASK_NET] = state[BID_MOVES] = state[ASK_MOVES] = 0.0
    ints[SAMPLE_TS] = ts
    ints[SAMPLES] += 1
    bars.close(ints)
    warm = ints[SAMPLES] >= ints[WARMUP] and state[COLD_BLOCKS] == 0.0
    ints[IS_WARM] = 1 if warm else 0
    return WARM if warm else COLD


@njit(forceinline=True)
def _count_moves(ints: I8, state: F8, ts: int, bid: float, ask: float) -> None:
    """Note which way bid and ask move; the first quote of a tape moves nothing."""
    if ints[STARTED] != 0:
        up, down = bid > state[LAST_BID], bid < state[LAST_BID]
        if up or down:
            state[BID_MOVES] += 1.0
            state[BID_NET] += 1.0 if up else -1.0
        rise, fall = ask > state[LAST_ASK], ask < state[LAST_ASK]
        if rise or fall:
            state[ASK_MOVES] += 1.0
            state[ASK_NET] += 1.0 if rise else -1.0
        if up or down or rise or fall:
            ints[HAS_MOVED], ints[MOVED_TS] = 1, ts
    state[LAST_BID], state[LAST_ASK] = bid, ask


@njit(forceinline=True)
def _is_late(ints: I8, ticks: bool, ts: int, bucket: int) -> bool:
    """Whether a quote comes too late; on the tick cadence no bucket closes."""
    if ticks:
        return bool(ints[STARTED] != 0 and ts < ints[LAST_TS])
    return bars.is_late(ints, ts, bucket)


@njit(forceinline=True)
def _apply(
    table: I8,
    ints: I8,
    state: F8,
    row: F4,
    ts: int,
    span: int,
    bid: float,
    ask: float,
    volume: float,
    open_: float,
    high: float,
    low: float,
) -> int:
    # A sum is finite only when all its terms are; one bad quote would stay in averages for good.
    total = bid + ask + open_ + high + low + volume
    if not (min(bid, ask, open_, high, low) > 0.0 and math.isfinite(total)):
        return MALFORMED
    bar_ns = ints[BAR_NS]
    ticks = bar_ns == 0
    bucket = 0 if ticks else bars.bucket_of(ts, span, bar_ns)
    if _is_late(ints, ticks, ts, bucket):
        return LATE
    if ticks:
        state[ENDS] = 1.0 if span > 0 else 0.0
    state[MINUTE] = float(ts // MINUTE_NS)
    code = NO_SAMPLE
    # First the bar before, then the quote's own sample: a loop, so that the blocks are compiled
    # into one place.
    for own in range(2):
        if own == 0:
            if ticks or not bars.rolls(ints, bucket):
                continue
        else:
            _count_moves(ints, state, ts, bid, ask)
            bars.add(ints, state, bucket, ts, bid, ask, volume, open_, high, low)
            if not (ticks or bars.completes(ints, ts, span, bar_ns)):
                continue
        end = ts if ticks else (ints[BUCKET] + 1) * bar_ns
        code = _take_sample(table, ints, state, row, end)
    return code


# Modules of this package that are compiled into the entries, or give constants to what is.
COMPILED = (
    *("blocks", "borrow", "closed", "dispatch", "indicators", "kernel", "native", "patterns"),
    *("quoting", "sample", "sessions", "strength", "windows"),
)


def _source_digest() -> int:
    here = Path(__file__).parent
    files = (Path(bars.__file__), *(here / f"{name}.py" for name in COMPILED))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    return int.from_bytes(digest.digest()[:7])


# numba notices a change of the file that a cached kernel stands in, but not of the kernels that it
# calls in other files. A value closed over is part of its cache key, so the entries close over a
# digest of their sources; kernels that call into other files are cached as part of an entry only.


def _build_step(digest: int) -> Any:
    @njit(cache=True)
    def step(
        address: int,
        ts: int,
        span: int,
        bid: float,
        ask: float,
        volume: float,
        open_: float,
        high: float,
        low: float,
    ) -> int:
        if digest == 0:
            return MALFORMED
        table, ints, state, row = _arrays_at(address)
        return _apply(table, ints, state, row, ts, span, bid, ask, volume, open_, high, low)

    return step


def _build_run(digest: int) -> Any:
    @njit(cache=True, nogil=True)  # a tape takes long: other threads go on beside it
    def run(
        table: I8,
        ints: I8,
        state: F8,
        ts: I8,
        span: I8,
        bid: F8,
        ask: F8,
        volume: F8,
        open_: F8,
        high: F8,
        low: F8,
        rows: NDArray[np.float32],
        index: I8,
        warm: NDArray[np.bool_],
    ) -> tuple[int, int, int]:
        m = late = malformed = 0
        if digest == 0:
            return m, late, malformed
        for i in range(len(ts)):
            code = _apply(
                borrow(table),
                borrow(ints),
                borrow(state),
                borrow(rows[m]),
                ts[i],
                span[i],
                bid[i],
                ask[i],
                volume[i],
                open_[i],
                high[i],
                low[i],
            )
            if code == LATE:
                late += 1
            elif code == MALFORMED:
                malformed += 1
            elif code != NO_SAMPLE:
                index[m] = i
                warm[m] = code == WARM
                if code == COLD:
                    rows[m] = np.float32(np.nan)
                m += 1
        return m, late, malformed

    return run


def _build_close(digest: int) -> Any:
    @njit(cache=True)
    def close_forming(address: int) -> int:
        table, ints, state, row = _arrays_at(address)
        if digest == 0 or ints[COUNT] == 0:
            return NO_SAMPLE
        end = (ints[BUCKET] + 1) * ints[BAR_NS]
        return _take_sample(table, ints, state, row, end)

    return close_forming


_DIGEST = _source_digest()
SOURCES = f"{_DIGEST:014x}"
"""Digest of the kernels' sources: saved state means the same only under the same one."""

step = _build_step(_DIGEST)
run = _build_run(_DIGEST)
close_forming = _build_close(_DIGEST)

_STATE = (types.int64[:, ::1], types.int64[::1], types.float64[::1])
_STEP = (types.int64, *(types.int64,) * 2, *(types.float64,) * 6)
_TIMES = types.Array(types.int64, 1, "C", readonly=True)
_PRICES = types.Array(types.float64, 1, "C", readonly=True)
_OUT = (types.float32[:, ::1], types.int64[::1], types.boolean[::1])
_RUN = (*_STATE, *(_TIMES,) * 2, *(_PRICES,) * 6, *_OUT)


def prepare() -> None:
    """Compile the entries, or load them from numba's cache, and never again for other types.

    Otherwise a price that happens to be an int would cost seconds of compilation on the live path.
    """
    for entry, signature in (
        (step, _STEP),
        (run, _RUN),
        (close_forming, (types.int64,)),
    ):
        if not entry.signatures:
            entry.compile(signature)
            entry.disable_compile()
