"""Columns to store."""

import numpy as np
import pytest

from core.columns import QuoteColumns, from_ticks

DAY_NS = 86_400_000_000_000
START_NS = 1_577_880_000_000_000_000  # 2020-01-01 12:00 UTC


@pytest.fixture
def two_days() -> QuoteColumns:
    """400 ticks over two UTC days, a stamp repeated now and then."""
    rng = np.random.default_rng(5)
    ts = START_NS + np.sort(rng.integers(0, 300, 400)) * (DAY_NS // 300)
    bid = 1.1 + 1e-5 * rng.integers(-50, 50, 400)
    return from_ticks(
        ts, bid, bid + 1e-5 * rng.integers(0, 20, 400), rng.integers(0, 10**7, 400) / 1e6
    )
