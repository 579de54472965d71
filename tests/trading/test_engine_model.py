"""The whole engine and a naive model of an account side by side, step by step.

The model knows orders as plain dicts and works everything out anew from what it was told. The
engine goes through its one door; broker and journal are stubs. After each step order states, what
is reserved, positions, profit, open orders and what was sent must be the same.
"""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from core.errors import AppError
from core.types import (
    Amendment,
    Fill,
    OrderEvent,
    OrderEventKind,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    TradingState,
)
from tests.trading.conftest import House
from tests.trading.test_orders import LEGAL
from trading.events import (
    CancelOrder,
    OrderEventIn,
    ReplaceOrder,
    SessionChanged,
    SetTradingState,
    Timer,
)

K, S = OrderEventKind, OrderStatus
DONE = {S.DENIED, S.REJECTED, S.CANCELED, S.EXPIRED, S.FILLED}
WAITS = {S.SUBMITTED, S.PENDING_CANCEL, S.PENDING_REPLACE}
BID, ASK = 110_000, 110_010
NAMES = st.sampled_from([f"k{number}" for number in range(12)])
MS = 1_000_000


@dataclass
class Naive:
    """An account as one would write it on paper."""

    orders: dict = field(default_factory=dict)
    fills: dict = field(default_factory=dict)
    ready: bool = True
    halted: bool = False
    sent: int = 0
    canceled: int = 0
    replaced: int = 0

    def leaves(self, order):
        most = max(order["quantity"], order["asked"] or 0)
        return 0 if order["status"] in DONE else most - self.filled(order["id"])

    def filled(self, name):
        return sum(q for (who, _), (q, _) in self.fills.items() if who == name)

    def position(self):
        return sum(self.sign(who) * q for (who, _), (q, _) in self.fills.items())

    def sign(self, name):
        return next(o["side"].sign for o in self.orders.values() if o["id"] == name)

    def reserved(self, side):
        return sum(self.leaves(o) for o in self.orders.values() if o["side"] is side)

    def cash(self):
        return sum(-self.sign(who) * q * p for (who, _), (q, p) in self.fills.items())

    def may(self, side, quantity, reduce_only):
        """Say whether an order of this size is sent: the state, and what would be left."""
        if not self.ready:
            return False
        room = -self.position() if side is Side.BUY else self.position()
        reduces = quantity <= max(0, room - self.reserved(side))
        return reduces or not (self.halted or reduce_only)

    def crosses(self, side, limit):
        """Say whether the price meets an own order that rests on the other side."""
        prices = [
            o["limit"] for o in self.orders.values()
            if o["status"] not in DONE and o["rests"] and o["side"] is not side
        ]  # fmt: skip
        if not prices:
            return False
        return limit >= min(prices) if side is Side.BUY else limit <= max(prices)

    def amend(self, order, kind, terms):
        if kind is K.REQUEST_REPLACE:
            order["asked"] = terms
        if kind is K.REPLACE:
            order["quantity"] = max(self.filled(order["id"]), order["asked"] or order["quantity"])
        if kind in (K.REPLACE, K.REJECT_REPLACE):
            order["asked"] = None

    def move(self, order, kind, terms=0):
        """Apply an event by the table that was written down by hand; False when it is illegal."""
        after = LEGAL[order["status"]].get(kind)
        if after is None:
            return False
        self.amend(order, kind, terms)
        filled = self.filled(order["id"])
        if after in (S.ACCEPTED, S.PENDING_REPLACE):
            after = S.ACCEPTED if not order["asked"] else S.PENDING_REPLACE
        if after is S.ACCEPTED and filled:
            after = S.PARTIALLY_FILLED
        if filled == order["quantity"] and (
            kind is K.FILL or (kind is K.REPLACE and after not in DONE)
        ):
            after = S.FILLED
        order["status"] = after
        if after in DONE:
            order["asked"] = None
        return True


