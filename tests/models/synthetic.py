"""Synthetic tapes and data sets with a declared edge, and a decision function in plain words."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.columns import QuoteColumns, from_ticks
from core.config import DecisionConfig, TrainingConfig
from core.costs import CostModel
from core.types import Direction, Prediction, Signal
from features.batch import FeatureRows
from features.spec import FeatureSpec, spec_named
from models.dataset import Dataset, build_dataset
from models.manifest import Manifest
from models.training import TrainingResult, train

PIP = 0.0001
MINUTE = 60 * 10**9
COSTS = CostModel(slippage_pips=0.1)
DECISION = DecisionConfig(margin_pips=0.1)
CONFIG = TrainingConfig(
    horizon_bars=5,
    folds=3,
    embargo_samples=10,
    trees=30,
    depth=3,
    learning_rate=0.1,
    early_stopping=0,
    seed=3,
)


def decide(
    prediction: Prediction | None,
    bid: float,
    ask: float,
    pip: float,
    quote_age_ns: int,
    costs: CostModel,
    config: DecisionConfig,
) -> Signal:
    """Act when the expected result net of a round trip clears the margin."""
    assert prediction is not None
    assert quote_age_ns == 0
    p = prediction.p
    cost = costs.round_trip_pips((ask - bid) / pip)
    edge = abs(2.0 * p - 1.0) * prediction.expected_move_pips - cost
    side = Direction.BUY if p > 0.5 else Direction.SELL
    acts = edge > config.margin_pips
    return Signal(side if acts else Direction.HOLD, abs(2.0 * p - 1.0), edge, "edge")


@dataclass(frozen=True)
class Tape:
    """Quotes with feature rows of their own making."""

    columns: QuoteColumns
    features: FeatureRows
    spec: FeatureSpec


def make_tape(seed: int, n: int = 4_000, edge_pips: float = 4.0) -> Tape:
    """Minute quotes whose next five moves follow the sign of the first feature."""
    rng = np.random.default_rng(seed)
    spec = spec_named("core-bar")
    rows = rng.normal(size=(n, spec.n_features)).astype(np.float32)
    state = np.repeat(rng.choice([-1.0, 1.0], n // 5 + 1), 5)[:n]
    rows[:, 0] = np.roll(state, -1) + 0.3 * rng.normal(size=n)
    mid = 1.1 + PIP * np.cumsum(edge_pips * state / 5.0 + rng.normal(size=n))
    ts = 1_700_000_000 * 10**9 + MINUTE * np.arange(n, dtype=np.int64)
    columns = from_ticks(ts, mid - 0.25 * PIP, mid + 0.25 * PIP)
    warm = np.arange(n) >= 20
    return Tape(columns, FeatureRows(rows, np.arange(n), warm, 0), spec)


def make_dataset(seed: int = 0, n: int = 4_000, edge_pips: float = 4.0) -> Dataset:
    tape = make_tape(seed, n, edge_pips)
    return build_dataset(
        tape.columns,
        "EURUSD",
        tape.spec,
        PIP,
        CONFIG,
        COSTS,
        data_hash="d" * 8,
        features=tape.features,
    )


def train_on(dataset: Dataset, config: TrainingConfig = CONFIG, trials: int = 1) -> TrainingResult:
    return train(dataset, config, decide, COSTS, DECISION, PIP, nthread=1, trials=trials)


@dataclass(frozen=True)
class Made:
    """An artifact on disk with what it was made from."""

    folder: Path
    manifest: Manifest
    sha256: str
    result: TrainingResult
    dataset: Dataset
