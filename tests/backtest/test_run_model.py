"""The backtest with a verified artifact and the real feature kernels."""

import numpy as np
import pytest

from backtest.run import ChosenModel, run_backtest
from core.columns import QuoteColumns, from_ticks
from core.config import Config, RiskConfig
from features.batch import compute
from features.spec import spec_named
from models.export import write_artifact
from models.inference.artifact import LoadedModel, load_verified
from tests.models.synthetic import make_dataset, train_on

MINUTE = 60 * 10**9
SPEC = spec_named("core-bar")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    dataset = make_dataset()
    folder = tmp_path_factory.mktemp("artifact")
    _, sha256 = write_artifact(folder, train_on(dataset), dataset, code_revision="x", trials=1)
    return load_verified(folder, sha256)


def minutes(count: int = 1_200) -> QuoteColumns:
    rng = np.random.default_rng(5)
    mid = 1.1 + 1e-4 * np.cumsum(rng.normal(size=count))
    ts = 1_700_000_000 * 10**9 + MINUTE * np.arange(count, dtype=np.int64)
    return from_ticks(ts, mid - 5e-5, mid + 5e-5)


def test_every_decision_scores_the_batch_row_of_its_quote(model):
    columns = minutes()
    start = 900
    result = run_backtest(
        {"EURUSD": columns},
        {"EURUSD": ChosenModel(model, "7", approved=False)},
        Config(risk=RiskConfig(symbols=("EURUSD",))),
        int(columns.ts[start]),
        1 << 62,
    )
    rows = compute(SPEC, columns, 0.0001)
    of_quote = dict(zip(rows.index.tolist(), range(len(rows.index)), strict=True))
    decisions = result.outcome.decisions
    assert len(decisions) == result.quotes == 300
    for decision in decisions:
        # A tick of the next minute closes the bar, so the row belongs to that tick.
        row = rows.rows[of_quote[start + decision.quote_seq - 1]]
        assert decision.raw_score == model.predict_row(row)
        assert decision.reason == "model_not_approved"
        assert decision.model_version == "7"
    assert result.outcome.orders == ()
