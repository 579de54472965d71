import pytest

from core.types import OrderEvent, OrderEventKind, OrderStatus
from trading.reconciliation import (
    BecomeReady,
    HaltTrading,
    Reconciliation,
    ReconciliationState,
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


def report(house, reconciliation, order, kind, **fields):
    house.report(order, kind, **fields)
    return reconciliation.on_order_event(OrderEvent(order.client_order_id, kind, house.now))


def test_nothing_open_goes_straight_to_positions(build):
    house = build(ready=False)
    reconciliation = Reconciliation(house.account.book, house.account.portfolio)
    assert reconciliation.on_logon() == [RequestPositions()]
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
    assert report(house, reconciliation, c, K.ACCEPT) == [RequestPositions()]
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
    assert report(house, reconciliation, c, K.CANCEL) == [RequestPositions()]
    assert reconciliation.on_timeout() == [RequestPositions()]
