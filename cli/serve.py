"""``tickpath serve``."""

import logging

from core.settings import load_config
from serving.bind import require_loopback


def run_serve() -> None:
    """Serve in the foreground until Ctrl-C."""
    config = load_config()
    require_loopback(config.serving.host)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    from serving.server import run

    run(config)
