"""``/v1/stream``: decisions, orders and fills as they happen."""

import asyncio
from contextlib import suppress

import anyio
import msgspec
from fastapi import APIRouter, Request, WebSocket
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from core.errors import AppError
from serving.access.guard import bearer_of
from serving.access.roles import CALLER
from serving.access.tickets import LIFE_SECS
from serving.reply import answers, reply
from serving.stream import Subscription
from serving.views import TicketView

router = APIRouter()

_FIRST_FRAME_SECS = 5.0
_REFUSED = 1008  # policy violation, RFC 6455


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


async def _forward(socket: WebSocket, subscription: Subscription) -> None:
    with suppress(WebSocketDisconnect):
        while True:
            for message in await subscription.take():
                await socket.send_text(message.decode())


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


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


@router.websocket("/v1/stream")
async def stream(socket: WebSocket) -> None:
    """Send what happens until the client leaves; after the first frame what it sends is ignored."""
    await socket.accept()
    if not await _is_admitted(socket):
        with suppress(RuntimeError):  # it may have left already
            await socket.close(_REFUSED, "a valid key or ticket is needed")
        return
    hub = socket.app.state.platform.hub
    subscription = hub.open()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_forward, socket, subscription)
            await _until_gone(socket)
            group.cancel_scope.cancel()
    finally:
        hub.close(subscription)
