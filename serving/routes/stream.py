"""``/v1/stream``: decisions, orders and fills as they happen."""

from contextlib import suppress

import anyio
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from serving.stream import Subscription

router = APIRouter()


async def _forward(socket: WebSocket, subscription: Subscription) -> None:
    with suppress(WebSocketDisconnect):
        while True:
            for message in await subscription.take():
                await socket.send_text(message.decode())


async def _until_gone(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


@router.websocket("/v1/stream")
async def stream(socket: WebSocket) -> None:
    """Send what happens until the client leaves; what it sends is ignored."""
    hub = socket.app.state.platform.hub
    await socket.accept()
    subscription = hub.open()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_forward, socket, subscription)
            await _until_gone(socket)
            group.cancel_scope.cancel()
    finally:
        hub.close(subscription)
