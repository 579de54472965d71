"""Each rule of the venue's matching on its own."""

import pytest

from core.config import VenueConfig
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import OrderEvent, OrderEventKind, OrderStatus, Side, TimeInForce
from fix.reports import UNKNOWN_ORDER
from venue.matching import TOO_LATE, MatchingEngine
from venue.orders import fate

K = OrderEventKind


def kinds(events: list[OrderEvent]) -> list[OrderEventKind]:
    return [event.kind for event in events]


def test_buy_executes_at_the_ask_and_sell_at_the_bid(plain, make_order, make_quote):
    plain.on_quote(make_quote(1, 100_000, spread=7))
    bought = plain.submit(make_order("B", Side.BUY))
    sold = plain.submit(make_order("S", Side.SELL, limit=1, quantity=4))
    assert [e.fill.price_ticks for e in (bought[1], sold[1])] == [100_007, 100_000]
    assert plain.position(0) == 6


def test_events_carry_the_tape_position_and_deterministic_execution_ids(
    splitting, make_order, make_quote
):
    splitting.on_quote(make_quote(1, 100_000))
    splitting.on_quote(make_quote(2, 100_000))
    events = splitting.submit(make_order("A", quantity=9)) + splitting.on_quote(
        make_quote(3, 100_020)
    )
    assert kinds(events) == [K.ACCEPT, K.FILL, K.FILL]
    assert [(e.quote_seq, e.ts_event) for e in events] == [
        (2, 2 * 10**9),
        (2, 2 * 10**9),
        (3, 3 * 10**9),
    ]
    assert [e.fill.exec_id for e in events[1:]] == ["A-1", "A-2"]
    assert [e.fill.price_ticks for e in events[1:]] == [100_010, 100_030]
    assert sum(e.fill.quantity for e in events[1:]) == 9
    assert splitting.status("A").status is OrderStatus.FILLED


def test_rest_of_an_ioc_is_canceled_when_the_next_quote_is_out_of_reach(
    splitting, make_order, make_quote
):
    splitting.on_quote(make_quote(1, 100_000))
    first = splitting.submit(make_order("A", limit=100_010))
    then = splitting.on_quote(make_quote(2, 100_001))
    assert kinds(first + then) == [K.ACCEPT, K.FILL, K.CANCEL]
    assert splitting.open_orders() == []
    assert splitting.on_quote(make_quote(3, 90_000)) == []


def test_rest_of_a_gtc_stays_until_it_is_reached(splitting, make_order, make_quote):
    splitting.on_quote(make_quote(1, 100_000))
    splitting.submit(make_order("A", limit=100_010, tif=TimeInForce.GTC))
    assert splitting.on_quote(make_quote(2, 100_001)) == []
    events = splitting.on_quote(make_quote(3, 99_000))
    assert kinds(events) == [K.FILL]
    assert events[0].fill.price_ticks == 99_010  # price improvement to the touch


def test_end_of_tape_cancels_what_waits_for_a_quote(splitting, make_order, make_quote):
    splitting.on_quote(make_quote(1, 100_000))
    splitting.submit(make_order("A"))
    assert kinds(splitting.end_of_tape(0)) == [K.CANCEL]
    assert kinds(splitting.submit(make_order("B"))) == [K.ACCEPT, K.FILL, K.CANCEL]
    assert splitting.end_of_tape(0) == []


@pytest.mark.parametrize("tif", [TimeInForce.IOC, TimeInForce.FOK])
def test_what_may_not_rest_is_canceled_on_arrival(plain, make_order, make_quote, tif):
    plain.on_quote(make_quote(1, 100_000))
    events = plain.submit(make_order("A", limit=100_009, tif=tif))
    assert kinds(events) == [K.ACCEPT, K.CANCEL]
    assert plain.position(0) == 0


