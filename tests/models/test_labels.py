"""Labels against a loop that reads like the rule."""

import numpy as np
import pytest

from core.columns import QuoteColumns, from_ticks
from core.costs import CostModel
from models.labels import balance, fixed_horizon, triple_barrier, uniqueness

PIP = 0.0001
HORIZON = 1_000


def tape(seed: int, n: int = 600) -> QuoteColumns:
    """Irregular quotes with equal times, gaps beyond two horizons, and a moving spread."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([0, 1, 50, 300, 999, 1_000, 1_001, 2_000, 2_500], n)
    mid = 1.2 + PIP * rng.choice([-1.0, 0.0, 1.0], n).cumsum()
    half = rng.uniform(0.1, 1.0, n) * PIP
    return from_ticks(steps.cumsum().astype(np.int64), mid - half, mid + half)


def naive(columns: QuoteColumns, at: int, costs: CostModel) -> tuple | None:
    target = columns.ts[at] + HORIZON
    for later in range(len(columns)):
        if columns.ts[later] >= target:
            if columns.ts[later] > target + HORIZON:
                return None
            bid_in, ask_in = columns.bid[at], columns.ask[at]
            bid_out, ask_out = columns.bid[later], columns.ask[later]
            move = (0.5 * (bid_out + ask_out) - 0.5 * (bid_in + ask_in)) / PIP
            fills = 2.0 * (costs.slippage_pips + costs.commission_pips)
            long, short = (bid_out - ask_in) / PIP - fills, (bid_in - ask_out) / PIP - fills
            return columns.ts[later], move > 0, move, long, short
    return None


@pytest.mark.parametrize("seed", range(3))
def test_labels_equal_the_naive_loop(seed: int) -> None:
    columns, costs = tape(seed), CostModel(slippage_pips=0.3, commission_pips=0.2)
    index = np.arange(0, len(columns), 3)
    labels = fixed_horizon(columns, index, HORIZON, PIP, costs)
    expected = [naive(columns, int(at), costs) for at in index]
    assert labels.valid.tolist() == [one is not None for one in expected]
    assert 20 < labels.valid.sum() < len(index) - 20, "both kinds must occur"
    for row in np.flatnonzero(labels.valid):
        got = (labels.end_ns[row], labels.up[row], labels.move_pips[row])
        got += (labels.net_long[row], labels.net_short[row])
        assert got == pytest.approx(expected[row], abs=1e-9)


def test_a_round_trip_in_a_still_market_costs_spread_and_fills() -> None:
    n = 10
    ts = np.arange(n, dtype=np.int64) * 500
    columns = from_ticks(ts, np.full(n, 1.1), np.full(n, 1.1 + 2 * PIP))
    labels = fixed_horizon(columns, np.arange(n), HORIZON, PIP, CostModel(slippage_pips=0.25))
    assert labels.net_long[labels.valid] == pytest.approx(-2.5)
    assert labels.net_short[labels.valid] == pytest.approx(-2.5)
    assert not labels.up.any()
    assert labels.valid.tolist() == [True] * 8 + [False] * 2


def test_uniqueness_equals_the_naive_mean() -> None:
    rng = np.random.default_rng(4)
    ts = np.sort(rng.integers(0, 2_000, 200))
    end = np.maximum.accumulate(ts + rng.integers(1, 60, 200))
    share = [1.0 / np.sum((ts <= t) & (end >= t)) for t in ts]
    naive_weight = np.array(
        [
            np.mean([s for s, t in zip(share, ts, strict=True) if a <= t <= b])
            for a, b in zip(ts, end, strict=True)
        ]
    )
    assert uniqueness(ts, end) == pytest.approx(naive_weight)


def test_weights_add_up_to_the_independent_labels() -> None:
    ts = np.arange(3_000)
    assert uniqueness(ts, ts + 14).sum() == pytest.approx(3_000 / 15, rel=0.02)
    assert uniqueness(ts * 100, ts * 100 + 14).tolist() == pytest.approx([1.0] * 3_000)


def naive_barrier(columns: QuoteColumns, at: int, costs: CostModel, take: float) -> tuple | None:
    fills = 2.0 * (costs.slippage_pips + costs.commission_pips)
    bid_in, ask_in = columns.bid[at], columns.ask[at]

    def outcome(later: int) -> tuple:
        bid_out, ask_out = columns.bid[later], columns.ask[later]
        move = (0.5 * (bid_out + ask_out) - 0.5 * (bid_in + ask_in)) / PIP
        long, short = (bid_out - ask_in) / PIP - fills, (bid_in - ask_out) / PIP - fills
        return columns.ts[later], move > 0, move, long, short

    for later in range(at + 1, len(columns)):
        if columns.ts[later] > columns.ts[at] + HORIZON:
            break
        found = outcome(later)
        if max(found[3], found[4]) >= take - 1e-9:
            return found
    return naive(columns, at, costs)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("take", [0.05, 0.7, 50.0])
def test_barrier_labels_equal_the_naive_loop(seed: int, take: float) -> None:
    columns, costs = tape(seed), CostModel(slippage_pips=0.1, commission_pips=0.05)
    index = np.arange(0, len(columns), 2)
    labels = triple_barrier(columns, index, HORIZON, PIP, costs, take)
    expected = [naive_barrier(columns, int(at), costs, take) for at in index]
    assert labels.valid.tolist() == [one is not None for one in expected]
    for row in np.flatnonzero(labels.valid):
        got = (labels.end_ns[row], labels.up[row], labels.move_pips[row])
        got += (labels.net_long[row], labels.net_short[row])
        assert got == pytest.approx(expected[row], abs=1e-9)
    horizon = fixed_horizon(columns, index, HORIZON, PIP, costs)
    both = labels.valid & horizon.valid
    earlier = labels.end_ns[both] < horizon.end_ns[both]
    assert (labels.end_ns[both] <= horizon.end_ns[both]).all()
    assert earlier.any() == (take < 50.0), "small barriers are touched, absurd ones never"


def test_a_touched_barrier_has_earned_its_gain_net_of_cost() -> None:
    columns, costs = tape(9), CostModel(slippage_pips=0.1)
    index = np.arange(len(columns))
    labels = triple_barrier(columns, index, HORIZON, PIP, costs, 0.5)
    touched = labels.valid & (np.maximum(labels.net_long, labels.net_short) >= 0.5 - 1e-9)
    assert 20 < touched.sum() < len(index)
    assert (labels.up[touched] == (labels.net_long > labels.net_short)[touched]).all()
    with pytest.raises(ValueError, match="greater than zero"):
        triple_barrier(columns, index, HORIZON, PIP, costs, 0.0)


def test_uniqueness_of_labels_that_end_out_of_order() -> None:
    rng = np.random.default_rng(6)
    ts = np.sort(rng.integers(0, 2_000, 150))
    end = ts + rng.integers(1, 80, 150)
    share = [1.0 / np.sum((ts <= t) & (end >= t)) for t in ts]
    plain = [
        np.mean([s for s, t in zip(share, ts, strict=True) if a <= t <= b])
        for a, b in zip(ts, end, strict=True)
    ]
    assert (np.diff(end) < 0).any()
    assert uniqueness(ts, end) == pytest.approx(plain)


def test_class_balance_counts_rows_and_independent_labels() -> None:
    move = np.array([1.0, 2.0, 0.0, -1.0])
    found = balance(move > 0, move, np.array([1.0, 0.5, 0.25, 0.25]))
    assert (found.rows, found.independent) == (4, 2.0)
    assert (found.up, found.flat, found.weighted_up) == (0.5, 0.25, 0.75)
