"""What goes wrong between the venue and its clients, on purpose and from a seed.

`FaultPlan` says when which fault is at work; `FaultyWire` stands between a socket and its link and
carries it out on the bytes of both directions. Same seed, same plan: what a test finds can be
played again. The plan knows only time and bytes; what an order means is not its matter, except for
`CUT_AFTER_ACK`, which looks for an acceptance and hangs up before the execution that follows.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from random import Random
from typing import NamedTuple, cast

ACCEPTED = b"\x01150=0\x01"
_JUNK = b"8=FIX.4.4\x019=12\x0135=0\x01junk\x01"
_LONGEST_SECS = {
    "drop": 0.3, "delay": 2.0, "duplicate": 0.3, "half-open": 6.0, "trickle": 2.0,
    "garbage": 0.5, "cut": 0.05, "cut after ack": 2.0,
}  # fmt: skip


class Fault(StrEnum):
    """A way in which a connection misbehaves.

    ``DROP``, ``DUPLICATE`` and ``GARBAGE`` lose, repeat and spoil what was written in one go; TCP
    does none of that, gateways and proxies do. ``HALF_OPEN`` swallows both directions until its end
    and cuts then; ``TRICKLE`` hands over one byte at a time.
    """

    DROP = "drop"
    DELAY = "delay"
    DUPLICATE = "duplicate"
    HALF_OPEN = "half-open"
    TRICKLE = "trickle"
    GARBAGE = "garbage"
    CUT = "cut"
    CUT_AFTER_ACK = "cut after ack"


class Window(NamedTuple):
    """`fault` is at work from `start` to `end`, seconds since the plan began."""

    start: float
    end: float
    fault: Fault


def draw_windows(
    seed: int, per_min: float, secs: float, kinds: Sequence[Fault] = tuple(Fault)
) -> list[Window]:
    """Draw the windows of `secs` seconds: arrivals at random, lengths by the kind of fault."""
    rng = Random(f"faults/{seed}")  # noqa: S311 - to be repeated, not to be secret
    windows, at = [], 0.0
    while per_min > 0 and kinds:
        at += rng.expovariate(per_min / 60.0)
        if at >= secs:
            break
        fault = rng.choice(list(kinds))
        end = min(at + rng.uniform(0.02, _LONGEST_SECS[fault]), secs)
        windows.append(Window(at, end, fault))
    return windows


class FaultPlan:
    """Which faults are at work now.

    Parameters
    ----------
    windows : iterable of Window
    seed : int
        Of the draws within a fault: how long a delay, which byte.
    begin : float, optional
        Time of the event loop at which the plan begins; by default when it is first asked.

    Attributes
    ----------
    met : Counter of Fault
        How often each was carried out.
    """

    def __init__(self, windows: Iterable[Window], seed: int, begin: float | None = None) -> None:
        self._windows = sorted(windows)
        self._begin = begin
        self.rng = Random(f"bytes/{seed}")  # noqa: S311 - to be repeated, not to be secret
        self.met: Counter[Fault] = Counter()

    def at(self, now: float) -> frozenset[Fault]:
        """Faults that are at work at `now`, a time of the event loop."""
        if self._begin is None:
            self._begin = now
        since = now - self._begin
        return frozenset(w.fault for w in self._windows if w.start <= since < w.end)

    def end_of(self, fault: Fault, now: float) -> float:
        """Loop time at which the `fault` that is at work now ends."""
        begin = self._begin or 0.0
        ends = [w.end for w in self._windows if w.fault is fault and w.start <= now - begin < w.end]
        return begin + max(ends, default=now - begin)


class _Lane:
    """One direction: hands bytes on in order, each piece when it is due.

    Parameters
    ----------
    deliver : callable of bytes
    loop : AbstractEventLoop
    """

    def __init__(self, deliver: Callable[[bytes], None], loop: asyncio.AbstractEventLoop) -> None:
        self._deliver = deliver
        self._loop = loop
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()
        self._timer: asyncio.Handle | None = None

    def put(self, pieces: list[bytes], delay: float) -> None:
        """Queue pieces behind what waits."""
        if not self._waiting and delay <= 0 and len(pieces) == 1:
            self._deliver(pieces[0])
            return
        for piece in pieces:
            self.then(lambda piece=piece: self._deliver(piece), delay)  # type: ignore[misc]

    def then(self, act: Callable[[], None], delay: float = 0.0) -> None:
        """Queue an action behind what waits."""
        due = self._loop.time() + delay
        if self._waiting:
            due = max(due, self._waiting[-1][0])
        self._waiting.append((due, act))
        self._arm()

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._waiting and self._timer is None:
            wait = self._waiting[0][0] - self._loop.time()
            if wait > 0:
                self._timer = self._loop.call_later(max(wait, 0.001), self._run)
            else:
                self._timer = self._loop.call_soon(self._run)

    def _run(self) -> None:
        # One piece a turn, so that the reader sees each by itself.
        self._timer = None
        if self._waiting and self._waiting[0][0] <= self._loop.time():
            self._waiting.popleft()[1]()
        self._arm()


class FaultyWire(asyncio.Transport, asyncio.Protocol):
    """Between a socket and `inner`, the protocol that it would else belong to.

    To the socket it is the protocol, to `inner` the transport.
    """

    def __init__(self, inner: asyncio.Protocol, plan: FaultPlan) -> None:
        super().__init__()
        self._inner = inner
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._socket: asyncio.Transport | None = None
        self._in = _Lane(inner.data_received, self._loop)
        self._out = _Lane(self._write, self._loop)
        self._closing = False

    # --- the socket's protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stand in for the socket."""
        self._socket = cast(asyncio.Transport, transport)
        self._inner.connection_made(self)

    def data_received(self, data: bytes) -> None:
        """Pass on what the peer sent, after what happens to it."""
        self._pass(self._in, data)

    def eof_received(self) -> bool | None:
        """Close behind what waits."""
        self._in.then(self._end_of_input)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell `inner` once it has all that came before."""
        self._out.clear()
        self._socket = None
        self._in.then(lambda: self._inner.connection_lost(exc))

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()

    # --- the link's transport ---

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Pass on what we send, after what happens to it."""
        found = self._pass(self._out, bytes(data))
        if Fault.CUT_AFTER_ACK in found and ACCEPTED in data:
            self._plan.met[Fault.CUT_AFTER_ACK] += 1
            self._cut()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Pass on what we send in one go."""
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        """Close behind what is still under way."""
        self._closing = True
        self._out.then(self._close)

    def abort(self) -> None:
        """Hang up at once."""
        self._closing = True
        self._out.clear()
        if self._socket is not None:
            self._socket.abort()

    def is_closing(self) -> bool:
        """Say whether the end has begun."""
        return self._closing or self._socket is None

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Whatever the socket says."""
        return default if self._socket is None else self._socket.get_extra_info(name, default)

    # --- faults ---

    def _pass(self, lane: _Lane, data: bytes) -> frozenset[Fault]:
        now, plan = self._loop.time(), self._plan
        found = plan.at(now)
        if not found:
            lane.put([data], 0.0)
            return found
        plan.met.update(found - {Fault.CUT_AFTER_ACK})
        if Fault.CUT in found:
            lane.put([data[: plan.rng.randrange(len(data) + 1)]], 0.0)
            self._cut()
        elif Fault.HALF_OPEN in found:
            self._loop.call_later(max(plan.end_of(Fault.HALF_OPEN, now) - now, 0.001), self._cut)
        elif Fault.DROP not in found:
            delay = plan.rng.uniform(0.0, 1.0) if Fault.DELAY in found else 0.0
            lane.put(self._spoil(data, found), delay)
        return found

    def _spoil(self, data: bytes, found: frozenset[Fault]) -> list[bytes]:
        rng = self._plan.rng
        if Fault.GARBAGE in found and data:
            at = rng.randrange(len(data))
            data = data[:at] + bytes((data[at] ^ (1 << rng.randrange(8)),)) + data[at + 1 :]
            if rng.random() < 0.5:
                data = _JUNK[: rng.randrange(len(_JUNK))] + data
        pieces = [data, data] if Fault.DUPLICATE in found else [data]
        if Fault.TRICKLE in found:
            pieces = [piece[at : at + 1] for piece in pieces for at in range(len(piece))]
        return pieces

    def _cut(self) -> None:
        self._out.then(self.abort)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _end_of_input(self) -> None:
        if not self._inner.eof_received():
            self.close()

    def _write(self, data: bytes) -> None:
        if self._socket is not None and data:
            self._socket.write(data)
