"""Walk-forward splits never let a label look into its own test."""

import numpy as np
import pytest

from core.errors import BadInput
from models.combinatorial import combinatorial_splits
from models.validation import rows_needed, walk_forward

MINUTE = 60 * 10**9


def intervals(seed: int, n: int = 1_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ts = rng.integers(0, 40, n).cumsum()
    return ts, np.maximum.accumulate(ts + rng.integers(1, 800, n))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("folds", "embargo"), [(1, 0), (4, 0), (4, 25), (7, 3)])
def test_no_training_label_reaches_the_test(seed: int, folds: int, embargo: int) -> None:
    ts, end = intervals(seed)
    tested: list[int] = []
    for train, test in walk_forward(ts, end, folds, embargo):
        first = ts[test[0]]
        assert end[train].max() < first
        assert test[0] - train.max() > embargo
        # Nothing more was dropped than purge and embargo ask for.
        assert train.tolist() == [r for r in range(test[0] - embargo) if end[r] < first]
        tested += test.tolist()
    assert tested == list(range(tested[0], len(ts))), "each later row is tested once, in order"
    assert len(tested) == pytest.approx(len(ts) * folds / (folds + 1), abs=2)


def test_embargo_binds_beyond_the_purge() -> None:
    ts = np.arange(100)
    trains = [train.max() for train, _ in walk_forward(ts, ts + 1, 4, 10)]
    assert trains == [9, 29, 49, 69]


def test_a_fold_without_training_rows_is_refused() -> None:
    ts = np.arange(50)
    with pytest.raises(BadInput, match="fold 1 of 4 has 0 training"):
        list(walk_forward(ts, ts + 1, 4, 10))
    with pytest.raises(BadInput, match="at least 1 fold"):
        list(walk_forward(ts, ts + 1, 0, 0))


def test_rows_needed_is_enough_for_each_fold() -> None:
    n = rows_needed(4, 60)
    ts = np.arange(n)
    assert all(len(train) >= 99 for train, _ in walk_forward(ts, ts + 1, 4, 60))


def test_windows_of_tested_rows_hold_no_label_that_was_learnt_from() -> None:
    n, window, horizon = 1_000, 64, 15
    ts = MINUTE * np.arange(n, dtype=np.int64)
    end = ts + horizon * MINUTE
    start = MINUTE * (np.arange(n, dtype=np.int64) - (window - 1))
    for train, test in walk_forward(ts, end, 4, 0, start):
        assert end[train].max() < start[test].min()
        assert len(train) == test[0] - horizon - window + 1, "and no more is purged than that"
    for split in combinatorial_splits(start, end, 6, 2):
        for row in split.test[::50]:
            overlaps = (start[split.train] <= end[row]) & (end[split.train] >= start[row])
            assert not overlaps.any()
