"""Quotes to bars: one set of kernels, stepped quote by quote in the stream and looped over history.

A bar covers a bucket of `bar_ns`. Ticks are half-open ``[open, close)``; a quote that stands for a
span belongs to the bucket its span ends in. A bar closes when a quote of a later bucket arrives, or
at once when a quote with a span lands on the bucket's end. A closed bar is final: a quote older
than the last one applied, or of a bucket that has closed, is late, counted and not applied.

State is two slices, all zeros when fresh: `ints` (`N_INTS` int64) and `floats` (`N_FLOATS`
float64). The float slice is the bar that is forming, and the finished bar until the next `add`.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.columns import F8, I8, QuoteColumns

OPEN, HIGH, LOW, CLOSE, SPREAD, VOLUME = range(6)
N_FLOATS = 6
# Last applied time, lowest bucket still open to quotes, bucket and quotes of the forming bar, and
# whether anything was applied yet.
LAST_TS, FLOOR, BUCKET, COUNT, STARTED = range(5)
N_INTS = 5


@njit(forceinline=True)
def bucket_of(ts: int, span: int, bar_ns: int) -> int:
    """Bucket that a quote belongs to; the last ns of a span decides, not the ns after it."""
    return (ts - 1) // bar_ns if span > 0 else ts // bar_ns


@njit(forceinline=True)
def is_late(ints: I8, ts: int, bucket: int) -> bool:
    """Whether the quote is older than the last one applied, or its bucket has closed."""
    return bool(ints[STARTED] != 0 and (ts < ints[LAST_TS] or bucket < ints[FLOOR]))


@njit(forceinline=True)
def rolls(ints: I8, bucket: int) -> bool:
    """Whether a quote of `bucket` ends the forming bar without being part of it."""
    return bool(ints[COUNT] > 0 and bucket > ints[BUCKET])


@njit(forceinline=True)
def add(
    ints: I8,
    floats: F8,
    bucket: int,
    ts: int,
    bid: float,
    ask: float,
    volume: float,
    open_: float,
    high: float,
    low: float,
) -> None:
    """Put a quote into the forming bar, or begin one with it."""
    if ints[COUNT] == 0:
        floats[OPEN], floats[HIGH], floats[LOW] = open_, high, low
        floats[VOLUME] = 0.0
        ints[BUCKET] = bucket
    if high > floats[HIGH]:
        floats[HIGH] = high
    if low < floats[LOW]:
        floats[LOW] = low
    floats[CLOSE] = 0.5 * (bid + ask)
    floats[SPREAD] = ask - bid
    floats[VOLUME] += volume
    ints[COUNT] += 1
    ints[FLOOR] = bucket
    ints[LAST_TS] = ts
    ints[STARTED] = 1


@njit(forceinline=True)
def completes(ints: I8, ts: int, span: int, bar_ns: int) -> bool:
    """Whether the quote just added ends its span exactly at the bar's end."""
    return span > 0 and ts == (ints[BUCKET] + 1) * bar_ns


@njit(forceinline=True)
def close(ints: I8) -> None:
    """End the forming bar; its numbers stay readable until the next `add`."""
    ints[FLOOR] = ints[BUCKET] + 1
    ints[COUNT] = 0


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Closed bars in time order, as equally long arrays.

    Attributes
    ----------
    ts : int64[m]
        End of each bar, ns UTC; strictly increasing.
    open, high, low, close : float64[m]
        Mid prices; `close` is the mid of the last quote.
    spread : float64[m]
        Ask minus bid of the last quote, in quote currency.
    volume : float64[m]
        Sum over the quotes.
    n_ticks : int64[m]
        Quotes in the bar.
    index : int64[m]
        Position in the columns of the quote that closed the bar.
    late : int
        Quotes that were not applied.
    """

    ts: I8
    open: F8
    high: F8
    low: F8
    close: F8
    spread: F8
    volume: F8
    n_ticks: I8
    index: I8
    late: int

    def __len__(self) -> int:
        return len(self.ts)


@njit(forceinline=True)
def _emit(
    ints: I8, floats: F8, bar_ns: int, quote: int, m: int, out_ints: I8, out_floats: F8
) -> int:
    out_ints[0, m] = (ints[BUCKET] + 1) * bar_ns
    out_ints[1, m] = ints[COUNT]
    out_ints[2, m] = quote
    for k in range(N_FLOATS):
        out_floats[k, m] = floats[k]
    close(ints)
    return m + 1


@njit(cache=True)
def _collect(
    bar_ns: int,
    ts: I8,
    span: I8,
    bid: F8,
    ask: F8,
    volume: F8,
    open_: F8,
    high: F8,
    low: F8,
    out_ints: I8,
    out_floats: F8,
) -> tuple[int, int]:
    ints, floats = np.zeros(N_INTS, np.int64), np.zeros(N_FLOATS)
    m = late = 0
    for i in range(len(ts)):
        bucket = bucket_of(ts[i], span[i], bar_ns)
        if is_late(ints, ts[i], bucket):
            late += 1
            continue
        if rolls(ints, bucket):
            m = _emit(ints, floats, bar_ns, i, m, out_ints, out_floats)
        add(ints, floats, bucket, ts[i], bid[i], ask[i], volume[i], open_[i], high[i], low[i])
        if completes(ints, ts[i], span[i], bar_ns):
            m = _emit(ints, floats, bar_ns, i, m, out_ints, out_floats)
    return m, late


def bars_of(columns: QuoteColumns, bar_ns: int = 60_000_000_000) -> Bars:
    """Collect the closed bars of a tape; the bar still forming at its end is left out.

    Parameters
    ----------
    columns : QuoteColumns
        Quotes of one instrument, in the order they arrived.
    bar_ns : int
        Length of a bar, ns; positive.

    Raises
    ------
    ValueError
        When `bar_ns` is not positive.
    """
    if bar_ns <= 0:
        raise ValueError(f"bar_ns must be positive, not {bar_ns}")
    c, n = columns, len(columns)
    ints: NDArray[np.int64] = np.empty((3, n), np.int64)
    floats: NDArray[np.float64] = np.empty((N_FLOATS, n))
    m, late = _collect(
        bar_ns, c.ts, c.span, c.bid, c.ask, c.volume, c.open, c.high, c.low, ints, floats
    )
    ends, counts, index = (row[:m].copy() for row in ints)
    open_, high, low, close_, spread, volume = (row[:m].copy() for row in floats)
    return Bars(ends, open_, high, low, close_, spread, volume, counts, index, late)
