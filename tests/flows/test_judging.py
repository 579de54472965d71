"""How long a version takes is its own figure, not that of a busy machine."""

import math

import numpy as np
import pytest

from flows import judging
from flows.judging import predict_p99_us

MS = 1_000_000


class Machine:
    """A clock, a scheduler that takes the processor away now and then, and a model on it."""

    def __init__(self, call_ns: int, *, waits: int = 0, preempted: int = 0) -> None:
        self.now = self.switches = self.calls = 0
        self.call_ns, self.waits, self.preempted = call_ns, waits, preempted
        self.canary_rows = np.zeros((64, 3), np.float32)

    def perf_counter_ns(self) -> int:
        return self.now

    def warm(self) -> None:
        self.now += 500 * MS

    def predict_row(self, _row: np.ndarray) -> float:
        self.calls += 1
        self.now += self.call_ns
        if self.preempted and self.calls % self.preempted == 0:
            self.switches += 1
            self.now += 8 * MS
        if self.waits and self.calls % self.waits == 0:
            self.now += 8 * MS
        return 0.5


def measured(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(judging.time, "perf_counter_ns", machine.perf_counter_ns)
    monkeypatch.setattr(judging, "_preempted", lambda: machine.switches)
    return predict_p99_us(machine)  # type: ignore[arg-type]


def test_a_busy_machine_does_not_make_a_version_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(Machine(50_000, preempted=20), monkeypatch) == 50.0


def test_a_version_that_is_slow_by_itself_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(Machine(50_000, waits=50), monkeypatch) > 5_000.0
    assert measured(Machine(6 * MS), monkeypatch) == 6_000.0


def test_where_hardly_a_call_is_left_alone_nothing_was_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert math.isnan(measured(Machine(50_000, preempted=1), monkeypatch))


def test_the_kernel_tells_when_it_took_the_processor() -> None:
    before = judging._preempted()
    assert isinstance(before, int)
    assert judging._preempted() >= before >= 0
