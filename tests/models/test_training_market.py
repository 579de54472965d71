"""Tape to model with the real features and the real decision function."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.columns import QuoteColumns
from core.config import DecisionConfig, MarketConfig, TrainingConfig
from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS
from market.edge import MarketModel
from market.loaders.load import load
from market.simulator import simulate
from models.dataset import build_dataset, spec_for
from models.training import TrainingResult, train
from trading.decision import decide

CONFIG = TrainingConfig(trees=100, depth=3)


def trained(columns: QuoteColumns, symbol: str) -> TrainingResult:
    instrument = DEFAULT_INSTRUMENTS.by_symbol(symbol)
    spec = spec_for(columns, CONFIG)
    dataset = build_dataset(columns, symbol, spec, instrument.pip, CONFIG, CostModel())
    assert len(dataset.holdout()) > 0
    return train(dataset, CONFIG, decide, CostModel(), DecisionConfig(), instrument.pip)


@pytest.mark.parametrize("seed", [7, 8])
def test_the_simulator_s_edge_is_found_after_cost(seed: int) -> None:
    result = trained(simulate(DEFAULT_INSTRUMENTS.by_symbol("EURUSD"), seed=seed).columns, "EURUSD")
    assert result.metrics["net_pips_per_trade_lower"] > 0.0
    assert result.total.trades >= 30
    assert result.total.log_loss < result.total.base_log_loss
    assert result.total.no_skill_net_pips <= 0.0


@pytest.mark.parametrize("seed", [7, 8])
def test_a_market_without_edge_shows_none(seed: int) -> None:
    model = replace(MarketModel(), drift_ratio=0.0)
    market = simulate(DEFAULT_INSTRUMENTS.by_symbol("EURUSD"), seed=seed, model=model)
    result = trained(market.columns, "EURUSD")
    assert result.metrics["net_pips_per_trade_lower"] <= 0.0


@pytest.mark.parametrize(
    ("folder", "symbol", "cadence"), [("fxcm", "GBPUSD", "bar"), ("histdata", "EURUSD", "tick")]
)
def test_real_data_gives_a_full_account(
    real_data: Path, folder: str, symbol: str, cadence: str
) -> None:
    instrument = DEFAULT_INSTRUMENTS.by_symbol(symbol)
    columns = load(real_data / folder, instrument, MarketConfig()).columns
    result = trained(columns, symbol)
    assert result.out_of_sample.dataset.spec.cadence == cadence
    assert len(result.folds) == CONFIG.folds
    assert all(math.isfinite(figure) for figure in result.metrics.values())
    assert np.isfinite(result.out_of_sample.p).all()
