"""Runs the application under uvicorn on one uvloop event loop."""

import asyncio
import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns

import uvicorn
import uvloop

from core.config import Config, MemoryConfig
from core.instruments import DEFAULT_INSTRUMENTS
from monitoring.gc_schedule import GcSchedule
from serving.access.guard import Access
from serving.access.opening import open_guarding
from serving.app import create_app
from serving.bind import require_safe
from serving.homes import homes_of
from serving.ports import Platform
from serving.streaming.sources import sampler_of
from serving.streaming.wire import StreamWire
from serving.wiring import open_runtime

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


def make_server(platform: Platform, config: Config, access: Access | None = None) -> Server:
    """Build the HTTP server of a running platform."""
    serving = config.serving
    settings = uvicorn.Config(
        create_app(platform, access),
        host=require_safe(serving),
        port=serving.port,
        ssl_certfile=serving.certificate or None,
        ssl_keyfile=serving.private_key or None,
        loop="uvloop",
        http="httptools",
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


async def serve(config: Config) -> None:
    """Open the platform, serve until told to stop, close the platform."""
    require_safe(config.serving)
    async with (
        open_guarding(config, homes_of(config).audit) as access,
        open_runtime(config) as platform,
    ):
        server = make_server(platform, config, access)
        platform.tasks.run("stream", sampler_of(platform, DEFAULT_INSTRUMENTS).run())
        # The kill switch for who has no other door: `kill -USR1`.
        asyncio.get_running_loop().add_signal_handler(KILL_SIGNAL, platform.kill_now)
        calm_interpreter(platform.gc_schedule)
        logging.getLogger(__name__).info(
            "serving on %s:%d", config.serving.host, config.serving.port
        )
        await server.serve()


def calm_interpreter(schedule: GcSchedule | None = None) -> None:
    """Keep collections and other threads from holding up the loop.

    What start-up made is put out of the collector's sight; the threads of the ledger and of the
    registry give the interpreter back after half a millisecond instead of five.
    """
    (schedule or GcSchedule(MemoryConfig(), perf_counter_ns)).start()
    sys.setswitchinterval(SWITCH_SECS)


def run(config: Config) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises
    ------
    SettingsError
        When the host is not loopback.
    FatalError
        When the journal is locked by another process or does not verify.
    """
    uvloop.run(serve(config))
