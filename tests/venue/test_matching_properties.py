"""Matching against a slow obvious twin, and the laws that hold whatever is sent."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import VenueConfig
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import OrderEvent, OrderEventKind, Side, TimeInForce, tick
from venue.matching import MatchingEngine
from venue.orders import VenueOrder, fate

K = OrderEventKind
CONFIG = VenueConfig(partial_ratio=0.5, reject_ratio=0.1)
BASE = 100_000


@dataclass(frozen=True)
class Sent:
    order: VenueOrder
    at: int  # index of the quote after which it arrives
    canceled_at: int | None


prices = st.lists(st.tuples(st.integers(-12, 12), st.integers(0, 6)), min_size=1, max_size=25)


@st.composite
def scenarios(draw):
    tape = draw(prices)
    count = draw(st.integers(0, 12))
    sent = []
    for number in range(count):
        order = VenueOrder(
            f"{draw(st.integers(0, 9_999))}-{number}",
            0,
            draw(st.sampled_from(Side)),
            draw(st.integers(1, 5)),
            BASE + draw(st.integers(-15, 20)),
            draw(st.sampled_from(TimeInForce)),
        )
        at = draw(st.integers(0, len(tape) - 1))
        cancel = draw(st.none() | st.integers(at, len(tape) - 1))
        sent.append(Sent(order, at, cancel))
    return tape, sent


def quote(index: int, tape):
    move, spread = tape[index]
    bid = BASE + move
    return tick(0, index + 1, 1_000 * (index + 1), bid / 1e5, (bid + spread) / 1e5)


def run(tape, sent: list[Sent]) -> tuple[list[OrderEvent], MatchingEngine]:
    venue = MatchingEngine(DEFAULT_INSTRUMENTS, CONFIG)
    events = []
    for index in range(len(tape)):
        events += venue.on_quote(quote(index, tape))
        for item in sent:
            if item.at == index:
                events += venue.submit(item.order)
        for item in sent:
            if item.canceled_at == index:
                events += venue.cancel(item.order.client_order_id)
    return events, venue


def naive(tape, item: Sent) -> list[tuple]:
    """Follow one order along the tape: (kind, seq, quantity, price)."""
    order, drawn = item.order, fate(CONFIG.seed, item.order.client_order_id)
    if drawn.reject < CONFIG.reject_ratio:
        story = [(K.REJECT, item.at + 1)]
        return story + (
            [(K.REJECT_CANCEL, item.canceled_at + 1)] if item.canceled_at is not None else []
        )
    story, left, done, parts = [(K.ACCEPT, item.at + 1)], order.quantity, False, 0
    for index in range(item.at, len(tape)):
        bid = BASE + tape[index][0]
        ask = bid + tape[index][1]
        price = ask if order.side is Side.BUY else bid
        reached = order.limit_ticks >= ask if order.side is Side.BUY else order.limit_ticks <= bid
        if not done and reached:
            take = left
            splits = drawn.partial < CONFIG.partial_ratio and order.time_in_force != "FOK"
            if parts == 0 and splits and left > 1:
                take = min(left - 1, 1 + int(drawn.part * (left - 1)))
            story.append((K.FILL, index + 1, take, price))
            left, parts = left - take, parts + 1
            done = left == 0
        elif not done and order.time_in_force is not TimeInForce.GTC:
            story.append((K.CANCEL, index + 1))
            done = True
        if item.canceled_at == index:
            story.append((K.REJECT_CANCEL if done else K.CANCEL, index + 1))
            done = True
    return story


def told(event: OrderEvent) -> tuple:
    if event.fill is None:
        return (event.kind, event.quote_seq)
    return (event.kind, event.quote_seq, event.fill.quantity, event.fill.price_ticks)


@given(scenarios())
@settings(max_examples=300, deadline=None)
def test_each_order_lives_as_the_naive_twin_says(scenario):
    tape, sent = scenario
    events, _ = run(tape, sent)
    for item in sent:
        mine = [told(e) for e in events if e.client_order_id == item.order.client_order_id]
        assert mine == naive(tape, item)


@given(scenarios())
@settings(max_examples=150, deadline=None)
def test_nothing_overfills_and_positions_are_the_sum_of_executions(scenario):
    tape, sent = scenario
    events, venue = run(tape, sent)
    fills = [e.fill for e in events if e.fill is not None]
    assert len({f.exec_id for f in fills}) == len(fills)
    assert venue.position(0) == sum(f.side.sign * f.quantity for f in fills)
    for item in sent:
        mine = [f for f in fills if f.client_order_id == item.order.client_order_id]
        entry = venue.status(item.order.client_order_id)
        assert sum(f.quantity for f in mine) == entry.filled <= item.order.quantity
        assert sum(f.quantity * f.price_ticks for f in mine) == entry.value
        better = [item.order.side.sign * (item.order.limit_ticks - f.price_ticks) for f in mine]
        assert all(gain >= 0 for gain in better)


@given(scenarios(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_same_tape_positions_give_the_same_events_in_any_arrival_order(scenario, random):
    tape, sent = scenario
    shuffled = list(sent)
    random.shuffle(shuffled)
    first, _ = run(tape, sent)
    second, _ = run(tape, shuffled)

    def by_order(events):
        return sorted((e.client_order_id, str(told(e))) for e in events)

    assert by_order(first) == by_order(second)
