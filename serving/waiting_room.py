"""Holds requests while a process is about to serve: nobody is turned away for a moment's wait."""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.errors import failure

ORDER_SECS = 2.0
"""An order is worth little when it is late: then its caller is told to ask again."""
OTHER_SECS = 10.0
_LOOK_SECS = 0.005


class WaitingRoom:
    """ASGI application that becomes another one.

    Reads go on as soon as there is an application; what decides or trades when it is ready, too,
    or after a while anyhow. Cancels wait as long as reads: nothing better can come of refusing one.
    """

    def __init__(self) -> None:
        self._app: ASGIApp | None = None
        self._is_open = asyncio.Event()
        self._is_ready = asyncio.Event()
        self.refused = 0

    def open(self, app: ASGIApp) -> None:
        """Let reads in."""
        self._app = app
        self._is_open.set()

    async def ready(self, is_ready: Callable[[], bool]) -> None:
        """Let everybody in when `is_ready`, or after the longest wait."""
        with_patience = asyncio.timeout(OTHER_SECS)
        try:
            async with with_patience:
                while not is_ready():
                    await asyncio.sleep(_LOOK_SECS)
        except TimeoutError:
            pass  # the application says what is missing
        self._is_ready.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, now or later."""
        if self._app is not None and self._is_ready.is_set():
            await self._app(scope, receive, send)
            return
        is_order = _is_order(scope)
        try:
            async with asyncio.timeout(ORDER_SECS if is_order else OTHER_SECS):
                await (self._is_open if _is_read(scope) else self._is_ready).wait()
        except TimeoutError:
            if is_order or self._app is None:
                await self._refuse(scope, receive, send)
                return
        if self._app is not None:
            await self._app(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.refused += 1
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1013, "reason": "not ready"})
            return
        answer = failure(scope["path"], 503, "serving is being handed over; try again in 1 s")
        answer.headers["Retry-After"] = "1"
        await answer(scope, receive, send)


def _is_read(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] in ("GET", "HEAD")


def _is_order(scope: Scope) -> bool:
    """Whether a request brings new risk: orders and changes of them."""
    if scope["type"] != "http" or scope["method"] not in ("POST", "PATCH", "PUT"):
        return False
    path: str = scope["path"]
    return path.startswith("/v1/orders") and not path.endswith("/cancel-all")
