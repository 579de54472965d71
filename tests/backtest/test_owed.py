"""What a recorded session must have heard of, and what may have been under way."""

import pytest

from backtest.owed import Watch
from core.types import tick

SEC = 1_000_000_000
ORDER = "order"


def watch(*, ready: bool = True) -> Watch:
    """A session with a quote a second: position n at second n."""
    made = Watch(grace_ns=SEC)
    made.session(ready=ready)
    for seq in range(1, 11):
        made.now_ns = seq * SEC
        made.quote(tick(0, seq, made.now_ns, 1.1, 1.1001))
    return made


@pytest.mark.parametrize(("seq", "owed"), [(1, True), (8, True), (9, False), (10, False)])
def test_what_was_made_in_the_last_second_may_be_under_way(seq: int, owed: bool) -> None:
    assert watch().owed(ORDER, 0, seq) is owed


def test_a_later_position_than_the_last_quote_may_be_under_way() -> None:
    assert not watch().owed(ORDER, 0, 11)
    assert not watch().owed(ORDER, 1, 1)


def test_time_goes_on_after_the_last_quote() -> None:
    found = watch()
    found.now_ns += SEC + 1
    assert found.owed(ORDER, 0, 10)


def test_an_order_that_just_left_is_under_way_whatever_the_position() -> None:
    found = watch()
    found.sent(ORDER)
    assert not found.owed(ORDER, 0, 2)
    assert found.owed("another", 0, 2)


def test_reports_come_in_order_so_an_earlier_one_is_owed_at_once() -> None:
    found = watch()
    found.sent(ORDER)
    found.heard("another", 0, 10)
    assert found.owed(ORDER, 0, 9)
    assert not found.owed(ORDER, 0, 10)


def test_nothing_is_owed_while_the_session_is_down() -> None:
    found = watch(ready=False)
    assert not found.owed(ORDER, 0, 1)
    found.session(ready=True)
    found.now_ns += SEC
    assert not found.owed(ORDER, 0, 1)
    found.now_ns += 1
    assert found.owed(ORDER, 0, 1)


def test_an_outage_does_not_forgive_what_came_before_it() -> None:
    found = watch()
    found.session(ready=False)
    found.now_ns += 100 * SEC
    assert found.owed(ORDER, 0, 8)
    assert not found.owed(ORDER, 0, 9)
