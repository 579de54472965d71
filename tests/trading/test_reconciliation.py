import pytest

from core.types import OrderEvent, OrderEventKind, OrderStatus
from fix.reports import StatusReport
from trading.events import OrderEventIn
from trading.reconciliation import (
    SILENT_TIMEOUTS,
    BecomeReady,
    BookReport,
    HaltTrading,
    LoseReadiness,
    Reconciliation,
    ReconciliationState,
    RequestOpenOrders,
    RequestPositions,
    RequestStatus,
)

K, R = OrderEventKind, ReconciliationState


@pytest.fixture
def start(build):
    """A house that died with three orders on their way, and its reconciliation."""
    before = build()
    before.quote()
    orders = [before.submit(key).order for key in "abc"]
    before.report(orders[2], K.ACCEPT)
    house = build(recovered=before.journal.records, ready=False)
    house.now = before.now
    return house, Reconciliation(house.account.book, house.account.portfolio), orders


def listed(name, filled=0, value=0):
    """Make one answer to 35=AF."""
    return StatusReport(
        name, f"V{name}", OrderStatus.ACCEPTED, filled, "", 1, 1, filled_value=value
    )


def report(house, reconciliation, order, kind, **fields):
    house.report(order, kind, **fields)
    return reconciliation.on_order_event(OrderEvent(order.client_order_id, kind, house.now))


def test_nothing_open_goes_straight_to_positions(build):
    house = build(ready=False)
    reconciliation = Reconciliation(house.account.book, house.account.portfolio)
    assert reconciliation.on_logon() == [RequestOpenOrders()]
    assert reconciliation.on_positions({}) == []
    assert reconciliation.on_open_orders([]) == [RequestPositions()]
    assert reconciliation.on_positions({}) == [BecomeReady()]
    assert reconciliation.state is R.READY


def test_every_open_order_is_asked_for_and_positions_come_last(start):
    house, reconciliation, (a, b, c) = start
    asked = reconciliation.on_logon()
    assert [action.order.client_order_id for action in asked] == [
        o.client_order_id for o in (a, b, c)
    ]
    assert {action.order.status for action in asked} == {OrderStatus.UNKNOWN, OrderStatus.ACCEPTED}
    assert report(house, reconciliation, a, K.REJECT, reason="unknown_order") == []
    house.fill(b)
    event = OrderEvent(b.client_order_id, K.FILL, house.now)
    assert reconciliation.on_order_event(event) == []
    assert reconciliation.on_positions({0: 10}) == []
    assert report(house, reconciliation, c, K.ACCEPT) == [RequestOpenOrders()]
    assert reconciliation.on_open_orders([listed(c.client_order_id)]) == [RequestPositions()]
    assert reconciliation.on_positions({0: 10}) == [BecomeReady()]


def test_an_answer_that_leaves_the_order_in_doubt_is_none(start):
    house, reconciliation, (a, *_) = start
    reconciliation.on_logon()
    report(house, reconciliation, a, K.REJECT_CANCEL)
    assert a.client_order_id in reconciliation.waiting_for
    repeated = reconciliation.on_timeout()
    assert repeated[0] == RequestStatus(house.order(a.client_order_id))
    assert len(repeated) == 3


@pytest.mark.parametrize("venue", [{}, {0: 9}, {0: 10, 1: 5}, {0: -10}])
def test_any_difference_in_positions_halts(start, venue):
    house, reconciliation, (a, b, c) = start
    reconciliation.on_logon()
    report(house, reconciliation, a, K.REJECT)
    house.fill(b)
    reconciliation.on_order_event(OrderEvent(b.client_order_id, K.FILL, house.now))
    report(house, reconciliation, c, K.CANCEL)
    reconciliation.on_open_orders([])
    (action,) = reconciliation.on_positions(venue)
    assert isinstance(action, HaltTrading)
    assert "ours" in action.reason
    assert reconciliation.state is R.MISMATCH
    assert reconciliation.on_positions({0: 10}) == []


