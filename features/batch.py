"""Feature rows of a whole tape: the kernel of the stream in a loop."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.columns import F8, I8, QuoteColumns
from features import kernel
from features.blocks import F4
from features.spec import FeatureSpec, plan_of


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


def compute(spec: FeatureSpec, columns: QuoteColumns, pip: float) -> FeatureRows:
    """Compute the rows of a tape, beginning with a fresh state.

    Parameters
    ----------
    columns : QuoteColumns
        Quotes of one instrument, in the order they arrived.
    pip : float
        Size of a pip in quote currency.
    """
    plan = plan_of(spec)
    ints, state = kernel.fresh_state(spec, plan, pip)
    n = len(columns)
    # Memory that is never written is never taken, so an upper bound costs nothing.
    rows = np.empty((n, spec.n_features), np.float32)
    index, warm = np.empty(n, np.int64), np.empty(n, np.bool_)
    m, late, malformed = feed(plan.table, ints, state, columns, rows, index, warm)
    if m < n:
        rows, index, warm = rows[:m].copy(), index[:m].copy(), warm[:m].copy()
    return FeatureRows(rows, index, warm, late, malformed)


def feed(
    table: I8,
    ints: I8,
    state: F8,
    columns: QuoteColumns,
    rows: F4,
    index: I8,
    warm: NDArray[np.bool_],
) -> tuple[int, int, int]:
    """Advance a state over columns; return how many rows, late and malformed quotes there were."""
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
    m, late, malformed = kernel.run(table, ints, state, *times, *prices, rows, index, warm)
    return int(m), int(late), int(malformed)
