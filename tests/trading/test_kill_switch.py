"""The kill switch: nothing new leaves, all that works is canceled, and it stays thrown."""

from decimal import Decimal

import pytest

from core.errors import BadInput
from core.types import OrderEventKind, OrderStatus, OrderType, Side, TimeInForce, TradingState
from trading.events import SessionChanged, SetTradingState, SubmitOrder
from trading.inbox import Inbox

K, S = OrderEventKind, OrderStatus
GTC = {"type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "limit_ticks": 109_000}


def kill(house, scope="global"):
    house.process(
        SetTradingState(house.now, TradingState.HALTED, "smoke", "human", scope, cancel_orders=True)
    )


def working(house, key, steps, **fields):
    order = house.submit(key, steps, **{**GTC, **fields}).order
    assert order.status is S.SUBMITTED
    house.report(order, K.ACCEPT)
    return order


def test_a_thousand_orders_are_canceled_in_one_turn_and_none_follows(build):
    limits = {
        "max_open_orders": 2_000, "order_burst": 2_000, "max_quote_age_ms": 1e9,
        "cancel_burst": 1, "max_cancels_per_sec": 0.001, "max_position_lots": Decimal(100),
        "max_gross_notional": Decimal(10**8), "max_net_notional": Decimal(10**8),
        "max_instrument_notional": Decimal(10**8), "max_currency_notional": Decimal(10**8),
    }  # fmt: skip
    house = build(limits, balance=Decimal(10**7))
    house.quote()
    names = [house.submit(f"k{n}", 1 + n % 3, **GTC).order.client_order_id for n in range(1_000)]
    sent = len(house.broker.sent)
    assert sent == house.account.book.open_count == 1_000
    kill(house)
    # The cancels' own rate holds back what callers cancel, never what the kill switch does.
    assert [o.client_order_id for o in house.broker.canceled] == names
    assert house.submit("late", 7).refused.check == "trading_state"
    assert len(house.broker.sent) == sent
    assert all(o.status is S.PENDING_CANCEL for o in house.account.book.open_orders())


@pytest.mark.parametrize(
    ("scope", "hit"),
    [
        ("global", {"a", "b", "c"}),
        ("account:PAPER", {"a", "b", "c"}),
        ("strategy:other", {"b"}),
        ("symbol:GBPUSD", {"c"}),
    ],
)
def test_each_scope_cancels_its_own(house, scope, hit):
    house.quote(1.3, 1.3001, instrument=1)
    working(house, "a", 10)
    working(house, "b", 11, strategy="other")
    working(house, "c", 12, instrument=1, limit_ticks=129_000)
    kill(house, scope)
    assert {o.key for o in house.broker.canceled} == hit


@pytest.mark.parametrize("scope", ["symbol:NOPE", "account:OTHER", "colour:red", "strategy:", ""])
def test_a_scope_that_is_none_of_ours_is_refused(house, scope):
    working(house, "a", 10)
    with pytest.raises(BadInput):
        kill(house, scope)
    assert house.broker.canceled == []
    assert house.submit("b", 11).refused is None


def test_it_stays_thrown_over_a_restart_and_its_cancels_go_out_then(house, build):
    order = working(house, "a", 10)
    house.broker.up = False
    kill(house)
    assert house.broker.canceled == []
    again = build(recovered=house.journal.records, ready=False)
    again.now = house.now
    again.quote()
    assert again.account.states.state is TradingState.HALTED
    again.process(SessionChanged(again.now, True))
    again.report(order, K.ACCEPT)
    assert [o.key for o in again.broker.canceled] == ["a"]
    assert again.submit("b", 11).refused.check == "trading_state"


def test_positions_may_still_be_closed(house):
    sent = house.submit("open", 10)
    house.fill(sent.order)
    kill(house)
    assert house.submit("close", 10, Side.SELL).refused is None


def test_it_goes_before_every_command_that_waits():
    class Clock:
        def now_ns(self):
            return 1

    inbox = Inbox(Clock())
    for number in range(5):
        inbox.put_command(SubmitOrder(0, f"k{number}", "PAPER", "manual", 0, Side.BUY, 1))
    inbox.put_first(SetTradingState(0, TradingState.HALTED, "", cancel_orders=True))
    assert isinstance(inbox.take(), SetTradingState)
    assert inbox.take().key == "k0"
