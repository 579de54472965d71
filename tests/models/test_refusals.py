"""A training set that must not be learnt from is refused in a sentence that names the cause."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from core.columns import QuoteColumns, from_ticks
from core.config import TrainingConfig
from core.errors import BadInput
from features import batch
from features.batch import FeatureRows
from features.spec import FeatureSpec, spec_named
from models.dataset import build_dataset
from models.refusals import auc
from tests.models.synthetic import CONFIG, COSTS, MINUTE, PIP, make_tape

SPEC = spec_named("core-bar")


def minutes(n: int = 2_500, seed: int = 0) -> QuoteColumns:
    rng = np.random.default_rng(seed)
    mid = 1.1 * np.exp(np.cumsum(rng.normal(0.0, 1e-4, n)))
    ts = 1_700_000_000 * 10**9 + MINUTE * np.arange(n, dtype=np.int64)
    columns = from_ticks(ts, mid - 0.5 * PIP, mid + 0.5 * PIP)
    return replace(columns, span=np.full(n, MINUTE))


def peek(spec: FeatureSpec, columns: QuoteColumns, pip: float) -> FeatureRows:
    """Put the mid of five quotes ahead into one column."""
    found = batch.compute(spec, columns, pip)
    ahead = np.minimum(found.index + 5, len(columns) - 1)
    found.rows[:, 4] += (0.5 * (columns.bid + columns.ask))[ahead].astype(np.float32)
    return found


def build(columns: QuoteColumns, config: TrainingConfig = CONFIG, **more: object) -> object:
    return build_dataset(columns, "EURUSD", SPEC, PIP, config, COSTS, **more)


def test_a_feature_that_looks_ahead_is_refused_by_name() -> None:
    build(minutes())
    name = SPEC.names[4]
    with pytest.raises(BadInput, match=f"column '{name}' of EURUSD looks ahead: its value at"):
        build(minutes(), compute=peek)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_column_that_tells_the_outcome_is_refused_by_name(noise: float) -> None:
    tape = make_tape(0)
    mid = 0.5 * (tape.columns.bid + tape.columns.ask)
    move = np.roll(mid, -5) - mid
    drawn = np.random.default_rng(0).normal(size=len(mid))
    tape.features.rows[:, 7] = move / move.std() + noise * drawn
    with pytest.raises(BadInput, match=f"column '{SPEC.names[7]}' of EURUSD alone tells"):
        build(tape.columns, features=tape.features)


def test_a_strong_but_possible_edge_is_not_refused() -> None:
    tape = make_tape(0, edge_pips=6.0)
    dataset = build(tape.columns, features=tape.features)
    assert auc(dataset.rows[:, 0], dataset.up) > 0.7  # type: ignore[attr-defined]


def test_rows_with_nan_are_refused() -> None:
    tape = make_tape(1)
    tape.features.rows[300:310, 2] = np.nan
    with pytest.raises(BadInput, match=f"10 warm feature rows .* column '{SPEC.names[2]}'"):
        build(tape.columns, features=tape.features)


def test_one_class_is_refused() -> None:
    columns = minutes()
    rising = from_ticks(columns.ts, 1.1 + PIP * np.arange(2_500.0), 1.2 + PIP * np.arange(2_500.0))
    with pytest.raises(BadInput, match=r"moved up after every one of the \d+ training rows"):
        build(replace(rising, span=columns.span))


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(BadInput, match=r"EURUSD gives \d+ training rows and \d+ are needed"):
        build(minutes(600))


def test_a_barrier_of_nothing_is_refused() -> None:
    config = replace(CONFIG, label="barrier", barrier_pips=0.0)
    with pytest.raises(BadInput, match="barrier_pips must be greater than zero"):
        build(minutes(), config)


def test_barriers_change_what_is_learnt_and_not_what_is_earned() -> None:
    columns = minutes()
    plain = build(columns)
    barrier = build(columns, replace(CONFIG, label="barrier", barrier_pips=0.5))
    assert 0.0 < np.mean(plain.up != barrier.up) < 0.5  # type: ignore[attr-defined]
    for name in ("ts", "end_ns", "move_pips", "net_long", "net_short"):
        assert np.array_equal(getattr(plain, name), getattr(barrier, name))


def test_auc_equals_scikit_learn_with_ties() -> None:
    rng = np.random.default_rng(3)
    up = rng.random(500) < 0.3
    for decimals in (0, 1, 9):
        x = (rng.normal(size=500) + up).round(decimals)
        assert auc(x, up) == pytest.approx(roc_auc_score(up, x))
