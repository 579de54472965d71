"""``tickpath serve``."""

from core.settings import load_config
from serving.bind import require_safe
from serving.logs import set_up_logging


def run_serve(*, take_over: bool) -> None:
    """Serve in the foreground until Ctrl-C, or until another process takes over."""
    config = load_config()
    require_safe(config.serving)
    set_up_logging()
    from serving.server import run

    run(config, take_over=take_over)
