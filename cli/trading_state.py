"""``tickpath enable | halt | kill | features rearm``."""

from typing import Any

from cli.api import Api
from cli.console import make_console
from core.settings import load_config


def change(state: str, reason: str, scope: str = "global") -> None:
    """Ask the running service for `state` and print what it answers."""
    body = {"state": state, "reason": reason, "scope": scope}
    _tell(Api(load_config().serving).post("/v1/trading-state", body), scope)


def kill(reason: str, scope: str = "global") -> None:
    """Have the running service halt a scope and cancel its orders; print what it answers."""
    _tell(Api(load_config().serving).post("/v1/kill", {"reason": reason, "scope": scope}), scope)


def rearm(symbol: str) -> None:
    """Ask the running service to trust a symbol's features again; print what is still held."""
    held = Api(load_config().serving).post("/v1/features/rearm", {"symbol": symbol})
    names = ", ".join(f"{one['symbol']} ({one['reason']})" for one in held)
    make_console().print(f"{symbol} is re-armed; held: {names or 'none'}")


def _tell(answer: dict[str, Any], scope: str) -> None:
    state = answer["scopes"][scope]["state"] if scope in answer["scopes"] else answer["state"]
    make_console().print(f"trading is {state}" + ("" if scope == "global" else f" in {scope}"))
