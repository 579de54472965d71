"""Splits in time: walk-forward with purge and embargo."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from core.columns import I8
from core.errors import BadInput

MIN_BLOCK_ROWS = 100


def rows_needed(folds: int, embargo: int) -> int:
    """Fewest training rows that leave something to learn from before the first fold's test."""
    return (folds + 1) * (embargo + MIN_BLOCK_ROWS)


def walk_forward(
    ts: I8, end_ns: I8, folds: int, embargo: int, start_ns: I8 | None = None
) -> Iterator[tuple[I8, I8]]:
    """Yield (train, test) row numbers, test blocks going forward, training on all that is before.

    The rows are cut into ``folds + 1`` blocks of equal length; block ``k`` is tested by what was
    learnt from the blocks before it, without the last `embargo` rows and without each row whose
    label ends at or after the first test row (purge).

    Parameters
    ----------
    ts, end_ns : int64[m]
        Label intervals of the rows, ascending.
    folds : int
        Number of test blocks, at least 1.
    embargo : int
        Rows left out before each test block.
    start_ns : int64[m], optional
        From when on a row tells of the market, ascending; earlier than `ts` for rows that are read
        with the window before them. The purge then keeps labels out of the tested windows as well.

    Raises
    ------
    BadInput
        When purge and embargo leave a fold nothing to learn from.
    """
    if folds < 1:
        raise BadInput(f"walk-forward needs at least 1 fold, not {folds}")
    edges = np.linspace(0, len(ts), folds + 2).astype(np.int64)
    for fold, (start, stop) in enumerate(pairwise(edges[1:]), 1):
        test = np.arange(start, stop)
        train = before(ts if start_ns is None else start_ns, end_ns, int(start), embargo)
        if len(train) == 0 or len(test) == 0:
            raise BadInput(
                f"fold {fold} of {folds} has {len(train)} training and {len(test)} test rows after "
                f"purge and an embargo of {embargo} rows; give more data or fewer folds"
            )
        yield train, test


def before(ts: I8, end_ns: I8, start: int, embargo: int) -> I8:
    """Rows that may teach a model tested from row `start` on: purged, then embargoed."""
    stop = max(start - embargo, 0)
    if start >= len(ts):
        return np.arange(stop)
    return np.flatnonzero(end_ns[:stop] < ts[start])


def cut(start_ns: I8, end_ns: I8, fraction: float, embargo: int) -> tuple[I8, I8]:
    """Earlier rows and the later fraction, the earlier ones purged and embargoed; row numbers.

    Parameters
    ----------
    start_ns, end_ns : int64[m]
        From the beginning of a row's window to the end of its label.
    """
    start = round(len(end_ns) * (1.0 - fraction))
    # With few rows the embargo must not eat what there is to learn from; the purge always holds.
    early = before(start_ns, end_ns, start, min(embargo, start // 4))
    return early, np.arange(start, len(end_ns))
