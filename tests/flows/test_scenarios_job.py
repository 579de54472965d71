"""Scenarios come from the newest stored quote and land in the ledger with their templates."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from core.clock import ManualClock
from core.columns import from_ticks
from core.config import Config, RiskConfig, StorageConfig
from fix.templates import OrderTemplate
from flows.scenarios_job import VOLUMES, scenarios
from storage.parquet import TickStore
from storage.sqlite import Ledger

MONDAY_NS = 1_704_700_800 * 10**9


@pytest.fixture
def config(tmp_path: Path) -> Config:
    limits = RiskConfig(
        symbols=("EURUSD",), max_order_lots=Decimal(2), max_order_notional=Decimal(10**6)
    )
    return replace(Config(), storage=StorageConfig(home=tmp_path), risk=limits)


def test_every_usual_size_is_judged_on_both_sides(config: Config) -> None:
    ts = MONDAY_NS + np.arange(3, dtype=np.int64) * 10**9
    bid = np.array([1.1, 1.1, 1.2])
    TickStore(config.storage.ticks).append("EURUSD", from_ticks(ts, bid, bid + 1e-4))
    found = scenarios(config, clock=ManualClock(5))
    assert len(found) == 2 * len(VOLUMES)
    assert {row.price_low < 120_010 < row.price_high for row in found} == {True}
    assert {row.lots for row in found if not row.passed} == {Decimal(5)}
    with Ledger(config.storage.ledger) as ledger:
        rows = ledger.scenarios(config.trading.account)
    assert len(rows) == len(found)
    assert {row["created_ns"] for row in rows} == {5}
    small = next(row for row in rows if row["lots"] == "0.01" and str(row["side"]) == "BUY")
    template = OrderTemplate.from_bytes(bytes(small["template"]))  # type: ignore[arg-type]
    assert (template.symbol, template.quantity) == ("EURUSD", 1)
    large = next(row for row in rows if row["lots"] == "5")
    assert (large["verdict"], large["reason"]) == ("refused", "order is too large")


def test_without_quotes_the_table_is_empty(config: Config) -> None:
    assert scenarios(config) == []
    with Ledger(config.storage.ledger) as ledger:
        assert ledger.scenarios() == []
