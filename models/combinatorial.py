"""Combinatorial purged cross-validation: several whole out-of-sample paths from one history.

López de Prado, "Advances in Financial Machine Learning" (2018), sections 7.4 and 12.4. Time is cut
into groups; each choice of `test_groups` of them is tested once by what was learnt from the rest,
before and after. Every group is tested several times, and its tests, one per path, join to paths
that each cover all of time. For statistics on overfitting only: a model of this kind has seen the
future of the rows that it is tested on.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from core.columns import I8
from core.errors import BadInput
from models.labels import Flags


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Row numbers to learn from and to test, and the groups that are tested."""

    groups: tuple[int, ...]
    train: I8
    test: I8


def group_edges(n: int, groups: int) -> I8:
    """Row numbers at which groups of equal length begin, and the end: int64[groups + 1]."""
    return np.linspace(0, n, groups + 1).astype(np.int64)


def combinatorial_splits(
    ts: I8, end_ns: I8, groups: int = 6, test_groups: int = 2, embargo: int = 0
) -> list[Split]:
    """Give all C(groups, test_groups) splits, purged by label interval and embargoed.

    Parameters
    ----------
    ts, end_ns : int64[m]
        Label intervals of the rows, both ends included; `ts` ascending. For rows that are read with
        a window before them, `ts` is when the window begins.
    embargo : int
        Rows left out after the last label of each stretch of tested groups has ended.

    Raises
    ------
    BadInput
        When a split has nothing to learn from, or there are more groups than rows.
    """
    if not 1 <= test_groups < groups:
        raise BadInput(f"{test_groups} of {groups} groups cannot be tested")
    if len(ts) < groups:
        raise BadInput(f"{len(ts)} rows cannot be cut into {groups} groups")
    edges = group_edges(len(ts), groups)
    splits = []
    for chosen in combinations(range(groups), test_groups):
        tested = np.zeros(len(ts), np.bool_)
        for group in chosen:
            tested[edges[group] : edges[group + 1]] = True
        train = np.flatnonzero(~tested & ~_purged(ts, end_ns, tested, embargo))
        if len(train) == 0:
            raise BadInput(
                f"purge and an embargo of {embargo} rows leave nothing to learn from when groups "
                f"{chosen} of {groups} are tested; give more data or fewer groups"
            )
        splits.append(Split(chosen, train, np.flatnonzero(tested)))
    return splits


def _purged(ts: I8, end_ns: I8, tested: Flags, embargo: int) -> Flags:
    """Rows whose label overlaps a label of a stretch of tested rows, or that follow too closely."""
    out = np.zeros(len(ts), np.bool_)
    borders = np.flatnonzero(np.diff(np.concatenate([[False], tested, [False]]).astype(np.int8)))
    for first, stop in borders.reshape(-1, 2):
        last_end = end_ns[first:stop].max()
        out |= (ts <= last_end) & (end_ns >= ts[first])
        after = int(np.searchsorted(ts, last_end, side="right"))
        out[after : after + embargo] = True
    return out


def path_splits(groups: int = 6, test_groups: int = 2) -> I8:
    """Which split tests which group on which path.

    Returns
    -------
    int64[paths, groups]
        Positions in `combinatorial_splits`; C(groups - 1, test_groups - 1) paths, and each pair of
        split and tested group occurs once.
    """
    choices = list(combinations(range(groups), test_groups))
    tests = [[k for k, chosen in enumerate(choices) if group in chosen] for group in range(groups)]
    return np.array(tests, np.int64).T.copy()
