"""Our own two servers as supervised services."""

import sys

from cli.doctor import answers as accepts
from cli.services import answers
from cli.supervisor import Service
from core.config import Config
from flows.environment import environment


def serving(config: Config) -> Service:
    """Describe the HTTP API with the trading engine behind it."""
    host, port = config.serving.host, config.serving.port
    return Service(
        name="serving",
        argv=(sys.executable, "-m", "cli.main", "serve"),
        env={**environment(config), "OMP_NUM_THREADS": "1"},
        ready=lambda: answers(f"{config.serving.url}/healthz"),
        address=(host, port),
    )


def venue(config: Config, symbols: tuple[str, ...], quotes: int = 0) -> Service:
    """Describe the simulated venue on the held-out tape of `symbols`, at most `quotes` long."""
    host, port = config.fix.host, config.fix.port
    chosen = [word for symbol in symbols for word in ("--symbol", symbol)]
    return Service(
        name="venue",
        argv=(sys.executable, "-m", "cli.main", "venue", "--quotes", str(quotes), *chosen),
        env=environment(config),
        ready=lambda: accepts(host, port),
        address=(host, port),
    )
