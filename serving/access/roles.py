"""Roles, the scopes they carry, and the scope that each route asks for.

The table `RULES` is the whole of it: a route that is not in it is refused, so that a new one cannot
be open by mistake.
"""

from contextvars import ContextVar
from enum import StrEnum
from typing import NamedTuple

import msgspec

ANY_ACCOUNT = "*"


class Scope(StrEnum):
    """What a call may do."""

    PUBLIC = "public"
    READ = "read"
    DECIDE = "decide"
    TRADE = "trade"
    RISK = "risk"
    MODELS = "models"


class Role(StrEnum):
    """What a person or program is to the desk."""

    VIEWER = "viewer"
    TRADER = "trader"
    RISK = "risk"
    ADMIN = "admin"


SCOPES_OF: dict[Role, frozenset[Scope]] = {
    Role.VIEWER: frozenset({Scope.READ}),
    Role.TRADER: frozenset({Scope.READ, Scope.DECIDE, Scope.TRADE}),
    Role.RISK: frozenset({Scope.READ, Scope.DECIDE, Scope.RISK}),
    # Who changes models and keys does not trade, and does not lift a halt.
    Role.ADMIN: frozenset({Scope.READ, Scope.DECIDE, Scope.MODELS}),
}


class Principal(msgspec.Struct, frozen=True):
    """Who calls: the name in the audit, the scopes, and the accounts that are theirs."""

    name: str
    scopes: frozenset[Scope]
    accounts: frozenset[str]

    def owns(self, account: str) -> bool:
        """Tell whether `account` is among those of the principal."""
        return account in self.accounts or ANY_ACCOUNT in self.accounts


# Everybody on this machine, while no keys are set up: the address is loopback then.
LOCAL = Principal("local", frozenset(Scope), frozenset({ANY_ACCOUNT}))


class Rule(NamedTuple):
    """What a route asks for.

    `account` restricts it to those who own the account that this process trades; `changes` has the
    call written to the audit; `always` takes it out of the rates: what lowers risk is never late.
    `new` counts it against what the process takes of all callers together.
    """

    scope: Scope
    account: bool = False
    changes: bool = False
    always: bool = False
    new: bool = False


_OPEN = Rule(Scope.PUBLIC)
_READ = Rule(Scope.READ)
_OWN = Rule(Scope.READ, account=True)
_TRADE = Rule(Scope.TRADE, account=True, changes=True, new=True)
_LESS = Rule(Scope.TRADE, account=True, changes=True, always=True)
_RISK = Rule(Scope.RISK, account=True, changes=True, always=True)
_MODELS = Rule(Scope.MODELS, changes=True)

RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/healthz"): _OPEN,
    ("GET", "/readyz"): _OPEN,
    ("GET", "/openapi.json"): _OPEN,
    ("GET", "/docs"): _OPEN,
    ("GET", "/docs/oauth2-redirect"): _OPEN,
    ("GET", "/redoc"): _OPEN,
    ("GET", "/metrics"): _READ,
    ("POST", "/v1/decisions"): Rule(Scope.DECIDE),
    ("POST", "/v1/features"): Rule(Scope.DECIDE),
    ("GET", "/v1/features/holds"): _READ,
    ("POST", "/v1/features/rearm"): _RISK,
    ("GET", "/v1/models"): _READ,
    ("POST", "/v1/models/{symbol}/rollback"): _MODELS,
    ("GET", "/v2"): _OPEN,
    ("GET", "/v2/health/live"): _OPEN,
    ("GET", "/v2/health/ready"): _OPEN,
    ("GET", "/v2/models/stats"): _READ,
    **{
        ("GET", f"/v2/models/{{name}}{version}{tail}"): _READ
        for version in ("", "/versions/{version}")
        for tail in ("", "/ready", "/config", "/stats")
    },
    ("POST", "/v2/models/{name}/infer"): Rule(Scope.DECIDE),
    ("POST", "/v2/models/{name}/versions/{version}/infer"): Rule(Scope.DECIDE),
    ("POST", "/v2/repository/index"): _READ,
    ("POST", "/v2/repository/models/{name}/load"): _MODELS,
    ("POST", "/v2/repository/models/{name}/unload"): _MODELS,
    ("GET", "/v1/positions"): _OWN,
    ("GET", "/v1/risk"): _OWN,
    ("GET", "/v1/scenarios"): _OWN,
    ("GET", "/v1/trading-state"): _READ,
    ("POST", "/v1/trading-state"): _RISK,
    ("POST", "/v1/kill"): _RISK,
    ("GET", "/v1/orders"): _OWN,
    ("POST", "/v1/orders"): _TRADE,
    ("GET", "/v1/orders/{client_order_id}"): _OWN,
    ("PATCH", "/v1/orders/{client_order_id}"): _TRADE,
    ("DELETE", "/v1/orders/{client_order_id}"): _LESS,
    ("POST", "/v1/stream/tickets"): _OWN,
    ("WEBSOCKET", "/v1/stream"): _OWN,
}

CALLER: ContextVar[Principal] = ContextVar("caller", default=LOCAL)


def caller() -> str:
    """Name of who makes the call that is answered now."""
    return CALLER.get().name
