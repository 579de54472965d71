"""``/v1/stream``: what happens, as it happens."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
from fastapi import APIRouter, Request, WebSocket
from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from core.errors import AppError, BadInput
from serving.access.guard import bearer_of
from serving.access.roles import CALLER
from serving.access.tickets import LIFE_SECS
from serving.ports import Platform
from serving.reply import answers, reply
from serving.streaming.hub import Wish
from serving.streaming.messages import DEFAULT_TOPICS, Coding, Topic
from serving.streaming.wire import EXTENSION
from serving.views import TicketView

router = APIRouter()

_FIRST_FRAME_SECS = 5.0
_REFUSED = 1008  # policy violation, RFC 6455
_COMPRESSIONS = ("", "gzip", "zstd")
_FORMATS = ("json", "msgpack")
_PARAMETERS = frozenset({"topics", "format", "compress", "since", "ticket"})


class Hello(msgspec.Struct, frozen=True):
    """First frame of a client that shows its key neither in a header nor by a ticket."""

    key: str


_decode = msgspec.json.Decoder(Hello).decode


@router.post("/v1/stream/tickets", tags=["stream"], status_code=201,
             responses=answers(TicketView, 201))  # fmt: skip
async def ticket(request: Request) -> Response:
    """Give a ticket that opens one stream within half a minute: `/v1/stream?ticket=...`."""
    issued = request.app.state.tickets.issue(CALLER.get())
    return reply(TicketView(issued, LIFE_SECS), 201)


async def _is_admitted(socket: WebSocket) -> bool:
    """Find out who it is: by header, by ticket, or by the first frame where a key is needed."""
    shown = bearer_of(socket.scope) or socket.query_params.get("ticket", "")
    try:
        with suppress(AppError):
            socket.state.admit(shown)
            return True
        if shown:
            return False
        async with asyncio.timeout(_FIRST_FRAME_SECS):
            first = await socket.receive_text()
        socket.state.admit(_decode(first).key)
    except (AppError, TimeoutError, KeyError, msgspec.DecodeError, WebSocketDisconnect):
        return False
    return True


def wish_of(asked: QueryParams) -> Wish:
    """Read what a client asks for; raises BadInput."""
    if unknown := set(asked) - _PARAMETERS:
        raise BadInput(f"no parameter {min(unknown)!r}; there are {', '.join(sorted(_PARAMETERS))}")
    names = [name for name in asked.get("topics", "").split(",") if name]
    if wrong := [name for name in names if name not in list(Topic)]:
        raise BadInput(f"no topic {wrong[0]!r}; there are {', '.join(Topic)}")
    form, compression = asked.get("format", "json"), asked.get("compress", "")
    if form not in _FORMATS or compression not in _COMPRESSIONS:
        raise BadInput("format is json or msgpack, compress is gzip or zstd")
    stream, _, since = asked.get("since", "").partition(":")
    if stream and not (since.isdecimal() and len(since) < 19):
        raise BadInput("since is the name of a stream, a colon, and a sequence number")
    topics = frozenset(Topic(name) for name in names) or DEFAULT_TOPICS
    return Wish(topics, Coding(form == "msgpack", compression), stream, int(since or 0))


@router.websocket("/v1/stream")
async def stream(socket: WebSocket) -> None:
    """Send what happens until the client leaves; after the first frame what it sends is ignored."""
    await socket.accept()
    try:
        wish = wish_of(socket.query_params)
        admitted = await _is_admitted(socket)
    except BadInput as error:
        await _refuse(socket, str(error)[:120])
        return
    if not admitted:
        await _refuse(socket, "a valid key or ticket is needed")
        return
    wire: Any = socket.scope["extensions"][EXTENSION]
    platform: Platform = socket.app.state.platform
    client = platform.hub.open(wire, wish, platform.snapshots(wish.topics))
    wire.narrow(client.drain)
    try:
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
    finally:
        wire.drained = None
        platform.hub.close(client)


async def _refuse(socket: WebSocket, why: str) -> None:
    with suppress(RuntimeError):  # it may have left already
        await socket.close(_REFUSED, why)
