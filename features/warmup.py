"""True warm-up of each column, measured: when a tape begun later gives the same value.

The tape is cut at several quotes and computed afresh from there. A column is warm from the sample
on after which no value differs from that of the whole tape by more than `TOLERANCE`, relative to
its size (or absolute, below one). Blocks are measured one by one, since a row of several is
withheld until all of its closed bars are there.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.columns import QuoteColumns
from features import batch
from features.parity import Compute
from features.spec import FeatureSpec, make_spec

TOLERANCE = 1e-6


class WarmupReport(msgspec.Struct, frozen=True):
    """Samples that each column needs, as measured, against what it claims.

    Attributes
    ----------
    measured : dict of str to int
        By column; 0 when there was nothing to compare.
    understated : tuple of (column, claimed, measured)
        Columns that need more samples than they say.
    served_early : tuple of (column, warm-up of the spec, measured)
        Those of them whose rows would have been given out too early: the spec's warm-up, which is
        the longest claim, does not cover them either.
    samples : int
        Samples compared at the most, after the longest claim; 0 proves nothing.
    """

    measured: dict[str, int]
    understated: tuple[tuple[str, int, int], ...]
    served_early: tuple[tuple[str, int, int], ...]
    samples: int

    @property
    def ok(self) -> bool:
        """No column claims less than it needs, and something was compared."""
        return self.samples > 0 and not self.understated


def check_warmup(
    spec: FeatureSpec,
    columns: QuoteColumns,
    pip: float,
    n_cuts: int = 4,
    seed: int = 0,
    compute: Compute = batch.compute,
) -> WarmupReport:
    """Measure the warm-up of every column of a spec on a tape.

    Parameters
    ----------
    n_cuts : int
        Later beginnings to try, in the first quarter of the tape.
    seed : int
        Of their choice.
    """
    rng = np.random.default_rng(seed)
    end = max(len(columns) // 4, 1)
    cuts = np.unique(rng.integers(min(1, end - 1), end, n_cuts)).tolist()
    measured: dict[str, int] = {}
    compared = 0
    for block in dict.fromkeys(spec.blocks):
        # With a warm-up of one, the kernel withholds nothing but rows without their closed bars.
        alone = make_spec("alone", spec.cadence, (block,), spec.bar_ns)
        alone = msgspec.structs.replace(alone, warmup=1)
        worst, samples = _measure(alone, columns, pip, cuts, compute)
        compared = max(compared, samples)
        measured.update(zip(alone.names, worst.tolist(), strict=True))
    understated = tuple(
        (column.name, column.warmup, measured[column.name])
        for column in spec.columns
        if measured[column.name] > column.warmup
    )
    early = tuple((name, spec.warmup, need) for name, _, need in understated if need > spec.warmup)
    return WarmupReport(measured, understated, early, max(0, compared - spec.warmup))


def _measure(
    spec: FeatureSpec, columns: QuoteColumns, pip: float, cuts: list[int], compute: Compute
) -> tuple[NDArray[np.int64], int]:
    """Return the samples that each column needs over all cuts, and the shortest tape's number."""
    whole = compute(spec, columns, pip)
    worst = np.ones(spec.n_features, np.int64)
    shortest = len(whole)
    for cut in cuts:
        late = compute(spec, columns[cut:], pip)
        both = np.isin(late.index + cut, whole.index, assume_unique=True)
        at = np.searchsorted(whole.index, late.index[both] + cut)
        # A row that only one of them has is of the bar that the cut went through.
        count = np.flatnonzero(both) + 1
        a, b = whole.rows[at].astype(np.float64), late.rows[both].astype(np.float64)
        given = (whole.warm[at] & late.warm[both])[:, None]
        with np.errstate(invalid="ignore"):
            same = np.abs(a - b) <= TOLERANCE * np.maximum(1.0, np.abs(a))
        # Values that are not finite are another check's matter.
        same |= ~np.isfinite(a) & ~np.isfinite(b)
        moved = given & ~same
        need = np.where(moved, count[:, None] + 1, 1).max(axis=0, initial=1)
        worst = np.maximum(worst, need)
        shortest = min(shortest, len(late))
    return worst, shortest
