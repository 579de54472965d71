"""``tickpath enable | halt``."""

from cli.api import Api
from cli.console import make_console
from core.settings import load_config


def change(state: str, reason: str) -> None:
    """Ask the running service for `state` and print what it answers."""
    answer = Api(load_config().serving).post(
        "/v1/trading-state", {"state": state, "reason": reason}
    )
    make_console().print(f"trading is {answer['state']}")
