"""Tickets: what a browser, which sends no headers with a WebSocket, shows instead of a key."""

import secrets
from collections.abc import Callable

from serving.access.roles import Principal

LIFE_SECS = 30
_MOST = 10_000


class Tickets:
    """Tickets that open one connection each, within half a minute.

    Parameters
    ----------
    now_ns : callable
        Monotonic clock in ns.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._open: dict[str, tuple[Principal, int]] = {}

    def issue(self, principal: Principal) -> str:
        """Return a new ticket of `principal`; the oldest goes when there are too many."""
        while len(self._open) >= _MOST:
            del self._open[next(iter(self._open))]
        ticket = secrets.token_urlsafe(24)
        self._open[ticket] = principal, self._now_ns() + LIFE_SECS * 1_000_000_000
        return ticket

    def use(self, ticket: str) -> Principal | None:
        """Return whose ticket it is and void it; None when it is not in force."""
        principal, until_ns = self._open.pop(ticket, (None, 0))
        return principal if self._now_ns() < until_ns else None