def test_fok_never_executes_in_parts(splitting, make_order, make_quote):
    splitting.on_quote(make_quote(1, 100_000))
    events = splitting.submit(make_order("A", tif=TimeInForce.FOK))
    assert kinds(events) == [K.ACCEPT, K.FILL]
    assert events[1].fill.quantity == 10


def test_resting_orders_execute_in_price_time_priority(plain, make_order, make_quote):
    plain.on_quote(make_quote(1, 100_000))
    for name, limit in (("late-low", 99_000), ("early", 99_500), ("late", 99_500), ("top", 99_900)):
        plain.submit(make_order(name, limit=limit, tif=TimeInForce.GTC))
    for name, limit in (("s-far", 100_900), ("s-near", 100_100), ("s-near-late", 100_100)):
        plain.submit(make_order(name, Side.SELL, limit, tif=TimeInForce.GTC))
    down = plain.on_quote(make_quote(2, 98_000))
    up = plain.on_quote(make_quote(3, 101_000))
    assert [e.client_order_id for e in down] == ["top", "early", "late", "late-low"]
    assert [e.client_order_id for e in up] == ["s-near", "s-near-late", "s-far"]


def test_cancel_takes_a_resting_order_off_the_book(plain, make_order, make_quote):
    plain.on_quote(make_quote(1, 100_000))
    plain.submit(make_order("A", limit=99_000, tif=TimeInForce.GTC))
    assert kinds(plain.cancel("A")) == [K.CANCEL]
    assert plain.on_quote(make_quote(2, 90_000)) == []
    (late,) = plain.cancel("A")
    assert (late.kind, late.reason) == (K.REJECT_CANCEL, TOO_LATE)
    (unknown,) = plain.cancel("nobody")
    assert (unknown.kind, unknown.reason) == (K.REJECT_CANCEL, UNKNOWN_ORDER)


def test_a_duplicate_executes_once(plain, make_order, make_quote):
    plain.on_quote(make_quote(1, 100_000))
    plain.submit(make_order("A"))
    assert plain.submit(make_order("A", quantity=50)) == []
    assert plain.position(0) == 10
    assert plain.status("A").order.quantity == 10


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"quantity": 0}, "quantity out of range"),
        ({"quantity": 10_001}, "quantity out of range"),
        ({"limit": 0}, "no limit price"),
        ({"instrument": 99}, "unknown instrument"),
        ({"instrument": 1}, "no market yet"),
    ],
)
def test_orders_that_cannot_be_matched_are_rejected(plain, make_order, make_quote, changes, reason):
    plain.on_quote(make_quote(1, 100_000))
    (event,) = plain.submit(make_order("A", **changes))
    assert (event.kind, event.reason) == (K.REJECT, reason)
    assert plain.status("A").status is OrderStatus.REJECTED


def test_sampled_rejects_and_parts_come_at_their_ratios():
    draws = [fate(11, f"order-{n}") for n in range(20_000)]
    assert sum(d.reject < 0.02 for d in draws) / 20_000 == pytest.approx(0.02, abs=0.004)
    assert sum(d.partial < 0.2 for d in draws) / 20_000 == pytest.approx(0.2, abs=0.012)
    assert fate(11, "A") == fate(11, "A") != fate(12, "A")
    # A fixed value: replay on another machine or version must draw the same.
    assert fate(11, "A").reject == pytest.approx(0.04448339561162329, abs=1e-15)


def test_the_tape_never_goes_back(plain, make_quote):
    plain.on_quote(make_quote(2, 100_000))
    with pytest.raises(ValueError, match="EURUSD: quote 2 after 2"):
        plain.on_quote(make_quote(2, 100_000))


def test_a_rejecting_venue_rejects(make_order, make_quote):
    venue = MatchingEngine(DEFAULT_INSTRUMENTS, VenueConfig(reject_ratio=1.0))
    venue.on_quote(make_quote(1, 100_000))
    assert kinds(venue.submit(make_order("A"))) == [K.REJECT]
    assert kinds(venue.cancel("A")) == [K.REJECT_CANCEL]
