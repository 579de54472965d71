import numpy as np
import pytest

from core.columns import from_quotes
from core.types import Quote
from market.quote_ring import RECORD, QuoteRing


def quotes(n: int) -> list[Quote]:
    return [
        Quote(2, k + 1, 10 * k, 10 * k + 1, 1.1 + k, 1.2 + k, 0.5 * k, 60, 1.15, 1.3, 1.0)
        for k in range(n)
    ]


def ring(capacity: int) -> QuoteRing:
    return QuoteRing(np.zeros(capacity, RECORD))


def test_views_are_wrap_safe_and_share_the_memory() -> None:
    records = np.zeros(4, RECORD)
    made = QuoteRing(records)
    for quote in quotes(6):
        made.push(quote)
    assert (made.oldest, made.count, made.capacity) == (2, 6, 4)
    one = made.views(2, 4)
    two = made.views(3, 6)
    assert (len(one), len(two)) == (1, 2)
    assert all(np.shares_memory(part, records) for part in (*one, *two))
    assert np.concatenate([part["seq"] for part in two]).tolist() == [4, 5, 6]
    assert one[0]["ts_recv"].tolist() == [21, 31]


def test_what_is_taken_is_what_was_written() -> None:
    made, given = ring(4), quotes(6)
    for quote in given:
        made.push(quote)
    taken, expected = made.take(3, 6), from_quotes(given[3:6])
    assert taken is not None
    for name in expected.__slots__:
        assert getattr(taken, name).tolist() == getattr(expected, name).tolist()
        assert getattr(taken, name).flags.c_contiguous


def test_what_is_overwritten_or_not_there_yet_is_not_given() -> None:
    made = ring(4)
    for quote in quotes(6):
        made.push(quote)
    for first, end in ((1, 3), (4, 7), (5, 4)):
        with pytest.raises(IndexError, match="2 to 6"):
            made.views(first, end)
        assert made.take(first, end) is None
    assert made.take(6, 6) is not None


def test_a_writer_that_comes_round_while_it_is_read_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, given = ring(4), quotes(12)
    for quote in given[:4]:
        made.push(quote)
    views = made.views

    def overtaken(first: int, end: int) -> tuple[np.ndarray, ...]:
        found = views(first, end)
        made.push(given[4])
        return found

    monkeypatch.setattr(QuoteRing, "views", lambda _, first, end: overtaken(first, end))
    assert made.take(0, 4) is None


def test_other_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="of its own kind"):
        QuoteRing(np.zeros(4))
    with pytest.raises(ValueError, match="at least one"):
        ring(0)
