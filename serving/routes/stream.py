"""``/v1/stream``: decisions, orders and fills as they happen."""

import asyncio

from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from serving.stream import Subscription

router = APIRouter()


async def _forward(socket: WebSocket, subscription: Subscription) -> None:
    while True:
        for message in await subscription.take():
            await socket.send_text(message.decode())


async def _until_gone(socket: WebSocket) -> None:
    while True:
        await socket.receive()


@router.websocket("/v1/stream")
async def stream(socket: WebSocket) -> None:
    """Send what happens until the client leaves; what it sends is ignored."""
    hub = socket.app.state.platform.hub
    await socket.accept()
    subscription = hub.open()
    tasks = [
        asyncio.create_task(_forward(socket, subscription)),
        asyncio.create_task(_until_gone(socket)),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hub.close(subscription)
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    expected = (WebSocketDisconnect, RuntimeError, asyncio.CancelledError)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, expected):
            raise outcome
