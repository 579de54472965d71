"""Hot calls as plain ASGI: one body in, one answer out, and nothing between.

A framework's way around a call (its layers, its router, its request and answer) costs several times
what the hot calls take by themselves. They are found before it by `HotCalls`, and stand among its
routes all the same, for everything that is not their own method and path.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import AppError
from serving.errors import BodyTooLarge, failure, status_of

log = logging.getLogger(__name__)

JSON = b"application/json"
OCTETS = b"application/octet-stream"
UNEXPECTED = "unexpected error; the server's log has the details"


class Gone(Exception):
    """The caller hung up."""


class Asked(NamedTuple):
    """A request, its body read."""

    path: str
    headers: dict[bytes, bytes]
    body: bytes

    def header(self, name: bytes) -> str:
        """Return a header's text, empty when it is absent."""
        return self.headers.get(name, b"").decode("latin-1")


class Answer(NamedTuple):
    """What goes back."""

    body: bytes
    kind: bytes = JSON
    status: int = 200
    more: tuple[tuple[bytes, bytes], ...] = ()


Call = Callable[[Asked], Awaitable[Answer]]


class Plain:
    """A call as an ASGI application.

    Parameters
    ----------
    call : callable
        May raise AppError, answered from the one table of statuses.
    most_bytes : callable
        Bound of a body.
    """

    def __init__(self, call: Call, most_bytes: Callable[[], int]) -> None:
        self._call = call
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path, headers = scope["path"], dict(scope["headers"])
        try:
            body = await read(receive, headers, self._most_bytes())
            answer = await self._call(Asked(path, headers, body))
        except Gone:
            return
        except AppError as error:
            await failure(path, status_of(error), str(error))(scope, receive, send)
            return
        except Exception as error:
            log.error("unexpected error on %s", path, exc_info=error)
            await failure(path, 500, UNEXPECTED)(scope, receive, send)
            return
        size = b"%d" % len(answer.body)
        head = [(b"content-length", size), (b"content-type", answer.kind), *answer.more]
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        await send({"type": "http.response.body", "body": answer.body})


async def read(receive: Receive, headers: Mapping[bytes, bytes], most_bytes: int) -> bytes:
    """Return the body; what is larger than `most_bytes` is refused before it is held in memory.

    Raises
    ------
    BodyTooLarge, Gone
    """
    announced = headers.get(b"content-length", b"")
    if announced.isdigit() and int(announced) > most_bytes:
        raise BodyTooLarge(f"request body: {int(announced)} bytes are more than {most_bytes}")
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        parts.append(message.get("body", b""))
        if sum(map(len, parts)) > most_bytes:
            raise BodyTooLarge(f"request body: more than {most_bytes} bytes")
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


class HotCalls:
    """ASGI layer that answers the hot calls itself and passes everything else on.

    Parameters
    ----------
    app : ASGIApp
    calls : mapping of path to ASGIApp
        POST requests of exactly these paths.
    infer : ASGIApp
        POST requests of ``/v2/models/…/infer``.
    """

    def __init__(self, app: ASGIApp, calls: Mapping[str, ASGIApp], infer: ASGIApp) -> None:
        self._app = app
        self._calls = dict(calls)
        self._infer = infer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        await self._of(scope)(scope, receive, send)

    def _of(self, scope: Scope) -> ASGIApp:
        if scope["type"] != "http" or scope["method"] != "POST":
            return self._app
        path = scope["path"]
        if path.startswith("/v2/models/") and path.endswith("/infer"):
            return self._infer if is_infer(path) else self._app
        return self._calls.get(path, self._app)


def is_infer(path: str) -> bool:
    """Tell whether a path is ``/v2/models/{name}[/versions/{version}]/infer``."""
    parts = path.split("/")
    return bool(parts[3]) and (
        len(parts) == 5 or (len(parts) == 7 and parts[4] == "versions" and bool(parts[5]))
    )