def test_a_disconnect_starts_over(start):
    house, reconciliation, (a, b, c) = start
    reconciliation.on_logon()
    report(house, reconciliation, a, K.CANCEL)
    assert reconciliation.on_disconnect() == []
    assert reconciliation.state is R.REPLAYED
    assert report(house, reconciliation, b, K.CANCEL) == []
    (asked,) = reconciliation.on_logon()
    assert asked.order.client_order_id == c.client_order_id
    assert report(house, reconciliation, c, K.CANCEL) == [RequestOpenOrders()]
    assert reconciliation.on_timeout() == [RequestOpenOrders()]
    reconciliation.on_open_orders([])
    assert reconciliation.on_timeout() == [RequestPositions()]


@pytest.mark.parametrize("which", ["never seen", "terminal"])
def test_an_order_that_the_venue_works_and_we_do_not_halts(start, which):
    house, reconciliation, (a, b, c) = start
    reconciliation.on_logon()
    for order in (a, b, c):
        report(house, reconciliation, order, K.CANCEL)
    name = a.client_order_id if which == "terminal" else "NOBODYS"
    (action,) = reconciliation.on_open_orders([listed(name)])
    assert isinstance(action, HaltTrading)
    assert name in action.reason
    assert reconciliation.state is R.MISMATCH


def test_a_mismatch_is_asked_again_when_a_human_enables(build):
    house = build(ready=False)
    reconciliation = Reconciliation(house.account.book, house.account.portfolio)
    assert reconciliation.on_enabled() == []
    reconciliation.on_logon()
    reconciliation.on_open_orders([])
    (action,) = reconciliation.on_positions({0: 5})
    assert isinstance(action, HaltTrading)
    assert reconciliation.on_enabled() == [RequestOpenOrders()]
    reconciliation.on_open_orders([])
    (action,) = reconciliation.on_positions({0: 5})
    assert isinstance(action, HaltTrading)
    reconciliation.on_enabled()
    reconciliation.on_open_orders([])
    assert reconciliation.on_positions({}) == [BecomeReady()]
    assert reconciliation.state is R.READY


def status(order, filled, value, house, stands=OrderStatus.FILLED):
    return StatusReport(
        order.client_order_id, "V1", stands, filled, "", house.now, 1, filled_value=value
    )


def test_executions_that_were_lost_here_are_booked_from_the_venues_count(start):
    house, reconciliation, (*_, c) = start
    reconciliation.on_logon()
    house.fill(c, quantity=4, price_ticks=110_010)
    told = status(c, 10, 4 * 110_010 + 6 * 110_020, house)
    (action,) = reconciliation.on_status(told)
    assert isinstance(action, BookReport)
    for event in (action.event, told.event()):
        house.process(OrderEventIn(house.now, event))
        reconciliation.on_order_event(event)
    booked = house.order(c.client_order_id)
    assert (booked.status, booked.filled, booked.filled_value) == (
        OrderStatus.FILLED, 10, 4 * 110_010 + 6 * 110_020,
    )  # fmt: skip
    assert house.account.portfolio.steps() == {0: 10}
    assert c.client_order_id not in reconciliation.waiting_for
    assert reconciliation.on_status(told) == []


def test_a_venue_that_counts_less_than_we_do_halts(start):
    house, reconciliation, (a, _, c) = start
    reconciliation.on_logon()
    house.fill(c)
    (action,) = reconciliation.on_status(status(c, 3, 3 * 110_010, house, OrderStatus.CANCELED))
    assert isinstance(action, HaltTrading)
    assert reconciliation.on_status(status(a, 0, 0, house, OrderStatus.ACCEPTED)) == []


