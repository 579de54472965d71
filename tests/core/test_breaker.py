"""A breaker opens after failures in a row, probes once, and closes by itself."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.breaker import Breaker, BreakerState
from core.clock import ManualClock

OPEN_NS = 1_000


class Desk:
    def __init__(self, failures: int = 3) -> None:
        self.clock = ManualClock(5)
        self.heard: list[BreakerState] = []
        self.breaker = Breaker(failures, OPEN_NS, self.clock, self.heard.append)

    def open(self) -> None:
        while self.breaker.is_closed:
            self.breaker.fail(self.breaker.admit())


def test_only_failures_in_a_row_open_it() -> None:
    desk = Desk()
    for _ in range(20):
        desk.breaker.fail(desk.breaker.admit())
        desk.breaker.fail(desk.breaker.admit())
        desk.breaker.succeed(desk.breaker.admit())
    assert desk.breaker.is_closed
    desk.open()
    assert desk.breaker.state is BreakerState.OPEN
    assert desk.heard == [BreakerState.OPEN]


def test_open_it_turns_all_away_until_it_has_cooled_down() -> None:
    desk = Desk()
    desk.open()
    desk.clock.advance(OPEN_NS - 1)
    assert [desk.breaker.admit() for _ in range(5)] == [0] * 5
    assert desk.breaker.refused == 5
    desk.clock.advance(1)
    probe = desk.breaker.admit()
    assert probe
    assert desk.breaker.state is BreakerState.HALF_OPEN
    assert desk.breaker.admit() == 0


def test_the_probe_decides() -> None:
    desk = Desk()
    desk.open()
    desk.clock.advance(OPEN_NS)
    desk.breaker.fail(desk.breaker.admit())
    assert desk.breaker.state is BreakerState.OPEN
    assert desk.breaker.admit() == 0
    desk.clock.advance(OPEN_NS)
    desk.breaker.succeed(desk.breaker.admit())
    assert desk.breaker.is_closed
    states = [state.name for state in desk.heard]
    assert states == ["OPEN", "HALF_OPEN", "OPEN", "HALF_OPEN", "CLOSED"]
    assert (desk.breaker.opened, desk.breaker.closed, desk.breaker.probes) == (1, 1, 2)
    desk.breaker.fail(desk.breaker.admit())
    assert desk.breaker.is_closed, "failures are counted afresh"


def test_a_call_from_before_the_opening_says_nothing() -> None:
    desk = Desk()
    old = desk.breaker.admit()
    desk.open()
    desk.breaker.succeed(old)
    assert desk.breaker.state is BreakerState.OPEN
    desk.clock.advance(OPEN_NS)
    probe = desk.breaker.admit()
    desk.breaker.succeed(old)
    desk.breaker.fail(old)
    assert desk.breaker.state is BreakerState.HALF_OPEN
    desk.breaker.succeed(probe)
    desk.breaker.fail(old)
    assert desk.breaker.is_closed


def test_a_lost_probe_is_given_up() -> None:
    desk = Desk()
    desk.open()
    desk.clock.advance(OPEN_NS)
    lost = desk.breaker.admit()
    desk.clock.advance(OPEN_NS - 1)
    assert desk.breaker.admit() == 0
    desk.clock.advance(1)
    second = desk.breaker.admit()
    assert second not in {0, lost}
    desk.breaker.fail(lost)
    assert desk.breaker.state is BreakerState.HALF_OPEN
    desk.breaker.succeed(second)
    assert desk.breaker.is_closed


def test_of_fifty_threads_exactly_one_probes() -> None:
    for _ in range(20):
        desk = Desk(failures=1)
        desk.open()
        desk.clock.advance(OPEN_NS)
        start = threading.Barrier(50)

        def ask(desk: Desk = desk, start: threading.Barrier = start) -> int:
            start.wait()
            return desk.breaker.admit()

        with ThreadPoolExecutor(50) as pool:
            tickets = [done.result() for done in [pool.submit(ask) for _ in range(50)]]
        assert sum(ticket > 0 for ticket in tickets) == 1
        assert (desk.breaker.probes, desk.breaker.refused) == (1, 49)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="from 1"):
        Breaker(0, 1, ManualClock())


@given(st.lists(st.tuples(st.sampled_from("acsf"), st.integers(0, 30)), max_size=60))
@settings(max_examples=200, deadline=None)
def test_at_most_one_probe_is_out_whatever_happens(steps: list[tuple[str, int]]) -> None:
    clock = ManualClock(1)
    breaker = Breaker(2, 10, clock)
    tickets: list[int] = []
    out, out_since = 0, 0
    for step, number in steps:
        if step == "a":
            clock.advance(number)
        elif step == "c":
            closed = breaker.is_closed
            ticket = breaker.admit()
            if ticket and not closed:
                assert not out or clock.now_ns() - out_since >= 10
                out, out_since = ticket, clock.now_ns()
            tickets += [ticket] * bool(ticket)
        elif tickets:
            ticket = tickets[number % len(tickets)]
            (breaker.succeed if step == "s" else breaker.fail)(ticket)
            out = 0 if ticket == out else out
    clock.advance(10)
    probe = breaker.admit()
    assert probe, "it always lets somebody through again"
    breaker.succeed(probe)
    assert breaker.is_closed
