from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.errors import Conflict, FillConflict, IllegalTransition, OrderError, Overfill
from core.types import (
    Amendment,
    Fill,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from trading.orders import OrderBook, apply, as_asked
from trading.transitions import TERMINAL

K, S = OrderEventKind, OrderStatus

# Written down a second time, by hand and by state, so that a slip in either shows.
LEGAL = {
    S.INITIALIZED: {K.DENY: S.DENIED, K.SUBMIT: S.SUBMITTED},
    S.DENIED: {},
    S.SUBMITTED: {
        K.LOSE: S.UNKNOWN, K.ACCEPT: S.ACCEPTED, K.REJECT: S.REJECTED,
        K.REQUEST_CANCEL: S.PENDING_CANCEL, K.CANCEL: S.CANCELED, K.EXPIRE: S.EXPIRED,
        K.FILL: S.PARTIALLY_FILLED,
    },
    S.UNKNOWN: {
        K.LOSE: S.UNKNOWN, K.ACCEPT: S.ACCEPTED, K.REJECT: S.REJECTED,
        K.REQUEST_CANCEL: S.UNKNOWN, K.REJECT_CANCEL: S.UNKNOWN, K.CANCEL: S.CANCELED,
        K.EXPIRE: S.EXPIRED, K.FILL: S.PARTIALLY_FILLED,
        K.REPLACE: S.ACCEPTED, K.REJECT_REPLACE: S.UNKNOWN,
    },
    S.ACCEPTED: {
        K.LOSE: S.UNKNOWN, K.ACCEPT: S.ACCEPTED, K.REJECT: S.REJECTED,
        K.REQUEST_CANCEL: S.PENDING_CANCEL, K.REJECT_CANCEL: S.ACCEPTED, K.CANCEL: S.CANCELED,
        K.EXPIRE: S.EXPIRED, K.FILL: S.PARTIALLY_FILLED,
        K.REQUEST_REPLACE: S.PENDING_REPLACE, K.REPLACE: S.ACCEPTED,
        K.REJECT_REPLACE: S.ACCEPTED,
    },
    S.PENDING_CANCEL: {
        K.LOSE: S.UNKNOWN, K.ACCEPT: S.PENDING_CANCEL, K.REJECT: S.REJECTED,
        K.REQUEST_CANCEL: S.PENDING_CANCEL, K.REJECT_CANCEL: S.ACCEPTED, K.CANCEL: S.CANCELED,
        K.EXPIRE: S.EXPIRED, K.FILL: S.PENDING_CANCEL,
        K.REPLACE: S.PENDING_CANCEL, K.REJECT_REPLACE: S.PENDING_CANCEL,
    },
    S.PENDING_REPLACE: {
        K.LOSE: S.UNKNOWN, K.ACCEPT: S.PENDING_REPLACE, K.REJECT: S.REJECTED,
        K.REQUEST_CANCEL: S.PENDING_CANCEL, K.REJECT_CANCEL: S.PENDING_REPLACE,
        K.CANCEL: S.CANCELED, K.EXPIRE: S.EXPIRED, K.FILL: S.PENDING_REPLACE,
        K.REPLACE: S.ACCEPTED, K.REJECT_REPLACE: S.ACCEPTED,
    },
    S.PARTIALLY_FILLED: {
        K.LOSE: S.UNKNOWN, K.ACCEPT: S.PARTIALLY_FILLED, K.REJECT: S.CANCELED,
        K.REQUEST_CANCEL: S.PENDING_CANCEL, K.REJECT_CANCEL: S.PARTIALLY_FILLED,
        K.CANCEL: S.CANCELED, K.EXPIRE: S.EXPIRED, K.FILL: S.PARTIALLY_FILLED,
        K.REQUEST_REPLACE: S.PENDING_REPLACE, K.REPLACE: S.PARTIALLY_FILLED,
        K.REJECT_REPLACE: S.PARTIALLY_FILLED,
    },
    S.CANCELED: {
        K.ACCEPT: S.CANCELED, K.REJECT_CANCEL: S.CANCELED, K.CANCEL: S.CANCELED,
        K.EXPIRE: S.CANCELED, K.FILL: S.CANCELED, K.REPLACE: S.CANCELED,
        K.REJECT_REPLACE: S.CANCELED,
    },
    S.EXPIRED: {
        K.ACCEPT: S.EXPIRED, K.REJECT_CANCEL: S.EXPIRED, K.CANCEL: S.EXPIRED,
        K.EXPIRE: S.EXPIRED, K.FILL: S.EXPIRED, K.REPLACE: S.EXPIRED,
        K.REJECT_REPLACE: S.EXPIRED,
    },
    S.REJECTED: {
        K.REJECT: S.REJECTED, K.REJECT_CANCEL: S.REJECTED, K.REJECT_REPLACE: S.REJECTED,
    },
    S.FILLED: {K.ACCEPT: S.FILLED, K.REJECT_CANCEL: S.FILLED, K.REJECT_REPLACE: S.FILLED},
}  # fmt: skip


def book_event(book, event):
    done = book.judge(event)
    if done is not None:
        book.take(done)
    return done


def order(name="A", status=S.SUBMITTED, quantity=10, filled=0, strategy="model", key=None, **more):
    if status is S.PENDING_REPLACE:
        more.setdefault("pending", Amendment(quantity + 5))
    return Order(
        name, key or name, "PAPER", strategy, 0, Side.BUY, quantity, OrderType.MARKET, 110_000,
        TimeInForce.IOC, 1, 1, status=status, filled=filled, **more,
    )  # fmt: skip


def fill_of(name="A", quantity=1, exec_id="x", price=110_000, side=Side.BUY, instrument=0):
    fill = Fill("VENUE", exec_id, name, instrument, side, quantity, price, 1, 1)
    return OrderEvent(name, K.FILL, 1, fill=fill)


def event_of(kind, name="A", quantity=1, terms=None):
    if kind is K.FILL:
        return fill_of(name, quantity)
    if kind is K.REQUEST_REPLACE:
        terms = terms or Amendment(quantity + 7)
    return OrderEvent(name, kind, 1, terms=terms)


@pytest.mark.parametrize("status", list(S))
@pytest.mark.parametrize("kind", list(K))
def test_every_state_meets_every_event(status, kind):
    held, event = order(status=status), event_of(kind)
    if kind in LEGAL[status]:
        assert apply(held, event).status is LEGAL[status][kind]
    else:
        with pytest.raises(IllegalTransition):
            apply(held, event)


@pytest.mark.parametrize("status", [s for s in S if K.FILL in LEGAL[s]])
def test_a_whole_fill_ends_in_filled_from_everywhere_it_is_legal(status):
    assert apply(order(status=status), fill_of(quantity=10)).status is S.FILLED


@pytest.mark.parametrize("status", [s for s in S if LEGAL[s].get(K.ACCEPT) is S.ACCEPTED])
def test_an_order_that_works_again_after_a_fill_is_partially_filled(status):
    assert apply(order(status=status, filled=3), event_of(K.ACCEPT)).status is S.PARTIALLY_FILLED


def test_a_replacement_holds_the_larger_quantity_until_it_is_answered():
    asked = apply(order(status=S.ACCEPTED, filled=3), event_of(K.REQUEST_REPLACE, quantity=10))
    assert (asked.quantity, asked.leaves) == (10, 14)
    smaller = apply(order(status=S.ACCEPTED), event_of(K.REQUEST_REPLACE, terms=Amendment(4)))
    assert smaller.leaves == 10
    done = apply(smaller, event_of(K.REPLACE))
    assert (done.status, done.quantity, done.leaves, done.pending) == (S.ACCEPTED, 4, 4, None)
    refused = apply(asked, event_of(K.REJECT_REPLACE))
    assert (refused.status, refused.quantity, refused.pending) == (S.PARTIALLY_FILLED, 10, None)


def test_a_replacement_to_what_is_filled_ends_the_order():
    asked = apply(
        order(status=S.ACCEPTED, filled=3), event_of(K.REQUEST_REPLACE, terms=Amendment(5))
    )
    filled = apply(asked, fill_of(quantity=2))
    assert apply(filled, event_of(K.REPLACE)).status is S.FILLED


def test_prices_of_a_replacement_count_once_it_is_confirmed():
    terms = Amendment(limit_ticks=5, stop_ticks=6, expire_ns=7)
    asked = apply(order(status=S.ACCEPTED), event_of(K.REQUEST_REPLACE, terms=terms))
    assert asked.limit_ticks == 110_000
    done = apply(asked, event_of(K.REPLACE))
    assert (done.limit_ticks, done.stop_ticks, done.expire_ns, done.quantity) == (5, 6, 7, 10)


def test_a_status_answer_says_whether_a_lost_replacement_counts():
    lost = apply(order(status=S.PENDING_REPLACE), event_of(K.LOSE))
    assert (lost.status, lost.leaves) == (S.UNKNOWN, 15)
    for quantity in (10, 15):
        found = apply(lost, event_of(K.ACCEPT, terms=Amendment(quantity)))
        assert (found.status, found.quantity, found.pending) == (S.ACCEPTED, quantity, None)
    assert apply(lost, event_of(K.ACCEPT)).status is S.PENDING_REPLACE


def test_a_cancel_may_overtake_a_replacement():
    held = apply(order(status=S.PENDING_REPLACE), event_of(K.REQUEST_CANCEL))
    assert held.status is S.PENDING_CANCEL
    assert apply(held, event_of(K.REJECT_CANCEL)).status is S.PENDING_REPLACE
    assert apply(held, event_of(K.REPLACE)).status is S.PENDING_CANCEL
    assert apply(held, event_of(K.CANCEL)).pending is None


def test_a_request_to_replace_says_the_terms():
    with pytest.raises(IllegalTransition):
        apply(order(status=S.ACCEPTED), OrderEvent("A", K.REQUEST_REPLACE, 1))


def test_the_first_terms_answer_a_repeated_key():
    book = OrderBook()
    book.add(order(status=S.ACCEPTED))
    book_event(book, event_of(K.REQUEST_REPLACE, terms=Amendment(4)))
    book_event(book, event_of(K.REPLACE))
    assert book.get("A").quantity == 4
    assert as_asked(book.get("A")).quantity == 10


def resting(name, side, price, **more):
    fields = {"type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, **more}
    return msgspec.structs.replace(order(name), side=side, limit_ticks=price, **fields)


def test_the_best_own_prices_follow_the_book():
    book = OrderBook()
    assert book.resting.best(0, Side.BUY) == 0
    for name, side, price in (("A", Side.BUY, 99), ("B", Side.BUY, 98), ("C", Side.SELL, 101)):
        book.add(resting(name, side, price))
    book.add(resting("D", Side.SELL, 90, time_in_force=TimeInForce.IOC))
    book.add(resting("E", Side.SELL, 91, type=OrderType.STOP_LIMIT, stop_ticks=91))
    assert [book.resting.best(0, side) for side in Side] == [99, 101]
    assert book.resting.best(1, Side.BUY) == 0
    book_event(book, event_of(K.CANCEL, "A"))
    assert book.resting.best(0, Side.BUY) == 98
    book_event(book, event_of(K.ACCEPT, "C"))
    book_event(book, event_of(K.REQUEST_REPLACE, "C", terms=Amendment(limit_ticks=105)))
    book_event(book, event_of(K.REPLACE, "C"))
    assert book.resting.best(0, Side.SELL) == 105


def test_prices_of_finished_orders_are_not_piled_up():
    book = OrderBook()
    for number in range(1_000):
        book.add(resting(f"{number}", Side.BUY, 100 + number % 7))
        book_event(book, event_of(K.CANCEL, f"{number}"))
    assert len(book.resting._heaps[0, Side.BUY]) < 100


def test_a_lost_order_never_becomes_rejected_by_itself():
    assert apply(order(), event_of(K.LOSE)).status is S.UNKNOWN
    rejecting = [kind for table in LEGAL.values() for kind in table if table[kind] is S.REJECTED]
    assert set(rejecting) == {K.REJECT, K.REJECT_CANCEL, K.REJECT_REPLACE}


def test_a_late_fill_of_a_canceled_order_counts():
    book = OrderBook()
    book.add(order())
    book_event(book, event_of(K.CANCEL))
    done = book_event(book, fill_of(quantity=10))
    assert (done.after.status, done.after.filled) == (S.FILLED, 10)


@pytest.mark.parametrize("quantity", [0, -1])
def test_a_fill_needs_a_positive_quantity(quantity):
    with pytest.raises(IllegalTransition):
        apply(order(), fill_of(quantity=quantity))


@pytest.mark.parametrize("wrong", [{"side": Side.SELL}, {"instrument": 1}])
def test_a_fill_of_another_side_or_instrument_is_illegal(wrong):
    with pytest.raises(IllegalTransition):
        apply(order(), fill_of(**wrong))


def test_a_fill_without_an_execution_is_illegal():
    with pytest.raises(IllegalTransition):
        apply(order(), OrderEvent("A", K.FILL, 1))


def test_an_overfill_is_refused_and_changes_nothing():
    book = OrderBook()
    book.add(order())
    book_event(book, fill_of(quantity=8))
    with pytest.raises(Overfill):
        book_event(book, fill_of(quantity=3, exec_id="y"))
    assert book.get("A").filled == 8
    assert len(book.fills) == 1


def test_a_repeated_execution_is_skipped_and_other_data_is_an_error():
    book = OrderBook()
    book.add(order())
    assert book_event(book, fill_of(quantity=4)) is not None
    assert book_event(book, fill_of(quantity=4)) is None
    assert book.get("A").filled == 4
    with pytest.raises(FillConflict):
        book_event(book, fill_of(quantity=5))


def test_an_event_of_an_order_we_never_had_is_illegal():
    with pytest.raises(IllegalTransition):
        book_event(OrderBook(), event_of(K.ACCEPT))


def test_ids_and_keys_are_taken_once():
    book = OrderBook()
    book.add(order())
    with pytest.raises(Conflict):
        book.add(order())
    with pytest.raises(Conflict):
        book.add(order("B", key="A"))
    assert book.by_key("PAPER", "A", model=True).client_order_id == "A"
    assert book.by_key("PAPER", "A") is None
    assert book.by_key("OTHER", "A") is None


@dataclass
class Slow:
    """The naive twin: everything is recomputed from the list of what was accepted."""

    quantity: dict = field(default_factory=dict)
    status: dict = field(default_factory=dict)
    fills: list = field(default_factory=list)
    asked: dict = field(default_factory=dict)

    def filled(self, name):
        return sum(f.quantity for f in self.fills if f.client_order_id == name)

    def expect(self, event):
        """'ok', 'repeat' or 'error', and the state after."""
        name, status = event.client_order_id, self.status.get(event.client_order_id)
        if status is None:
            return "error", status
        if event.fill is not None:
            same = [f for f in self.fills if f.exec_id == event.fill.exec_id]
            if same:
                return ("repeat" if same[0] == event.fill else "error"), status
        if event.kind not in LEGAL[status]:
            return "error", status
        total = self.filled(name) + (event.fill.quantity if event.fill else 0)
        if total > self.quantity[name]:
            return "error", status
        return "ok", self._after(event, total)

    def _after(self, event, total):
        name, kind = event.client_order_id, event.kind
        status = self.status[name]
        asked = self._terms(event, status, total)
        after = LEGAL[status][kind]
        if after in (S.ACCEPTED, S.PENDING_REPLACE):
            after = S.PENDING_REPLACE if asked else S.PARTIALLY_FILLED if total else S.ACCEPTED
        if total == self.quantity[name] and (
            kind is K.FILL or (kind is K.REPLACE and after not in TERMINAL)
        ):
            after = S.FILLED
        self.asked[name] = None if after in TERMINAL else asked
        return after

    def _terms(self, event, status, total):
        name, kind, asked = event.client_order_id, event.kind, self.asked.get(event.client_order_id)
        if kind is K.REQUEST_REPLACE:
            return event.terms.quantity
        if kind is K.REJECT_REPLACE:
            return None
        if kind is K.REPLACE or (kind is K.ACCEPT and status is S.UNKNOWN and event.terms):
            new = event.terms.quantity if event.terms else asked or self.quantity[name]
            self.quantity[name] = max(new, total)
            return None
        return asked


class BookAgainstTwin(RuleBasedStateMachine):
    names = st.sampled_from(["A", "B", "C"])

    def __init__(self):
        super().__init__()
        self.book, self.slow = OrderBook(), Slow()

    @rule(name=names, quantity=st.integers(1, 4))
    def add(self, name, quantity):
        if name in self.slow.status:
            with pytest.raises(Conflict):
                self.book.add(order(name, quantity=quantity))
            return
        self.book.add(order(name, quantity=quantity))
        self.slow.quantity[name], self.slow.status[name] = quantity, S.SUBMITTED

    @rule(name=names, kind=st.sampled_from([k for k in K if k is not K.FILL]))
    def happen(self, name, kind):
        self._both(event_of(kind, name))

    @rule(
        name=names, kind=st.sampled_from([K.REQUEST_REPLACE, K.REPLACE, K.ACCEPT]),
        quantity=st.integers(1, 6),
    )  # fmt: skip
    def amend(self, name, kind, quantity):
        self._both(event_of(kind, name, terms=Amendment(quantity)))

    @rule(name=names, quantity=st.integers(1, 3), exec_id=st.sampled_from("uvwxyz"))
    def fill(self, name, quantity, exec_id):
        self._both(fill_of(name, quantity, exec_id))

    def _both(self, event):
        expected, after = self.slow.expect(event)
        if expected == "error":
            with pytest.raises(OrderError):
                book_event(self.book, event)
            return
        done = book_event(self.book, event)
        assert (done is None) == (expected == "repeat")
        if expected == "ok":
            self.slow.status[event.client_order_id] = after
            if event.fill:
                self.slow.fills.append(event.fill)

    @invariant()
    def agree(self):
        held = {o.client_order_id: (o.status, o.filled, o.quantity) for o in self.book.orders()}
        slow = {
            n: (s, self.slow.filled(n), self.slow.quantity[n]) for n, s in self.slow.status.items()
        }
        assert held == slow
        still_open = [n for n, s in self.slow.status.items() if s not in TERMINAL]
        assert sorted(o.client_order_id for o in self.book.open_orders()) == sorted(still_open)
        assert self.book.open_count == len(still_open)
        assert self.book.in_flight("model", 0) == bool(still_open)
        assert list(self.book.fills) == self.slow.fills


TestBookAgainstTwin = BookAgainstTwin.TestCase
TestBookAgainstTwin.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
