"""The door in front of every route: who calls, may they, not too often, and what it cost.

A plain ASGI layer, because the hot routes are plain too. It finds the rule of a route by path (one
look-up for a path without parameters), and refuses what no rule names.
"""

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import AppError
from serving.access.audit import Call
from serving.access.keys import KeyRefused, KeyRing
from serving.access.rates import Rates
from serving.access.roles import CALLER, LOCAL, RULES, Principal, Rule
from serving.access.roles import Scope as AccessScope
from serving.access.tickets import Tickets
from serving.errors import failure

_LOOPBACK = ("http://127.0.0.1", "http://localhost", "http://[::1]")
# Paths that came lately and the rule of each; paths come from outside, so they are bounded.
MOST_PATHS = 1_024
_HELLO_CLOSE = 1008  # policy violation, RFC 6455


class Access(NamedTuple):
    """What the guard works with; `ring` is None while no keys are set up.

    `rates` bound each caller, `orders` the new orders of all of them together.
    """

    account: str
    ring: Callable[[], KeyRing | None]
    rates: Rates
    tickets: Tickets
    write: Callable[[Call], None]
    orders: Rates
    origins: frozenset[str] = frozenset()
    now_ns: Callable[[], int] = time.time_ns


def open_access(account: str) -> Access:
    """Everybody may do everything: for tests, and for loopback without keys."""
    clock = time.monotonic_ns
    free = Rates(0, 1, clock)
    return Access(account, lambda: None, free, Tickets(clock), lambda _call: None, free)


class Forbidden(AppError):
    """A call that its caller may not make (HTTP 403)."""


class Rules:
    """Finds the rule of a method and path."""

    def __init__(self) -> None:
        self._plain = {key: rule for key, rule in RULES.items() if "{" not in key[1]}
        self._shaped = [
            (method, compile_path(path)[0], rule)
            for (method, path), rule in RULES.items()
            if "{" in path
        ]
        self.find = lru_cache(MOST_PATHS)(self._find)
        """Returns the rule of a method and path, or None when the table has none."""

    def _find(self, method: str, path: str) -> Rule | None:
        method = "GET" if method == "HEAD" else method
        found = self._plain.get((method, path))
        if found is not None:
            return found
        matches = (
            rule for verb, shape, rule in self._shaped if verb == method and shape.match(path)
        )
        return next(matches, None)


class Guard:
    """ASGI layer in front of the application.

    Parameters
    ----------
    app : ASGIApp
    access : Access
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._rules = Rules()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request, or one WebSocket."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send)
        method, path = scope["method"], scope["path"]
        rule = self._rules.find(method, path)
        who = LOCAL
        try:
            who = self._identify(scope, rule)
            refusal = None if rule is None or rule.always else self._full(rule, who, path)
            if refusal is not None:
                await refusal(scope, receive, answer.send)
            else:
                CALLER.set(who)
                await self._app(scope, receive, answer.send)
        except KeyRefused as error:
            refusal = failure(path, 401, str(error))
            refusal.headers["WWW-Authenticate"] = "Bearer"
            await refusal(scope, receive, answer.send)
        except Forbidden as error:
            await failure(path, 403, str(error))(scope, receive, answer.send)
        finally:
            if rule is not None and rule.changes:
                call = Call(self._access.now_ns(), who.name, method, path, answer.status)
                self._access.write(call)

    def _full(self, rule: Rule, who: Principal, path: str) -> Response | None:
        """Refuse before anything is read, so that a flood costs next to nothing; None to go on."""
        status, why = 429, f"{who.name} calls too often"
        wait = self._access.rates.take(who.name)
        if not wait and rule.new:
            status, why = 503, "more orders come than are taken"
            wait = self._access.orders.take("")
        if not wait:
            return None
        refusal = failure(path, status, f"{why}; try again in {wait:.3f} s")
        refusal.headers["Retry-After"] = str(int(wait) + 1)
        return refusal

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        rule = self._rules.find("WEBSOCKET", scope["path"])
        try:
            _check_origin(scope, self._access.origins)
            scope.setdefault("state", {})["admit"] = lambda key: self._admit(rule, key)
        except Forbidden:
            await receive()
            await send({"type": "websocket.close", "code": _HELLO_CLOSE, "reason": "origin"})
            return
        await self._app(scope, receive, send)

    def _admit(self, rule: Rule | None, shown: str) -> Principal:
        """Identify who opened a WebSocket by the key or ticket that was shown."""
        ring = self._access.ring()
        if ring is None:
            return LOCAL
        who = self._access.tickets.use(shown) or ring.find(shown, self._access.now_ns())
        self._allow(who, rule, "/v1/stream")
        return who

    def _identify(self, scope: Scope, rule: Rule | None) -> Principal:
        _check_origin(scope, self._access.origins)
        ring = self._access.ring()
        if ring is None or (rule is not None and rule.scope is AccessScope.PUBLIC):
            return LOCAL
        who = ring.find(bearer_of(scope), self._access.now_ns())
        if rule is not None:  # the application says what is wrong with a path that is unknown
            self._allow(who, rule, scope["path"])
        return who

    def _allow(self, who: Principal, rule: Rule | None, path: str) -> None:
        if rule is None or rule.scope not in who.scopes:
            raise Forbidden(f"{who.name} may not do that: {path} needs another scope")
        if rule.account and not who.owns(self._access.account):
            raise Forbidden(f"{who.name} has no part in account {self._access.account}")


def header_of(scope: Scope, name: bytes) -> str:
    """Return a header's text, empty when it is absent."""
    found: bytes = next((value for key, value in scope["headers"] if key == name), b"")
    return found.decode("latin-1")


def bearer_of(scope: Scope) -> str:
    """Return the key that a request shows, empty without one."""
    kind, _, key = header_of(scope, b"authorization").partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""


def _check_origin(scope: Scope, allowed: frozenset[str]) -> None:
    """Refuse pages of elsewhere: a browser names the page that calls, a program does not."""
    origin = header_of(scope, b"origin")
    if not origin or origin in allowed:
        return
    if origin.rpartition(":")[0] in _LOOPBACK or origin in _LOOPBACK:
        return
    raise Forbidden(f"pages of {origin} may not call; see serving.origins")


class _Answer:
    """Passes an answer on, with the time it took in its head; remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._began_ns = time.perf_counter_ns()
        self.status = 500

    async def send(self, message: Message) -> None:
        """Send one part."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            spent_ms = (time.perf_counter_ns() - self._began_ns) / 1e6
            head = (b"x-response-time", b"%.3fms" % spent_ms)
            message = {**message, "headers": [*message.get("headers", ()), head]}
        await self._send(message)


def undeclared(routes: Iterable[BaseRoute]) -> list[str]:
    """Return the routes that `RULES` does not name; none, or the application does not start."""
    return sorted(
        f"{method} {path}" for method, path in _declared(routes) if (method, path) not in RULES
    )


def _declared(routes: Iterable[Any]) -> Iterable[tuple[str, str]]:
    for route in routes:
        if isinstance(route, WebSocketRoute):
            yield "WEBSOCKET", route.path
        elif isinstance(route, Route):
            yield from ((verb, route.path) for verb in route.methods or () if verb != "HEAD")
        else:
            yield "ANY", str(getattr(route, "path", route))
