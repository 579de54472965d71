"""Orders and quotes in the shape that venue tests need."""

from collections.abc import Callable

import pytest

from core.config import VenueConfig
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Quote, Side, TimeInForce, tick
from venue.matching import MatchingEngine, VenueOrder

MakeOrder = Callable[..., VenueOrder]
MakeQuote = Callable[..., Quote]


@pytest.fixture
def make_order() -> MakeOrder:
    def make(
        name: str,
        side: Side = Side.BUY,
        limit: int = 999_999,
        quantity: int = 10,
        tif: TimeInForce = TimeInForce.IOC,
        instrument: int = 0,
    ) -> VenueOrder:
        return VenueOrder(name, instrument, side, quantity, limit, tif, "PAPER")

    return make


@pytest.fixture
def make_quote() -> MakeQuote:
    def make(seq: int, bid_ticks: int, spread: int = 10, instrument: int = 0) -> Quote:
        bid, ask = bid_ticks / 1e5, (bid_ticks + spread) / 1e5
        return tick(instrument, seq, 1_000_000_000 * seq, bid, ask)

    return make


@pytest.fixture
def plain() -> MatchingEngine:
    """Return a venue that neither rejects nor splits."""
    return MatchingEngine(DEFAULT_INSTRUMENTS, VenueConfig(partial_ratio=0.0, reject_ratio=0.0))


@pytest.fixture
def splitting() -> MatchingEngine:
    """Return a venue that executes every order in two parts."""
    return MatchingEngine(DEFAULT_INSTRUMENTS, VenueConfig(partial_ratio=1.0, reject_ratio=0.0))
