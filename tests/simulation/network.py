"""Connections between simulated processes: bytes in order, with a latency, and ends that differ."""

import asyncio
import contextvars
from collections.abc import Callable
from random import Random
from typing import Any

from tests.simulation.loop import CURRENT, Process, VirtualLoop, run_as


class Socket(asyncio.Transport):
    """One end of a connection; belongs to the process that made it."""

    def __init__(self, network: "Network", owner: Process) -> None:
        super().__init__()
        self._network = network
        self._owner = owner
        self._protocol: Any = None
        self.peer: Socket
        self._last_due = 0.0
        self._closing = self._over = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def get_protocol(self) -> Any:
        return self._protocol

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: Any) -> None:
        if not self._closing and data:
            self._to_peer(self.peer.arrive, bytes(data))

    def close(self) -> None:
        """End after what was written; the peer reads all of it, then the end."""
        if not self._closing:
            self._closing = True
            self._to_peer(self.peer.arrive_end)
            self._network.loop.call_soon(self.lose, None)

    def abort(self) -> None:
        """Reset: what is under way may be lost on the other side."""
        if not self._over:
            self._closing = True
            self._to_peer(self.peer.arrive_end)
            self._network.loop.call_soon(self.lose, None)

    def attach(self, protocol: Any) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def arrive(self, data: bytes) -> None:
        if not self._over and not self._closing and self._owner.alive:
            run_as(self._owner, self._protocol.data_received, data)

    def arrive_end(self) -> None:
        if not self._over and self._owner.alive:
            self._closing = True
            run_as(self._owner, self.lose, None)

    def lose(self, error: Exception | None) -> None:
        """Tell the protocol that it is over, once."""
        if not self._over:
            self._over = True
            if self._owner.alive:
                self._protocol.connection_lost(error)

    def die(self) -> None:
        """The process was killed: its kernel tells the other side."""
        if not self._over:
            self._over = self._closing = True
            self._to_peer(self.peer.arrive_end)

    def _to_peer(self, act: Callable[..., None], *args: Any) -> None:
        # In the context of nobody: what was written arrives though the writer has died since.
        due = max(self._last_due, self._network.loop.time() + self._network.latency())
        self._last_due = due
        self._network.outside(due, act, *args)


class Network:
    """Who listens where."""

    def __init__(self, loop: VirtualLoop, seed: int) -> None:
        self.loop = loop
        self._rng = Random(f"network/{seed}")
        self._listeners: dict[int, tuple[Callable[[], Any], Process]] = {}
        loop.network = self

    def latency(self) -> float:
        return 0.0001 + self._rng.expovariate(1.0 / 0.0003)

    def outside(self, due: float, act: Callable[..., None], *args: Any) -> None:
        self.loop.call_at(due, act, *args, context=contextvars.Context())

    def listen(self, factory: Callable[[], Any], port: int) -> "Server":
        self._listeners[port] = (factory, CURRENT.get())
        return Server(self, port)

    def forget(self, port: int) -> None:
        self._listeners.pop(port, None)

    async def connect(self, factory: Callable[[], Any], port: int) -> tuple[Socket, Any]:
        await asyncio.sleep(self.latency())
        found = self._listeners.get(port)
        if found is None or not found[1].alive:
            raise ConnectionRefusedError(f"nobody listens on {port}")
        make, owner = found
        ours, theirs = Socket(self, CURRENT.get()), Socket(self, owner)
        ours.peer, theirs.peer = theirs, ours
        for end, process in ((ours, CURRENT.get()), (theirs, owner)):
            process.on_kill(end.die)
        # The kernel has accepted before the caller says a word, though that be its last.
        run_as(owner, lambda: theirs.attach(make()))
        protocol = factory()
        ours.attach(protocol)
        return ours, protocol


class Server:
    """What `create_server` returns."""

    class _Named:
        def __init__(self, port: int) -> None:
            self._port = port

        def getsockname(self) -> tuple[str, int]:
            return "127.0.0.1", self._port

    def __init__(self, network: Network, port: int) -> None:
        self._network = network
        self._port = port
        self.sockets = [self._Named(port)]

    def close(self) -> None:
        self._network.forget(self._port)

    async def wait_closed(self) -> None:
        return None
