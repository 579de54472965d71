"""Feature rows of whole tapes: the kernel of the stream in a loop.

The state of an instrument is carried from quote to quote, so one instrument is computed in order:
whole, or in chunks that carry the state and never hold more than two of them (`compute_chunks`).
Several instruments are computed side by side, one thread each; the kernels run without the
interpreter's lock (`compute_many`). All three give the same bits.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.columns import I8, QuoteColumns
from core.errors import BadInput
from features import kernel
from features.blocks import F4
from features.kernel import Slot
from features.spec import MINUTE_NS, FeatureSpec, plan_of
from features.strength import DEPTH, LAG_NS, Strength, clock


@dataclass(frozen=True, slots=True, eq=False)
class FeatureRows:
    """Rows in time order, one for each quote that ended a sample.

    Attributes
    ----------
    rows : float32[m, n_features]
        NaN where not warm.
    index : int64[m]
        Position in the columns of the quote that produced the row.
    warm : bool[m]
        False during warm-up.
    late : int
        Quotes that were older than the last one applied (or than a closed bar), so not applied.
    malformed : int
        Quotes with a price that is not a positive number, so not applied.
    """

    rows: F4
    index: I8
    warm: NDArray[np.bool_]
    late: int
    malformed: int = 0

    def __len__(self) -> int:
        return len(self.index)


def compute(
    spec: FeatureSpec, columns: QuoteColumns, pip: float, strength: Strength | None = None
) -> FeatureRows:
    """Compute the rows of a tape, beginning with a fresh state.

    Parameters
    ----------
    columns : QuoteColumns
        Quotes of one instrument, in the order they arrived.
    pip : float
        Size of a pip in quote currency.
    strength : Strength, optional
        Series of `features.strength.usd_strength`, for a spec that needs it.

    Raises
    ------
    BadInput
        When the spec needs the dollar's strength and it is not given.
    """
    return _Carry(spec, pip, strength).rows(columns)


def compute_chunks(
    spec: FeatureSpec,
    chunks: Iterable[QuoteColumns],
    pip: float,
    strength: Strength | None = None,
) -> Iterator[FeatureRows]:
    """Compute the rows of a tape that comes in chunks, the next one while the last is used.

    Parameters
    ----------
    chunks : iterable of QuoteColumns
        Consecutive parts of one instrument's tape, as `chunks_of` cuts them from a memory map.

    Yields
    ------
    FeatureRows
        Of each chunk, `index` counted from the beginning of the tape. Joined they are the rows of
        `compute` over the whole tape, bit for bit.
    """
    carry = _Carry(spec, pip, strength)
    with ThreadPoolExecutor(1, "features") as pool:
        coming: Future[FeatureRows] | None = None
        for chunk in chunks:
            done, coming = coming, pool.submit(carry.rows, chunk)
            if done is not None:
                yield done.result()
        if coming is not None:
            yield coming.result()


def chunks_of(columns: QuoteColumns, n_quotes: int = 1 << 17) -> Iterator[QuoteColumns]:
    """Cut columns into views of at most `n_quotes`; pages of a memory map are read when needed."""
    for first in range(0, len(columns), n_quotes):
        yield columns[first : first + n_quotes]


def compute_many(
    spec: FeatureSpec,
    tapes: Mapping[str, tuple[QuoteColumns, float]],
    workers: int | None = None,
    strength: Strength | None = None,
) -> dict[str, FeatureRows]:
    """Compute the rows of several instruments, one thread each.

    Parameters
    ----------
    tapes : mapping of str to (QuoteColumns, float)
        Columns and pip by symbol.
    workers : int, optional
        Threads at a time; as many as there are cores when absent.

    Returns
    -------
    dict of str to FeatureRows
        In the order of `tapes`.
    """
    kernel.prepare()
    longest_first = sorted(tapes, key=lambda symbol: -len(tapes[symbol][0]))
    with ThreadPoolExecutor(workers or os.cpu_count() or 1, "features") as pool:
        coming = {
            symbol: pool.submit(compute, spec, *tapes[symbol], strength) for symbol in longest_first
        }
        return {symbol: coming[symbol].result() for symbol in tapes}


class _Carry:
    """State of one instrument between the parts of its tape."""

    def __init__(self, spec: FeatureSpec, pip: float, strength: Strength | None) -> None:
        if spec.needs_strength and strength is None:
            raise BadInput(f"spec {spec.name!r} needs the strength of the dollar")
        self._slot = Slot(spec, plan_of(spec), pip)
        self._coming = strength if spec.needs_strength else None
        self._seen = self._told = 0

    def rows(self, columns: QuoteColumns) -> FeatureRows:
        got, self._told = advance_from(self._slot, columns, self._coming, self._told)
        # The array is this call's own.
        got.index[:] += self._seen
        self._seen += len(columns)
        return got


def advance(slot: Slot, columns: QuoteColumns, strength: Strength | None = None) -> FeatureRows:
    """Advance a slot over columns, with minutes of the dollar's strength as their time comes."""
    return advance_from(slot, columns, strength, 0)[0]


def advance_from(
    slot: Slot, columns: QuoteColumns, strength: Strength | None, told: int
) -> tuple[FeatureRows, int]:
    """Do what `advance` does, from the minute at `told` on; return how far they are told by now.

    Minutes that the quotes do not reach stay untold, but for a few that may wait.
    """
    n = len(columns)
    # Memory that is never written is never taken, so an upper bound costs nothing.
    rows = np.empty((n, slot.spec.n_features), np.float32)
    index, warm = np.empty(n, np.int64), np.empty(n, np.bool_)
    m = late = malformed = 0
    for first, end, until in _stretches(columns, strength, told):
        if strength is not None:
            for k in range(told, until):
                slot.push_strength(int(strength.minute[k]), strength.values[k].tolist())
        told = until
        got, too_late, bad = feed(slot, columns[first:end], rows[m:], index[m:], warm[m:])
        index[m : m + got] += first
        m, late, malformed = m + got, late + too_late, malformed + bad
    if m < n:
        rows, index, warm = rows[:m].copy(), index[:m].copy(), warm[:m].copy()
    return FeatureRows(rows, index, warm, late, malformed), told


def _stretches(
    columns: QuoteColumns, strength: Strength | None, told: int
) -> Iterator[tuple[int, int, int]]:
    """First and end of a stretch of quotes, and the minutes to be told before it.

    Minutes may be told ahead, since they wait for their time; only so many can wait, so after each
    few the quotes come that reach the next.
    """
    if strength is None or not len(columns):
        yield 0, len(columns), told
        return
    needed = np.searchsorted(clock(columns), strength.minute * MINUTE_NS + LAG_NS)
    first = 0
    while first < len(columns):
        known = max(told, int(np.searchsorted(needed, first, side="right")))
        until = min(known + DEPTH // 2, len(strength))
        end = int(needed[until]) if until < len(strength) else len(columns)
        yield first, end, until
        first, told = end, until


def feed(
    slot: Slot,
    columns: QuoteColumns,
    rows: F4,
    index: I8,
    warm: NDArray[np.bool_],
) -> tuple[int, int, int]:
    """Advance a slot over columns; return how many rows, late and malformed quotes there were."""
    kernel.prepare()
    times = (np.ascontiguousarray(c, np.int64) for c in (columns.ts, columns.span))
    prices = (
        np.ascontiguousarray(c, np.float64)
        for c in (
            columns.bid,
            columns.ask,
            columns.volume,
            columns.open,
            columns.high,
            columns.low,
        )
    )
    m, late, malformed = kernel.run(*slot.arrays, *times, *prices, rows, index, warm)
    return int(m), int(late), int(malformed)
