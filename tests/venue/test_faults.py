"""Faults between a socket and its link: each kind by itself, and the same from the same seed."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from core.config import VenueConfig
from core.errors import BadInput
from tests.simulation.loop import VirtualLoop
from venue.faults import ACCEPTED, Fault, FaultPlan, FaultyWire, Window, draw_windows
from venue.latency import delay_of, read_latencies


class Socket(asyncio.Transport):
    """Keeps what is written, and knows how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.ended = ""

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = self.ended or "aborted"


class Inner(asyncio.Protocol):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.lost = 0

    def data_received(self, data: bytes) -> None:
        self.read.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost += 1


Work = Callable[[FaultyWire, Socket, Inner], Coroutine[Any, Any, None]]


def with_wire(work: Work, *faults: Fault, secs: float = 5.0) -> FaultPlan:
    """Run on virtual time, with the faults at work for `secs`."""
    loop = VirtualLoop(0)
    plan = FaultPlan([Window(0.0, secs, fault) for fault in faults], 1, begin=0.0)

    async def run() -> None:
        socket, inner = Socket(), Inner()
        wire = FaultyWire(inner, plan)
        wire.connection_made(socket)
        await work(wire, socket, inner)

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()
    assert not loop.errors
    return plan


def test_without_a_fault_bytes_pass_at_once_both_ways() -> None:
    async def work(wire: FaultyWire, socket: Socket, inner: Inner) -> None:
        wire.write(b"out")
        wire.data_received(b"in")
        assert (socket.written, inner.read) == ([b"out"], [b"in"])

    assert not with_wire(work).met


def test_drop_loses_what_was_written_and_nothing_else() -> None:
    async def work(wire: FaultyWire, socket: Socket, inner: Inner) -> None:
        wire.write(b"one")
        wire.data_received(b"two")
        await asyncio.sleep(6)
        wire.write(b"three")
        assert (socket.written, inner.read, socket.ended) == ([b"three"], [], "")

    assert with_wire(work, Fault.DROP).met[Fault.DROP] == 2


def test_delay_keeps_the_order() -> None:
    async def work(wire: FaultyWire, socket: Socket, inner: Inner) -> None:
        for number in range(20):
            wire.write(b"%d" % number)
        assert not socket.written
        await asyncio.sleep(6)
        assert socket.written == [b"%d" % number for number in range(20)]

    with_wire(work, Fault.DELAY)


def test_what_follows_a_delay_does_not_overtake() -> None:
    async def work(wire: FaultyWire, socket: Socket, inner: Inner) -> None:
        wire.write(b"late")
        await asyncio.sleep(0.011)
        wire.write(b"after")  # the fault is over
        assert not socket.written
        await asyncio.sleep(2)
        assert socket.written == [b"late", b"after"]

    with_wire(work, Fault.DELAY, secs=0.01)


def test_duplicate_and_trickle() -> None:
    async def work(wire: FaultyWire, socket: Socket, inner: Inner) -> None:
        wire.data_received(b"abc")
        await asyncio.sleep(1)
        assert inner.read == [b"a", b"b", b"c", b"a", b"b", b"c"]

    with_wire(work, Fault.DUPLICATE, Fault.TRICKLE)


def test_garbage_spoils_the_bytes() -> None:
    async def work(wire: FaultyWire, socket: Socket, inner: Inner) -> None:
        for _ in range(10):
            wire.write(b"8=FIX.4.4\x01")
        assert all(data != b"8=FIX.4.4\x01" for data in socket.written)

    with_wire(work, Fault.GARBAGE)


def test_half_open_swallows_both_ways_and_cuts_in_the_end() -> None:
    async def work(wire: FaultyWire, socket: Socket, inner: Inner) -> None:
        wire.write(b"x")
        wire.data_received(b"y")
        await asyncio.sleep(4)
        assert (socket.written, inner.read, socket.ended) == ([], [], "")
        await asyncio.sleep(2)
        assert socket.ended == "aborted"

    with_wire(work, Fault.HALF_OPEN)


def test_cut_after_ack_lets_the_acceptance_through_and_not_the_execution() -> None:
    async def work(wire: FaultyWire, socket: Socket, inner: Inner) -> None:
        wire.write(b"heartbeat")
        wire.write(b"35=8" + ACCEPTED)
        wire.write(b"35=8\x01150=F\x01")
        await asyncio.sleep(1)
        assert socket.written[:2] == [b"heartbeat", b"35=8" + ACCEPTED]
        assert socket.ended == "aborted"

    assert with_wire(work, Fault.CUT_AFTER_ACK).met == {Fault.CUT_AFTER_ACK: 1}


def test_the_end_is_told_after_all_that_came_before_it() -> None:
    async def work(wire: FaultyWire, socket: Socket, inner: Inner) -> None:
        wire.data_received(b"last words")
        wire.connection_lost(None)
        assert inner.lost == 0
        await asyncio.sleep(6)
        assert (inner.read, inner.lost) == ([b"last words"], 1)
        assert wire.is_closing()

    with_wire(work, Fault.DELAY)


def test_a_seed_gives_the_same_plan_again() -> None:
    windows = draw_windows(7, 30.0, 600.0)
    assert windows == draw_windows(7, 30.0, 600.0) != draw_windows(8, 30.0, 600.0)
    assert {window.fault for window in windows} == set(Fault)
    assert all(0 <= w.start < w.end <= 600.0 for w in windows)
    assert draw_windows(7, 0.0, 600.0) == []


def test_latencies_come_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "latencies"
    path.write_text("# measured\n0.5\n\n2  # slow\n")
    assert read_latencies(path) == [0.0005, 0.002]
    config = VenueConfig(latency_file=str(path), seed=3)
    draws = [delay() for delay in [delay_of(config)] * 100]
    assert set(draws) == {0.0005, 0.002}
    again = delay_of(config)
    assert draws == [again() for _ in range(100)]
    assert delay_of(VenueConfig(latency_ms=3.0))() == 0.003


@pytest.mark.parametrize("text", ["", "# nothing\n", "fast\n", "-1\n", "nan\n", "inf\n"])
def test_a_file_without_latencies_is_refused_by_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "latencies"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"latency file"):
        read_latencies(path)
    with pytest.raises(BadInput, match=r"latency file"):
        read_latencies(tmp_path / "absent")
