from collections import Counter, deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.types import Quote, tick
from market.ring_buffer import QUOTE_DTYPE, RingBuffer


class NaiveBuffer:
    """The obvious twin: a deque of what is unread and a list of everything."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.unread: deque[Quote] = deque()
        self.all: list[Quote] = []
        self.lost: Counter[int] = Counter()
        self.overwritten = 0

    def push(self, quote: Quote) -> None:
        if len(self.unread) == self.capacity:
            self.lost[self.unread.popleft().instrument] += 1
            self.overwritten += 1
        self.unread.append(quote)
        self.all.append(quote)


class RingMachine(RuleBasedStateMachine):
    @initialize(capacity=st.integers(1, 7))
    def make(self, capacity: int) -> None:
        self.ring, self.naive = RingBuffer(capacity), NaiveBuffer(capacity)
        self.seq = 0

    @rule(instrument=st.integers(0, 3), count=st.integers(1, 9))
    def push(self, instrument: int, count: int) -> None:
        for _ in range(count):
            self.seq += 1
            quote = tick(instrument, self.seq, self.seq * 10, 1.1 + self.seq, 1.2 + self.seq)
            self.ring.push(quote)
            self.naive.push(quote)

    @rule()
    def pop(self) -> None:
        expected = self.naive.unread.popleft() if self.naive.unread else None
        assert self.ring.pop() == expected

    @rule()
    def take_lost(self) -> None:
        assert self.ring.take_lost() == dict(self.naive.lost)
        self.naive.lost.clear()

    @rule(count=st.integers(-1, 10))
    def latest(self, count: int) -> None:
        view = self.ring.latest(count)
        kept = min(max(count, 0), self.naive.capacity, len(self.naive.all))
        expected = self.naive.all[len(self.naive.all) - kept :]
        assert [Quote(*row) for row in view.tolist()] == expected

    @invariant()
    def same_size(self) -> None:
        if hasattr(self, "ring"):
            assert len(self.ring) == len(self.naive.unread)
            assert self.ring.overwritten == self.naive.overwritten


TestRing = RingMachine.TestCase
TestRing.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_fields_of_the_rows_are_those_of_the_quote() -> None:
    assert QUOTE_DTYPE.names == Quote.__struct_fields__


def test_a_view_is_one_piece_of_the_buffer_and_read_only() -> None:
    ring = RingBuffer(4)
    for seq in range(1, 7):
        ring.push(tick(0, seq, seq, 1.1, 1.2))
    view = ring.latest(4)
    assert view["seq"].tolist() == [3, 4, 5, 6]
    assert view.base is not None
    with pytest.raises(ValueError, match="read-only"):
        view["bid"] = 0.0
    ring.push(tick(0, 7, 7, 1.1, 1.2))
    assert ring.latest(1)["seq"].tolist() == [7]


def test_a_buffer_needs_room() -> None:
    with pytest.raises(ValueError, match="capacity"):
        RingBuffer(0)
