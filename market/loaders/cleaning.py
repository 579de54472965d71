"""Which rows are unfit, and why; all checks work on whole columns."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from market.loaders.reader import RawRows
from market.loaders.report import Faults
from market.loaders.stamps import BAD_STAMP

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]
Mask = NDArray[np.bool_]
Check = tuple[str, Mask]

MALFORMED = "wrong number of fields"
BAD_TIME = "time cannot be read"
OTHER_SYMBOL = "belongs to another symbol"
NO_NUMBER = "price is missing or not a number"
NOT_FINITE = "price is not finite"
NOT_POSITIVE = "price is not positive"
BAD_VOLUME = "volume is not a number of at least 0"
CROSSED = "ask is below bid"
BAD_BAR = "high or low does not contain open and close"
OFF_GRID = "stamp is off the bar grid"
REPEATED = "stamp is repeated"
OUT_OF_ORDER = "out of time order"
NO_PARTNER = "no bar of the other side at this time"
NO_LENGTH = "too few sound bars to tell their length"
OVERLAP = "overlaps an earlier file"


def sieve(path: Path, rows: RawRows, faults: Faults, checks: Iterable[Check]) -> Mask:
    """Report each unfit row once, under the first check that it fails; return who is left.

    Parameters
    ----------
    checks : iterable of (reason, bool[n])
        True where the row is unfit.
    """
    keep = np.ones(len(rows), np.bool_)
    for reason, unfit in checks:
        hit = unfit & keep
        if hit.any():
            faults.add(path, rows.lines[hit], reason)
            keep &= ~unfit
    return keep


def record_checks(rows: RawRows, symbol: str) -> Iterable[Check]:
    """Check the stamp, the symbol and the volume."""
    yield BAD_TIME, rows.ts == BAD_STAMP
    if rows.symbols is not None:
        yield OTHER_SYMBOL, rows.symbols != symbol
    if "volume" in rows.values:
        # NaN fails this comparison too.
        yield BAD_VOLUME, ~((rows.values["volume"] >= 0) & np.isfinite(rows.values["volume"]))


def price_checks(prices: Iterable[F8]) -> Iterable[Check]:
    """Every price must be a finite, positive number."""
    columns = list(prices)
    yield NO_NUMBER, np.any([np.isnan(column) for column in columns], axis=0)
    yield NOT_FINITE, np.any([np.isinf(column) for column in columns], axis=0)
    yield NOT_POSITIVE, np.any([column <= 0 for column in columns], axis=0)


def bar_check(open_: F8, high: F8, low: F8, close: F8) -> Check:
    """High and low must contain open and close."""
    unfit = (high < np.maximum(open_, close)) | (low > np.minimum(open_, close))
    return BAD_BAR, unfit


def grid_check(ts: I8, span_ns: int, fit: Mask) -> Check:
    """Bars stand on one grid: the phase that most stamps have."""
    phases, counts = np.unique(ts[fit] % span_ns, return_counts=True)
    phase = phases[np.argmax(counts)] if len(phases) else 0
    return OFF_GRID, ts % span_ns != phase


def span_of(ts: I8) -> int:
    """Length of the bars, ns: the most common distance of their stamps; 0 when there is none."""
    distances = np.diff(ts)
    lengths, counts = np.unique(distances[distances > 0], return_counts=True)
    return int(lengths[np.argmax(counts)]) if len(lengths) else 0


def repeat_check(ts: I8, fit: Mask) -> Check:
    """Only the first fit row of a stamp stays."""
    places = np.flatnonzero(fit)
    _, first = np.unique(ts[places], return_index=True)
    unfit = fit.copy()
    unfit[places[first]] = False
    return REPEATED, unfit


def order_check(ts: I8, fit: Mask) -> Check:
    """Fewest rows whose removal leaves the stamps in order; equal stamps are in order.

    One stamp far in the future costs one row, not all the rows behind it: the rows kept are a
    longest non-decreasing subsequence (patience sorting, Fredman 1975).
    """
    places = np.flatnonzero(fit)
    unfit = np.zeros(len(ts), np.bool_)
    stamps = ts[places]
    if (stamps[1:] >= stamps[:-1]).all():
        return OUT_OF_ORDER, unfit
    unfit[places] = True
    unfit[places[longest_ordered(stamps.tolist())]] = False
    return OUT_OF_ORDER, unfit


def longest_ordered(stamps: list[int]) -> I8:
    """Positions of a longest non-decreasing subsequence."""
    tails: list[int] = []  # smallest last stamp of an ordered run, by its length
    tail_at: list[int] = []
    before = [-1] * len(stamps)
    for at, stamp in enumerate(stamps):
        length = bisect_right(tails, stamp)
        before[at] = tail_at[length - 1] if length else -1
        tails[length : length + 1] = [stamp]
        tail_at[length : length + 1] = [at]
    kept = []
    at = tail_at[-1] if tail_at else -1
    while at >= 0:
        kept.append(at)
        at = before[at]
    return np.array(kept[::-1], np.int64)


def first_after(ts: I8, last_ts: int, *, repeats: bool) -> int:
    """Position of the first row that may follow `last_ts` (an equal stamp only with `repeats`)."""
    search = bisect_left if repeats else bisect_right
    return search(ts, last_ts)
