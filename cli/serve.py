"""``tickpath serve``."""

from core.settings import load_config
from serving.bind import require_safe
from serving.logs import set_up_logging


def run_serve() -> None:
    """Serve in the foreground until Ctrl-C."""
    config = load_config()
    require_safe(config.serving)
    set_up_logging()
    from serving.server import run

    run(config)