class EngineAgainstNaive(RuleBasedStateMachine):
    steps = 0

    def __init__(self):
        super().__init__()
        self.house = House(
            {"max_position_lots": Decimal(1000), "max_order_lots": Decimal(100),
             "max_gross_notional": Decimal(10**9), "max_net_notional": Decimal(10**9),
             "max_instrument_notional": Decimal(10**9), "max_currency_notional": Decimal(10**9),
             "day_loss_reducing": Decimal(10**9), "day_loss_halted": Decimal(10**9),
             "drawdown_reducing": Decimal(10**9), "drawdown_halted": Decimal(10**9),
             "duplicate_window_ms": 0.000001, "max_quote_age_ms": 1e12, "order_burst": 10**9,
             "max_executions": 10**9},
            balance=Decimal(10**9), ack_timeout_ms=1_000.0,
        )  # fmt: skip
        self.house.quote()
        self.naive = Naive()

    # --- what callers do ---

    @rule(
        key=NAMES, side=st.sampled_from(Side), quantity=st.integers(1, 4),
        rests=st.booleans(), far=st.integers(-3, 3), reduce_only=st.booleans(),
    )  # fmt: skip
    def submit(self, key, side, quantity, rests, far, reduce_only):
        limit = (ASK if side is Side.BUY else BID) + far
        lasting = TimeInForce.GTC if rests else TimeInForce.IOC
        done = self.house.submit(
            key, quantity, side, type=OrderType.LIMIT, limit_ticks=limit, time_in_force=lasting,
            reduce_only=reduce_only,
        )  # fmt: skip
        body = (side, quantity, limit, rests, reduce_only)
        known = self.naive.orders.get(key)
        if known is not None:
            assert (done.repeated, done.conflict) == (known["body"] == body, known["body"] != body)
            return
        passes = self.naive.may(side, quantity, reduce_only) and not self.naive.crosses(side, limit)
        assert (done.refused is None) == passes, done.refused
        self.naive.orders[key] = {
            "id": done.order.client_order_id, "side": side, "quantity": quantity, "limit": limit,
            "rests": rests, "status": S.SUBMITTED if passes else S.DENIED, "body": body,
            "asked": None,
        }  # fmt: skip
        self.naive.sent += passes

    @rule(key=NAMES)
    def cancel(self, key):
        order = self.naive.orders.get(key)
        if order is None:
            return
        event = CancelOrder(self.house.now, order["id"])
        if order["status"] in DONE:
            self.house.process(event)
        elif not self.naive.ready:
            with pytest.raises(AppError):
                self.house.process(event)
        else:
            self.house.process(event)
            assert self.naive.move(order, K.REQUEST_CANCEL)
            self.naive.canceled += 1
            order["wished"] = True

    @rule(key=NAMES, quantity=st.integers(1, 6))
    def replace(self, key, quantity):
        order = self.naive.orders.get(key)
        if order is None:
            return
        event = ReplaceOrder(self.house.now, order["id"], Amendment(quantity))
        filled = self.naive.filled(order["id"])
        works = order["status"] in (S.ACCEPTED, S.PARTIALLY_FILLED) and self.naive.ready
        if not works or quantity <= filled or quantity == order["quantity"]:
            with pytest.raises(AppError):
                self.house.process(event)
            return
        passes = quantity < order["quantity"] or self._more_passes(order, quantity - filled)
        done = self.house.process(event)
        assert (done.refused is None) == passes, done.refused
        if passes:
            assert self.naive.move(order, K.REQUEST_REPLACE, quantity)
            self.naive.replaced += 1

    def _more_passes(self, order, rest):
        held, order["status"] = order["status"], S.CANCELED
        try:
            side, limit, reduce_only = order["side"], order["limit"], order["body"][4]
            return self.naive.may(side, rest, reduce_only) and not self.naive.crosses(side, limit)
        finally:
            order["status"] = held

    @rule(halted=st.booleans())
    def set_state(self, halted):
        state = TradingState.HALTED if halted else TradingState.ACTIVE
        self.house.process(SetTradingState(self.house.now, state, "rule", "tester"))
        self.naive.halted = halted

    # --- what the venue and the wire do ---

    @rule(
        key=NAMES,
        kind=st.sampled_from(
            [K.ACCEPT, K.ACCEPT, K.REJECT, K.CANCEL, K.EXPIRE, K.REJECT_CANCEL, K.REPLACE,
             K.REJECT_REPLACE]
        ),
    )  # fmt: skip
    def report(self, key, kind):
        order = self.naive.orders.get(key)
        if order is None:
            return
        legal = self.naive.move(order, kind)
        self.house.report(self.house.order(order["id"]), kind)
        if not legal:
            self.naive.halted = True  # the venue contradicts what we know
            return
        if order["status"] in DONE or kind is K.REJECT_CANCEL:
            order["wished"] = False
        again = kind is K.ACCEPT and order["status"] in (S.ACCEPTED, S.PARTIALLY_FILLED)
        if again and order.get("wished") and self.naive.ready:
            self.naive.move(order, K.REQUEST_CANCEL)  # the cancel was lost: it goes out again
            self.naive.canceled += 1

    @rule(key=NAMES, quantity=st.integers(1, 3), number=st.integers(1, 4))
    def fill(self, key, quantity, number):
        order = self.naive.orders.get(key)
        if order is None:
            return
        price, name = ASK + number, (order["id"], number)
        known = self.naive.fills.get(name)
        if known is None:
            if (
                K.FILL not in LEGAL[order["status"]]
                or self.naive.filled(order["id"]) + quantity > order["quantity"]
            ):
                self.naive.halted = True
            else:
                self.naive.fills[name] = (quantity, price)
                assert self.naive.move(order, K.FILL)
                if order["status"] in DONE:
                    order["wished"] = False
        elif known != (quantity, price):
            self.naive.halted = True
        fill = Fill(
            "VENUE", f"{order['id']}-{number}", order["id"], 0, order["side"], quantity, price, 1, 1
        )
        event = OrderEvent(order["id"], K.FILL, 1, fill=fill)
        self.house.process(OrderEventIn(self.house.now, event))

    @rule(up=st.booleans())
    def session(self, up):
        self.house.process(SessionChanged(self.house.now, up))
        self.naive.ready = up
        for order in self.naive.orders.values():
            if not up and order["status"] in WAITS:
                assert self.naive.move(order, K.LOSE)
        if up:
            for order in self.naive.orders.values():
                if order.get("wished") and order["status"] in (S.ACCEPTED, S.PARTIALLY_FILLED):
                    self.naive.move(order, K.REQUEST_CANCEL)
                    self.naive.canceled += 1

    @rule()
    def silence(self):
        """No answer for longer than the time-out: what waits for one is UNKNOWN."""
        self.house.now += 1_001 * MS
        self.house.process(Timer(self.house.now))
        for order in self.naive.orders.values():
            if order["status"] in WAITS:
                assert self.naive.move(order, K.LOSE)

    # --- the same, always ---

    @invariant()
    def agree(self):
        EngineAgainstNaive.steps += 1
        account, naive = self.house.account, self.naive
        for order in naive.orders.values():
            held = self.house.order(order["id"])
            assert (held.status, held.filled, held.quantity) == (
                order["status"], naive.filled(order["id"]), order["quantity"],
            )  # fmt: skip
        position = naive.position()
        assert account.portfolio.position(0).steps == position
        assert account.portfolio.exposure(0) == (
            position - naive.reserved(Side.SELL),
            position + naive.reserved(Side.BUY),
        )
        row = account.portfolio.position(0)
        assert row.realised - row.cost == naive.cash()
        live = [o for o in naive.orders.values() if o["status"] not in DONE]
        assert account.book.open_count == len(live)
        assert (account.states.state is TradingState.HALTED) == naive.halted
        assert len(self.house.broker.sent) == naive.sent
        assert len(self.house.broker.canceled) == naive.canceled
        assert len(self.house.broker.replaced) == naive.replaced

    @invariant()
    def valuation_is_as_if_worked_out_anew(self):
        account = self.house.account
        exact = account.portfolio.equity()
        equity = account.risk.valuation.equity()
        assert 0 <= exact * 10**6 - equity < 2
        low, high = account.portfolio.exposure(0)
        unit = account.marks.unit(0)
        load = account.risk.valuation.load(0)
        assert (load.low, load.high) == (unit * low, unit * high)
        assert load.gross == unit * max(high, -low)


def run(examples, steps):
    run_state_machine_as_test(
        EngineAgainstNaive,
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None),
    )


def test_engine_and_naive_model_agree():
    run(60, 40)


@pytest.mark.proof
def test_engine_and_naive_model_agree_for_200_000_steps(record_property):
    EngineAgainstNaive.steps = 0
    run(2_100, 100)
    record_property("steps", EngineAgainstNaive.steps)
    assert EngineAgainstNaive.steps >= 200_000
