"""``tickpath enable | halt | features rearm``."""

from cli.api import Api
from cli.console import make_console
from core.settings import load_config


def change(state: str, reason: str) -> None:
    """Ask the running service for `state` and print what it answers."""
    answer = Api(load_config().serving).post(
        "/v1/trading-state", {"state": state, "reason": reason}
    )
    make_console().print(f"trading is {answer['state']}")


def rearm(symbol: str) -> None:
    """Ask the running service to trust a symbol's features again; print what is still held."""
    held = Api(load_config().serving).post("/v1/features/rearm", {"symbol": symbol})
    names = ", ".join(f"{one['symbol']} ({one['reason']})" for one in held)
    make_console().print(f"{symbol} is re-armed; held: {names or 'none'}")
