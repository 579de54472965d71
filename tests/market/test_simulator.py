import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.columns import QuoteColumns
from core.instruments import DEFAULT_INSTRUMENTS, Instrument
from market.edge import MarketModel, known_drift_accuracy
from market.simulator import DEFAULT_START_NS, Simulated, simulate

SEC = 1_000_000_000
WEEK = 7 * 86_400
SUNDAY_OPEN = 3 * 86_400 + 22 * 3_600  # 1970-01-04 22:00


def digest(columns: QuoteColumns) -> str:
    data = b"".join(getattr(columns, name).tobytes() for name in ("ts", "bid", "ask"))
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def two_weeks() -> Simulated:
    return simulate(DEFAULT_INSTRUMENTS.by_symbol("EURUSD"), seed=7, days=10)


def test_ten_days_have_about_five_seconds_between_ticks(two_weeks: Simulated) -> None:
    columns = two_weeks.columns
    assert 160_000 < len(columns) < 190_000
    assert (np.diff(columns.ts) > 0).all()
    assert (columns.ts % 1_000_000 == 0).all()
    assert columns.ts[0] >= DEFAULT_START_NS
    assert (columns.bid < columns.ask).all()


@given(
    seed=st.integers(0, 2**32),
    symbol=st.sampled_from(["EURUSD", "GBPUSD", "USDJPY", "XAUUSD"]),
    start=st.integers(0, 2 * WEEK),
    days=st.floats(0.2, 6.0),
)
@settings(max_examples=20, deadline=None)
def test_prices_are_on_the_grid_and_week_ends_are_closed(
    seed: int, symbol: str, start: int, days: float
) -> None:
    instrument = DEFAULT_INSTRUMENTS.by_symbol(symbol)
    columns = simulate(instrument, seed=seed, days=days, start_ns=start * SEC).columns
    assert len(columns) > 1_000
    for prices in (columns.bid, columns.ask):
        assert (np.round(prices, instrument.digits) == prices).all()
        assert (prices > 0).all()
    into_week = (columns.ts // SEC - SUNDAY_OPEN) % WEEK
    assert into_week.max() < 5 * 86_400
    assert columns.ts[0] >= start * SEC
    assert (np.diff(columns.ts) > 0).all()


def test_same_seed_same_bytes_other_seed_or_symbol_other_tape(eurusd: Instrument) -> None:
    one = digest(simulate(eurusd, seed=3, days=0.5).columns)
    assert one == digest(simulate(eurusd, seed=3, days=0.5).columns)
    assert one != digest(simulate(eurusd, seed=4, days=0.5).columns)
    other = DEFAULT_INSTRUMENTS.by_symbol("GBPUSD")
    assert one != digest(simulate(other, seed=3, days=0.5).columns)


def test_spread_is_about_a_pip_and_widens_late(two_weeks: Simulated, eurusd: Instrument) -> None:
    columns = two_weeks.columns
    spread = (columns.ask - columns.bid) / eurusd.pip
    hour = columns.ts // (3_600 * SEC) % 24
    assert 0.8 < spread.mean() < 1.2
    assert spread[(hour == 21) | (hour == 22)].mean() > 1.5 * spread[hour == 12].mean()


def test_feed_falls_silent_and_the_week_end_gaps(two_weeks: Simulated) -> None:
    silences = np.diff(two_weeks.columns.ts) / 1e9
    assert ((silences > 60) & (silences < 3_600)).sum() >= 3
    assert (silences > 47 * 3_600).sum() == 1


def test_the_declared_edge_is_there(two_weeks: Simulated) -> None:
    edge = two_weeks.edge
    assert 6.0 < edge.expected_move_pips < 8.0
    assert 0.65 < edge.filter_accuracy < edge.accuracy < 0.9


def test_acting_on_the_filter_pays_after_costs(two_weeks: Simulated, eurusd: Instrument) -> None:
    """A plain trend rule over minutes, no learning: buy the side of the last 30 minutes' move."""
    columns = two_weeks.columns
    entry = np.searchsorted(
        columns.ts, np.arange(columns.ts[0] + 1_800 * SEC, columns.ts[-1] - 900 * SEC, 900 * SEC)
    )
    past = np.searchsorted(columns.ts, columns.ts[entry] - 1_800 * SEC)
    leave = np.minimum(np.searchsorted(columns.ts, columns.ts[entry] + 900 * SEC), len(columns) - 1)
    long = columns.bid[leave] - columns.ask[entry]
    short = columns.bid[entry] - columns.ask[leave]
    up = columns.open[entry] > columns.open[past]
    net = np.where(up, long, short) / eurusd.pip - 0.4
    assert net.mean() > 0.5
    assert net.mean() / (net.std() / math.sqrt(len(net))) > 2.0


def test_without_drift_there_is_no_edge(eurusd: Instrument) -> None:
    flat = simulate(eurusd, seed=7, days=10, model=MarketModel(drift_ratio=0.0)).edge
    assert flat.accuracy == pytest.approx(0.5)
    assert flat.filter_accuracy == pytest.approx(0.5, abs=0.05)


def test_known_drift_accuracy_agrees_with_drawing_lots() -> None:
    model = MarketModel()
    rng = np.random.default_rng(0)
    flip = 0.5 * (1.0 - math.exp(-2.0 / model.drift_minutes))
    flips = np.cumsum(rng.random((200_000, 15)) < flip, axis=1)
    first = np.zeros((200_000, 1), int)
    state = 1 - 2 * (np.hstack([first, flips[:, :-1]]) % 2)
    moves = model.drift_ratio * state.sum(axis=1) + math.sqrt(15) * rng.standard_normal(200_000)
    assert known_drift_accuracy(15, model) == pytest.approx((moves > 0).mean(), abs=0.005)


@pytest.mark.parametrize("days", [0.0, -1.0, 251.0, float("nan")])
def test_a_senseless_length_is_refused(eurusd: Instrument, days: float) -> None:
    with pytest.raises(ValueError, match="days"):
        simulate(eurusd, days=days)
