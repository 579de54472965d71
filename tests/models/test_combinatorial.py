"""CPCV against a loop over pairs of rows, and how its tests join to paths."""

import numpy as np
import pytest

from core.errors import BadInput
from models.combinatorial import combinatorial_splits, group_edges, path_splits


def intervals(seed: int, n: int = 240) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ts = rng.integers(0, 40, n).cumsum()
    return ts, ts + rng.integers(1, 400, n)


def naive_train(ts: np.ndarray, end: np.ndarray, test: set[int], embargo: int) -> list[int]:
    """Keep a row if it overlaps no tested label and is not among the first ones after a stretch."""
    banned = set(test)
    for row in range(len(ts)):
        if any(ts[row] <= end[t] and end[row] >= ts[t] for t in test):
            banned.add(row)
    for row in sorted(test):
        if row + 1 in test:
            continue
        first = row
        while first - 1 in test:
            first -= 1
        last_end = max(end[t] for t in range(first, row + 1))
        # Within a stretch the longest label rules, wherever it began.
        banned |= {k for k in range(len(ts)) if ts[k] <= last_end and end[k] >= ts[first]}
        after = [k for k in range(len(ts)) if ts[k] > last_end]
        banned |= set(after[:embargo])
    return [row for row in range(len(ts)) if row not in banned]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("embargo", [0, 7])
def test_splits_equal_the_naive_loop(seed: int, embargo: int) -> None:
    ts, end = intervals(seed)
    splits = combinatorial_splits(ts, end, 6, 2, embargo)
    assert len(splits) == 15
    for split in splits:
        assert split.train.tolist() == naive_train(ts, end, set(split.test.tolist()), embargo)
        for row in split.train:
            clash = (ts[split.test] <= end[row]) & (end[split.test] >= ts[row])
            assert not clash.any(), "a training label overlaps a tested one"


def test_cpcv_of_six_groups_two_tested_is_15_splits_and_5_paths() -> None:
    paths = path_splits(6, 2)
    assert paths.shape == (5, 6)
    ts = np.arange(60)
    splits = combinatorial_splits(ts, ts)
    used = set()
    for path in paths:
        covered = []
        for group, number in enumerate(path):
            assert group in splits[number].groups
            used.add((int(number), group))
            edges = group_edges(60, 6)
            covered += range(edges[group], edges[group + 1])
        assert covered == list(range(60)), "a path covers all of time, in order"
    assert len(used) == 30, "each tested group of each split serves one path"


@pytest.mark.parametrize(("groups", "tested", "splits", "paths"), [(6, 3, 20, 10), (4, 1, 4, 1)])
def test_other_counts(groups: int, tested: int, splits: int, paths: int) -> None:
    ts = np.arange(80)
    assert len(combinatorial_splits(ts, ts, groups, tested)) == splits
    assert path_splits(groups, tested).shape == (paths, groups)


def test_what_cannot_be_split_is_refused() -> None:
    ts = np.arange(30)
    with pytest.raises(BadInput, match="nothing to learn from"):
        combinatorial_splits(ts, ts + 100)
    with pytest.raises(BadInput, match="6 of 6 groups"):
        combinatorial_splits(ts, ts, 6, 6)
    with pytest.raises(BadInput, match="3 rows cannot be cut"):
        combinatorial_splits(ts[:3], ts[:3])
