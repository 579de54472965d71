"""Matching against a slow obvious twin, and the laws that hold whatever is sent."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import VenueConfig
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Amendment, OrderEvent, OrderEventKind, Side, TimeInForce, tick
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
    replaced_at: int | None = None
    terms: Amendment | None = None


IMMEDIATE = (TimeInForce.IOC, TimeInForce.FOK)
ENDS = (TimeInForce.GTD, TimeInForce.DAY)
prices = st.lists(st.tuples(st.integers(-12, 12), st.integers(0, 6)), min_size=1, max_size=25)


@st.composite
def scenarios(draw):
    tape = draw(prices)
    count = draw(st.integers(0, 12))
    sent = []
    for number in range(count):
        tif = draw(st.sampled_from(TimeInForce))
        at = draw(st.integers(0, len(tape) - 1))
        stops = tif not in IMMEDIATE and draw(st.booleans())
        order = VenueOrder(
            f"{draw(st.integers(0, 9_999))}-{number}",
            0,
            draw(st.sampled_from(Side)),
            draw(st.integers(1, 5)),
            BASE + draw(st.integers(-15, 20)),
            tif,
            stop_ticks=BASE + draw(st.integers(-12, 15)) if stops else 0,
            expire_ns=draw(st.integers(at, len(tape) + 2)) * 1_000 + 1_500 if tif in ENDS else 0,
        )
        cancel = draw(st.none() | st.integers(at, len(tape) - 1))
        replace = draw(st.none() | st.integers(at, len(tape) - 1))
        sent.append(Sent(order, at, cancel, replace, draw(terms)))
    return tape, sent


terms = st.builds(
    Amendment,
    quantity=st.just(0) | st.integers(1, 6),
    limit_ticks=st.just(0) | st.integers(BASE - 15, BASE + 20),
    stop_ticks=st.just(0) | st.integers(BASE - 12, BASE + 15),
)


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
            if item.replaced_at == index:
                events += venue.replace(item.order.client_order_id, item.terms)
        for item in sent:
            if item.canceled_at == index:
                events += venue.cancel(item.order.client_order_id)
    return events, venue


def naive(tape, item: Sent) -> list[tuple]:
    """Follow one order along the tape: (kind, seq, quantity, price)."""
    order, drawn = item.order, fate(CONFIG.seed, item.order.client_order_id)
    asked = [
        (K.REJECT_REPLACE, item.replaced_at),
        (K.REJECT_CANCEL, item.canceled_at),
    ]
    if drawn.reject < CONFIG.reject_ratio:
        late = sorted((at, kind) for kind, at in asked if at is not None)
        late.sort(key=lambda pair: (pair[0], pair[1] is K.REJECT_CANCEL))
        return [(K.REJECT, item.at + 1), *((kind, at + 1) for at, kind in late)]
    life = Life(order, drawn)
    for index in range(item.at, len(tape)):
        life.seq = index + 1
        bid = BASE + tape[index][0]
        market = (1_000 * (index + 1), bid, bid + tape[index][1])
        life.quote(*market, first=index == item.at)
        if item.replaced_at == index:
            life.replace(item.terms, *market)
        if item.canceled_at == index:
            life.end(K.REJECT_CANCEL if life.done else K.CANCEL)
    return life.story


class Life:
    """One order, step by step."""

    def __init__(self, order, drawn):
        self.side, self.tif, self.drawn = order.side, order.time_in_force, drawn
        self.limit, self.stop, self.ends = order.limit_ticks, order.stop_ticks, order.expire_ns
        self.quantity, self.filled, self.parts = order.quantity, 0, 0
        self.waits, self.done, self.story, self.seq = bool(self.stop), False, [], 0

    def end(self, kind):
        self.story.append((kind, self.seq))
        self.done = True

    def quote(self, ts, bid, ask, *, first):
        if first:
            self.story.append((K.ACCEPT, self.seq))
        if self.done:
            return
        if self.ends and self.ends <= ts and not first:
            self.end(K.EXPIRE)
            return
        self.match(bid, ask)

    def match(self, bid, ask):
        buys = self.side is Side.BUY
        if self.waits:
            self.waits = not (ask >= self.stop if buys else bid <= self.stop)
        reached = self.limit >= ask if buys else self.limit <= bid
        if self.waits or not reached:
            if self.tif in IMMEDIATE:
                self.end(K.CANCEL)
            return
        left = take = self.quantity - self.filled
        splits = self.drawn.partial < CONFIG.partial_ratio and self.tif != "FOK"
        if self.parts == 0 and splits and left > 1:
            take = min(left - 1, 1 + int(self.drawn.part * (left - 1)))
        self.story.append((K.FILL, self.seq, take, ask if buys else bid))
        self.filled, self.parts = self.filled + take, self.parts + 1
        self.done = self.filled == self.quantity

    def replace(self, terms, ts, bid, ask):
        quantity = terms.quantity or self.quantity
        if self.done or self.tif in IMMEDIATE or quantity <= self.filled:
            self.story.append((K.REJECT_REPLACE, self.seq))
            return
        self.quantity, self.limit = quantity, terms.limit_ticks or self.limit
        self.stop = (terms.stop_ticks or self.stop) if self.stop else 0
        self.story.append((K.REPLACE, self.seq))
        self.match(bid, ask)


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
        assert sum(f.quantity for f in mine) == entry.filled <= entry.order.quantity
        assert sum(f.quantity * f.price_ticks for f in mine) == entry.value
        if item.replaced_at is None:
            sign, limit = item.order.side.sign, item.order.limit_ticks
            assert all(sign * (limit - f.price_ticks) >= 0 for f in mine)


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