@pytest.fixture
def ready(house):
    """A house with a working order, that agreed with the venue."""
    order = house.submit("rest").order
    house.report(order, K.ACCEPT)
    reconciliation = Reconciliation(house.account.book, house.account.portfolio)
    reconciliation.on_logon()
    reconciliation.on_order_event(OrderEvent(order.client_order_id, K.ACCEPT, house.now))
    reconciliation.on_open_orders([listed(order.client_order_id)])
    assert reconciliation.on_positions({}) == [BecomeReady()]
    return house, reconciliation, house.order(order.client_order_id)


def test_while_ready_orders_and_positions_are_polled_one_poll_at_a_time(ready):
    _, reconciliation, order = ready
    for count in (1, 2):
        assert reconciliation.on_poll() == [RequestOpenOrders()]
        assert reconciliation.on_poll() == []
        assert reconciliation.on_positions({0: 99}) == []  # nobody asked yet
        assert reconciliation.on_open_orders([listed(order.client_order_id)]) == [
            RequestPositions()
        ]
        assert reconciliation.on_positions({}) == []
        assert (reconciliation.polls, reconciliation.state) == (count, R.READY)


def test_a_position_that_drifts_apart_halts(ready):
    _, reconciliation, order = ready
    reconciliation.on_poll()
    reconciliation.on_open_orders([listed(order.client_order_id)])
    (action,) = reconciliation.on_positions({0: 7})
    assert isinstance(action, HaltTrading)
    assert "ours 0, venue 7" in action.reason
    assert reconciliation.on_poll() == []


def test_an_order_that_only_the_venue_works_halts_at_the_next_poll(ready):
    _, reconciliation, order = ready
    reconciliation.on_poll()
    found = [listed(order.client_order_id), listed("NOBODYS")]
    (action,) = reconciliation.on_open_orders(found)
    assert isinstance(action, HaltTrading)
    assert "NOBODYS" in action.reason


def test_an_execution_that_we_never_heard_of_is_booked_at_the_next_poll(ready):
    _, reconciliation, order = ready
    reconciliation.on_poll()
    told = listed(order.client_order_id, 4, 4 * 110_010)
    booked, positions = reconciliation.on_open_orders([told])
    assert isinstance(booked, BookReport)
    assert (booked.event.fill.quantity, booked.event.fill.price_ticks) == (4, 110_010)
    assert positions == RequestPositions()


def test_fewer_filled_at_the_venue_than_here_halts_at_the_next_poll(ready):
    house, reconciliation, order = ready
    house.fill(order, 4)
    reconciliation.on_poll()
    (action,) = reconciliation.on_open_orders([listed(order.client_order_id)])
    assert isinstance(action, HaltTrading)


def test_a_working_order_that_the_venue_does_not_list_is_asked_for_and_one_on_its_way_not(ready):
    house, reconciliation, order = ready
    house.submit("on its way")
    reconciliation.on_poll()
    asked, positions = reconciliation.on_open_orders([])
    assert asked == RequestStatus(order)
    assert positions == RequestPositions()


def test_a_venue_that_stays_silent_ends_the_readiness_until_it_answers(ready):
    _, reconciliation, order = ready
    assert reconciliation.on_timeout() == []
    reconciliation.on_poll()
    for _ in range(SILENT_TIMEOUTS - 1):
        assert reconciliation.on_timeout() == [RequestOpenOrders()]
    lost, asked = reconciliation.on_timeout()
    assert isinstance(lost, LoseReadiness)
    assert asked == RequestStatus(order)
    assert reconciliation.state is R.RESOLVING
    event = OrderEvent(order.client_order_id, K.ACCEPT, 1)
    assert reconciliation.on_order_event(event) == [RequestOpenOrders()]
    reconciliation.on_open_orders([listed(order.client_order_id)])
    assert reconciliation.on_positions({}) == [BecomeReady()]


def test_a_disconnect_forgets_the_poll(ready):
    _, reconciliation, _ = ready
    reconciliation.on_poll()
    reconciliation.on_disconnect()
    assert reconciliation.on_poll() == []
    assert reconciliation.on_open_orders([]) == []
