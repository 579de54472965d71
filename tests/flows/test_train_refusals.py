"""Stored quotes that must not be learnt from: the training job refuses them before MLflow hears."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.columns import QuoteColumns, from_ticks
from core.config import Config, StorageConfig, TrainingConfig
from core.errors import BadInput
from features import batch
from features.batch import FeatureRows
from features.spec import FeatureSpec
from flows import train_job, tune_job
from flows.train_job import train
from flows.tune_job import open_search
from models.dataset import build_dataset
from storage.parquet import TickStore

MINUTE = 60 * 10**9
PIP = 0.0001
Learn = Callable[[Config], object]


class NoServer:
    """An MLflow that knows no version and must not be written to."""

    def search_model_versions(self, _filter: str) -> list[object]:
        return []


@pytest.fixture(params=["train", "tune"])
def learn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Learn:
    """Train or tune as the flow does; either way a refusal is the job's own."""
    for module in (train_job, tune_job):
        monkeypatch.setattr(module, "connect", lambda _: NoServer())
    begin = train if request.param == "train" else open_search
    return lambda config: begin(config, "EURUSD")


def stored(home: Path, columns: QuoteColumns) -> Config:
    # Features that need no other symbol's quotes.
    training = TrainingConfig(features="core")
    config = Config(storage=StorageConfig(home=home), training=training)
    TickStore(config.storage.ticks).append("EURUSD", columns)
    return config


def minutes(n: int, mid: np.ndarray | None = None) -> QuoteColumns:
    drawn = 1.1 * np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 1e-4, n)))
    mid = drawn if mid is None else mid
    ts = 1_700_000_000 * 10**9 + MINUTE * np.arange(n, dtype=np.int64)
    columns = from_ticks(ts, mid - 0.5 * PIP, mid + 0.5 * PIP)
    return replace(columns, span=np.full(n, MINUTE))


def changed(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[FeatureRows, QuoteColumns], None]
) -> None:
    """Let features come out otherwise, as a faulty one would."""

    def faulty(spec: FeatureSpec, columns: QuoteColumns, pip: float) -> FeatureRows:
        found = batch.compute(spec, columns, pip)
        change(found, columns)
        return found

    monkeypatch.setattr(
        "models.stored.build_dataset",
        lambda *args, **more: build_dataset(*args, **more, compute=faulty),
    )


def test_too_few_bars(learn: Learn, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^EURUSD gives \d+ training rows and \d+ are needed: 700"):
        learn(stored(tmp_path, minutes(700)))


def test_one_class_only(learn: Learn, tmp_path: Path) -> None:
    rising = minutes(4_000, 1.1 + PIP * np.arange(4_000.0))
    with pytest.raises(BadInput, match=r"^EURUSD moved up after every one of the .* both outcomes"):
        learn(stored(tmp_path, rising))


def test_rows_with_nan(learn: Learn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def holes(found: FeatureRows, _: QuoteColumns) -> None:
        found.rows[1_000:1_007, 3] = np.nan

    changed(monkeypatch, holes)
    with pytest.raises(BadInput, match="7 warm feature rows of EURUSD are not finite; the first"):
        learn(stored(tmp_path, minutes(6_000)))


def test_planted_look_ahead(learn: Learn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def peek(found: FeatureRows, columns: QuoteColumns) -> None:
        ahead = np.minimum(found.index + 15, len(columns) - 1)
        found.rows[:, 5] += (0.5 * (columns.bid + columns.ask))[ahead].astype(np.float32)

    changed(monkeypatch, peek)
    with pytest.raises(BadInput, match=r"^column '.*' of EURUSD looks ahead: its value at quote"):
        learn(stored(tmp_path, minutes(6_000)))


def test_an_outcome_in_a_column(
    learn: Learn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = minutes(6_000)
    mid = 0.5 * (columns.bid + columns.ask)
    ahead = (np.roll(mid, -15) - mid).astype(np.float32)

    def leak(found: FeatureRows, _: QuoteColumns) -> None:
        # The same whatever comes later, so that only its skill gives it away.
        found.rows[:, 6] = ahead[found.index]

    changed(monkeypatch, leak)
    with pytest.raises(BadInput, match=r"^column '.*' of EURUSD alone tells the outcome"):
        learn(stored(tmp_path, columns))


def test_no_quotes_at_all(learn: Learn, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^there are no stored quotes of EURUSD; ingest some first"):
        learn(Config(storage=StorageConfig(home=tmp_path)))
