import pytest

from core.types import tick
from market.ring_buffer import RingBuffer


def test_quotes_come_out_in_order_and_the_oldest_are_lost_first() -> None:
    ring = RingBuffer(3)
    quotes = [tick(seq % 2, seq, seq * 10, 1.1, 1.2) for seq in range(1, 6)]
    for quote in quotes:
        ring.push(quote)
    assert (len(ring), ring.overwritten) == (3, 2)
    assert [ring.pop() for _ in range(4)] == [*quotes[2:], None]
    ring.push(quotes[0])
    assert ring.pop() is quotes[0]
    assert ring.overwritten == 2


def test_a_buffer_needs_room() -> None:
    with pytest.raises(ValueError, match="capacity"):
        RingBuffer(0)
