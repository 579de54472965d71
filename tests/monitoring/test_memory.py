"""Budgets are taken at the start, given out once, and refused by name when they are spent."""

import resource

import numpy as np
import pytest

from core.config import MemoryConfig
from core.errors import OutOfBudget
from monitoring.memory import Area, MemoryBudgets


def test_buffers_do_not_overlap_and_start_on_cache_lines() -> None:
    area = Area("features", 10_000)
    arrays = [area.array("state", n, np.float64) for n in (3, 100, 1)]
    arrays.append(area.array("rows", (4, 5), np.float32))
    for value, array in enumerate(arrays, 1):
        assert not array.any()
        assert array.ctypes.data % 64 == 0
        array[:] = value
    for value, array in enumerate(arrays, 1):
        assert (array == value).all()
    assert arrays[-1].shape == (4, 5)
    assert area.used == 64 + 832 + 64 + 128
    assert area.parts == {"state": 960, "rows": 128}
    assert area.left == 10_000 - area.used


def test_what_is_left_is_all_there_is() -> None:
    area = Area("market_data", 1_000)
    area.array("quotes", 100, np.int64)
    with pytest.raises(OutOfBudget, match=r"market_data is 1,000 bytes and 168 are left; more"):
        area.array("more", 100, np.int64)
    assert (area.used, area.refused) == (832, 1)
    assert len(area.array("a few", 10, np.int64)) == 10


def test_the_memory_is_there_from_the_start() -> None:
    """Writing into an area takes no page from the system any more."""
    area = Area("orders", 8_000_000)
    array = area.array("all", 1_000_000, np.float64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    array[:] = 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 50


def test_all_areas_are_shown() -> None:
    budgets = MemoryBudgets(MemoryConfig(
        market_data_mb=1.0, features_mb=0.5, predictions_mb=0.3, orders_mb=0.2
    ))  # fmt: skip
    budgets.features.array("state", 1_000, np.float64)
    shown = budgets.gauges()
    assert shown["memory_market_data_budget_bytes"] == 1_000_000
    assert shown["memory_features_used_bytes"] == 8_000
    assert shown["memory_orders_budget_bytes"] == 200_000
    assert len(shown) == 12
    assert [area.name for area in budgets.areas()] == [
        "market_data", "features", "predictions", "orders",
    ]  # fmt: skip


def test_defaults_are_the_budgets_of_the_house() -> None:
    config = MemoryConfig()
    wished = (config.market_data_mb, config.features_mb, config.predictions_mb, config.orders_mb)
    assert wished == (100, 50, 30, 20)
