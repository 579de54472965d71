"""Reports that a status answer stood for, and what overtakes one, are no differences."""

import msgspec
import numpy as np
import pytest

from backtest.arrivals import Arrival, Arrivals
from backtest.twin import VenueTwin
from core.columns import from_ticks
from core.config import VenueConfig
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import (
    Amendment,
    Fill,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderType,
    Side,
    TimeInForce,
)
from venue.orders import fate, venue_order

K = OrderEventKind
SPLITTING = VenueConfig(partial_ratio=1.0, reject_ratio=0.0)
PART = 1 + int(fate(SPLITTING.seed, "A").part * 9)


def order(**fields):
    return Order(
        "A", "A", "PAPER", "manual", 0, Side.BUY, 10, OrderType.LIMIT, 110_050, TimeInForce.GTC,
        1, 1, **fields,
    )  # fmt: skip


@pytest.fixture
def twin():
    asks = np.array([1.1001, 1.1003, 1.1004, 1.1005])
    ts = np.arange(1, 5, dtype=np.int64) * 10**9
    tape = {0: from_ticks(ts, asks - 1e-4, asks)}
    arrivals = Arrivals(orders={"A": Arrival(1, venue_order(order()))})
    arrivals.cancels["A"].append(3)
    arrivals.replacements["A"].append((2, Amendment(12, 110_050)))
    made = VenueTwin(tape, DEFAULT_INSTRUMENTS, SPLITTING, arrivals)
    made.send(order())
    return made


def inferred(quantity, price):
    fill = Fill("VENUE", "A-status-10", "A", 0, Side.BUY, quantity, price, 2, 2)
    return OrderEvent("A", K.FILL, 2, quote_seq=2, fill=fill)


def test_an_inferred_execution_stands_for_those_that_were_lost(twin):
    price = round((PART * 110_010 + (10 - PART) * 110_030) / 10)
    event = inferred(10, price)
    assert twin.report(event) == event
    twin.finish()
    assert twin.differences == []


@pytest.mark.parametrize(("quantity", "price"), [(9, 110_012), (10, 110_001), (11, 110_020)])
def test_an_inferred_execution_that_comes_to_something_else_is_told(twin, quantity, price):
    twin.report(inferred(quantity, price))
    assert len(twin.differences) == 1


def test_a_replacement_arrives_where_the_venue_took_it(twin):
    twin.replace(order(pending=Amendment(12, 110_050)))
    told = OrderEvent("A", K.REPLACE, 2 * 10**9, "VA", quote_seq=2, terms=Amendment(12, 110_050))
    for kind, seq in ((K.ACCEPT, 1), (K.FILL, 1), (K.FILL, 2)):
        own = twin._coming["A"]
        twin._run_to(0, seq)
        assert own[0].kind is kind
        assert twin.report(own[0]) is not None
    # The order was filled before the new terms came.
    assert twin.report(told) is None
    late = OrderEvent("A", K.REJECT_REPLACE, 0)
    assert twin.report(late) == late


def test_other_terms_than_the_venue_took_are_told(twin):
    twin.replace(order(pending=Amendment(13, 110_050)))
    assert "the venue took" in twin.differences[0]


def test_a_status_answer_may_be_overtaken_by_a_cancel(twin):
    twin.report(OrderEvent("A", K.ACCEPT, 10**9, "VA", quote_seq=1))
    answer = OrderEvent("A", K.ACCEPT, 10**9, "VA", quote_seq=1, terms=Amendment(10, 110_050))
    twin._run_to(0, 2)
    assert twin.report(answer).terms == answer.terms
    assert twin.differences == []
    odd = msgspec.structs.replace(answer, terms=Amendment(99, 1))
    twin.report(odd)
    assert "the twin had" in twin.differences[0]
