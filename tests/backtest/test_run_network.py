"""The backtest with a network: the live engine hands it windows, equal to those of the batch."""

from dataclasses import replace

import numpy as np
import pytest

from backtest.run import ChosenModel, run_backtest
from core.columns import QuoteColumns, from_ticks
from core.config import Config, DecisionConfig, RiskConfig
from features.batch import compute
from features.spec import spec_named
from models.export import write_artifact
from models.inference.artifact import LoadedModel, load_verified
from tests.models.sequences import NETWORK, WINDOW, ordered
from tests.models.synthetic import train_on

MINUTE = 60 * 10**9
SPEC = spec_named("core-bar")
SMALL = replace(NETWORK, epochs=2, epoch_rows=600, channels=4)


@pytest.fixture(scope="module", params=["tcn", "gru"])
def model(request, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    config = replace(SMALL, family=request.param)
    dataset = ordered(config, n=2_000)
    folder = tmp_path_factory.mktemp("artifact")
    result = train_on(dataset, config)
    _, sha256 = write_artifact(folder, result, dataset, code_revision="x", trials=1)
    return load_verified(folder, sha256)


def minutes(count: int = 1_000) -> QuoteColumns:
    rng = np.random.default_rng(5)
    mid = 1.1 + 1e-4 * np.cumsum(rng.normal(size=count))
    ts = 1_700_000_000 * 10**9 + MINUTE * np.arange(count, dtype=np.int64)
    return from_ticks(ts, mid - 5e-5, mid + 5e-5)


def run(model: LoadedModel, columns: QuoteColumns, start: int):
    return run_backtest(
        {"EURUSD": columns},
        {"EURUSD": ChosenModel(model, "7", approved=False)},
        Config(risk=RiskConfig(symbols=("EURUSD",)), decision=DecisionConfig(margin_pips=0.1)),
        int(columns.ts[start]),
        1 << 62,
    )


def test_every_decision_scores_the_batch_window_of_its_quote(model):
    columns, start = minutes(), 900
    result = run(model, columns, start)
    rows = compute(SPEC, columns, 0.0001)
    of_quote = dict(zip(rows.index.tolist(), range(len(rows.index)), strict=True))
    decisions = result.outcome.decisions
    assert len(decisions) == result.quotes == 100
    for decision in decisions:
        end = of_quote[start + decision.quote_seq - 1] + 1
        window = np.ascontiguousarray(rows.rows[end - WINDOW : end])
        assert decision.raw_score == model.predict_row(window)
        assert decision.model_version == "7"


def test_nothing_is_decided_before_the_window_is_full(model):
    columns = minutes(400)
    decisions = run(model, columns, 0).outcome.decisions
    # A tick of the next minute closes a bar, so the first row comes with the tick after the last
    # bar of the warm-up.
    assert len(decisions) == 400 - SPEC.warmup - (WINDOW - 1)
    assert decisions[0].quote_seq == SPEC.warmup + WINDOW
