"""Runs the application under uvicorn on one uvloop event loop."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import perf_counter_ns

import uvicorn
import uvloop
from starlette.types import ASGIApp

from core.config import Config, MemoryConfig, ServingConfig
from core.errors import SettingsError
from core.instruments import DEFAULT_INSTRUMENTS
from monitoring.gc_schedule import GcSchedule
from serving.access.opening import open_guarding
from serving.app import create_app
from serving.bind import require_safe
from serving.handover import Heir, ask, heir_wanted
from serving.homes import homes_of
from serving.streaming.sources import sampler_of
from serving.streaming.wire import StreamWire
from serving.waiting_room import WaitingRoom
from serving.wiring import open_runtime, prepare

KILL_SIGNAL = signal.SIGUSR1
SWITCH_SECS = 0.0005
PING_SECS, PONG_SECS = 1.5, 3.0
MOST_FRAME_BYTES = 65_536


class Server(uvicorn.Server):
    """uvicorn's server without its re-raise of signals, which would skip the platform's close."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM end `serve`."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def leave(self, drain_secs: float) -> None:
        """Take no more connections, end those that are there with their next answer, then stop."""
        for listener in self.servers:
            listener.close()
        # The first is of answers to come, the second of those after the next second's tick.
        for headers in (self.server_state.default_headers, self.config.encoded_headers):
            headers.append((b"connection", b"close"))
        asyncio.get_running_loop().call_later(drain_secs, self.stop)

    def stop(self) -> None:
        """Let `serve` return."""
        self.should_exit = True


def make_server(app: ASGIApp, serving: ServingConfig) -> Server:
    """Build the HTTP server of an application; it is given its sockets when it starts."""
    settings = uvicorn.Config(
        app,
        ssl_certfile=serving.certificate or None,
        ssl_keyfile=serving.private_key or None,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        ws=StreamWire,
        ws_max_size=MOST_FRAME_BYTES,
        # Who stops reading does not answer a ping either, and is cut within five seconds.
        ws_ping_interval=PING_SECS,
        ws_ping_timeout=PONG_SECS,
        ws_per_message_deflate=False,
        log_level="warning",
        timeout_graceful_shutdown=3,
    )
    return Server(settings)


async def serve(config: Config, *, take_over: bool = False) -> None:
    """Open the platform, serve until told to stop or to make way, close the platform.

    With `take_over` the process that serves the account is asked to make way first, if there is
    one: its callers wait here until the account is ours.
    """
    path = homes_of(config).handover
    room = WaitingRoom()
    server = make_server(room, config.serving)
    await asyncio.to_thread(prepare)
    predecessor = await ask(path) if take_over else None
    sockets = predecessor.sockets if predecessor else bound(config.serving)
    async with AsyncExitStack() as stack:
        answering = _Answering(server, sockets)
        stack.push_async_callback(answering.end)
        if predecessor is not None:
            answering.begin()
            await predecessor.gone()
        heir = await _serve(config, room, answering, path)
    heir.release()


async def _serve(config: Config, room: WaitingRoom, answering: "_Answering", path: Path) -> Heir:
    drain_secs = config.serving.drain_ms / 1e3
    async with (
        open_guarding(config, homes_of(config).audit) as access,
        open_runtime(config) as platform,
    ):
        platform.tasks.run("stream", sampler_of(platform, DEFAULT_INSTRUMENTS).run())
        # The kill switch for who has no other door: `kill -USR1`.
        asyncio.get_running_loop().add_signal_handler(KILL_SIGNAL, platform.kill_now)
        calm_interpreter(platform.gc_schedule)
        room.open(create_app(platform, access))
        if answering.began:
            await room.ready(lambda: platform.readiness().ready)
        else:
            await room.ready(lambda: True)
            answering.begin()
        host, port = answering.sockets[0].getsockname()[:2]
        logging.getLogger(__name__).info("serving on %s:%d", host, port)
        server = answering.server
        async with heir_wanted(path, answering.sockets, partial(server.leave, drain_secs)) as heir:
            await answering.wait()
    return heir


class _Answering:
    """The HTTP server at work."""

    def __init__(self, server: Server, sockets: list[socket.socket]) -> None:
        self.server = server
        self.sockets = sockets
        self._task: asyncio.Task[None] | None = None

    @property
    def began(self) -> bool:
        return self._task is not None

    def begin(self) -> None:
        self._task = asyncio.create_task(self.server.serve(sockets=self.sockets))

    async def wait(self) -> None:
        if self._task is not None:
            await self._task

    async def end(self) -> None:
        self.server.stop()
        await self.wait()
        for one in self.sockets:
            one.close()


def bound(serving: ServingConfig) -> list[socket.socket]:
    """Bind the sockets that serving is to listen on; nobody is let in before it does.

    Raises
    ------
    SettingsError
        When the address is not this machine's, or taken.
    """
    host, port = require_safe(serving), serving.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return [_bound(family, address) for family, _, _, _, address in found]
    except OSError as error:
        raise SettingsError(
            f"serving cannot listen on {host}:{port} ({error.strerror}); set serving.host and "
            "serving.port, or `tickpath serve --take-over` from the process that serves now"
        ) from None


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    found = socket.socket(family)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        found.bind(address)
    except OSError:
        found.close()
        raise
    return found


def calm_interpreter(schedule: GcSchedule | None = None) -> None:
    """Keep collections and other threads from holding up the loop.

    What start-up made is put out of the collector's sight; the threads of the ledger and of the
    registry give the interpreter back after half a millisecond instead of five.
    """
    (schedule or GcSchedule(MemoryConfig(), perf_counter_ns)).start()
    sys.setswitchinterval(SWITCH_SECS)


def run(config: Config, *, take_over: bool = False) -> None:
    """Serve until SIGINT or SIGTERM, or until another process takes over.

    Raises
    ------
    SettingsError
        When the host is not loopback, or the address is taken.
    Unavailable
        When who serves now does not make way.
    FatalError
        When the journal is locked by another process or does not verify.
    """
    uvloop.run(serve(config, take_over=take_over))
