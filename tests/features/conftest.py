"""Tapes: generated ones for every machine, and the real files where they are present."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from core.columns import QuoteColumns, from_ticks
from core.config import MarketConfig
from core.instruments import DEFAULT_INSTRUMENTS
from market.loaders import load

MINUTE = 60_000_000_000
START = 1_580_000_040_000_000_000  # a whole minute on a Sunday night in January 2020


class Tape(NamedTuple):
    columns: QuoteColumns
    pip: float


def minutes(n: int, seed: int = 0, price: float = 1.1) -> QuoteColumns:
    """Minute bars with a gap of a weekend and some flat minutes."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 1e-4, n) * rng.choice([0, 1, 3], n, p=[0.1, 0.8, 0.1])
    close = price * np.exp(np.cumsum(steps))
    open_ = np.concatenate([[price], close[:-1]])
    wick = price * np.abs(rng.normal(0, 5e-5, (2, n)))
    high, low = np.maximum(open_, close) + wick[0], np.minimum(open_, close) - wick[1]
    half = price * rng.uniform(0.0, 1e-4, n)
    ts = START + MINUTE * np.arange(1, n + 1)
    ts[n // 2 :] += 48 * 60 * MINUTE
    span = np.full(n, MINUTE)
    return QuoteColumns(ts, close - half, close + half, rng.random(n), span, open_, high, low)


def ticks(n: int, seed: int = 0, price: float = 1.1) -> QuoteColumns:
    """Ticks with bursts of equal timestamps."""
    rng = np.random.default_rng(seed)
    ts = START + np.cumsum(rng.integers(0, 4, n) * rng.integers(1, 900_000_000, n))
    mid = price * np.exp(np.cumsum(rng.normal(0, 2e-5, n)))
    half = price * rng.choice([2e-5, 5e-5], n)
    return from_ticks(ts, mid - half, mid + half, rng.random(n))


@pytest.fixture
def make_minutes() -> Callable[..., QuoteColumns]:
    return minutes


@pytest.fixture
def make_ticks() -> Callable[..., QuoteColumns]:
    return ticks


REAL = {
    "fxcm GBPUSD minutes": ("fxcm", "GBPUSD"),
    "histdata EURUSD ticks": ("histdata", "EURUSD"),
    "truefx USDJPY ticks": ("truefx", "USDJPY"),
    "EURUSD hours": ("bars", "EURUSD"),
}


@pytest.fixture(scope="session")
def load_real() -> Callable[[str], Tape]:
    """Load one of `REAL` once; skips where there is no real data."""
    folder = Path(__file__).parents[2].parent / "shared" / "data"
    loaded: dict[str, Tape] = {}

    def _load(name: str) -> Tape:
        if not folder.is_dir():
            pytest.skip(f"no real market data at {folder}")
        if name not in loaded:
            where, symbol = REAL[name]
            instrument = DEFAULT_INSTRUMENTS.by_symbol(symbol)
            columns = load(folder / where, instrument, MarketConfig()).columns
            loaded[name] = Tape(columns, instrument.pip)
        return loaded[name]

    return _load


@pytest.fixture(params=sorted(REAL))
def real_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tape(real_name: str, load_real: Callable[[str], Tape]) -> Tape:
    """Each real tape in turn."""
    return load_real(real_name)
