"""Who comes before the platform is there waits, but not for ever."""

import asyncio
from typing import Any

import pytest

from serving import waiting_room
from serving.waiting_room import WaitingRoom

Message = dict[str, Any]


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


async def ask(room: WaitingRoom, method: str, path: str, kind: str = "http") -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    await room({"type": kind, "method": method, "path": path, "headers": []}, receive, send)
    return sent


READS = [("GET", "/v1/positions"), ("HEAD", "/healthz")]
ORDERS = [("POST", "/v1/orders"), ("PATCH", "/v1/orders/a")]
OTHERS = [("POST", "/v1/decisions"), ("DELETE", "/v1/orders/a"), ("POST", "/v1/orders/cancel-all")]


@pytest.mark.parametrize(("method", "path"), [*READS, *ORDERS, *OTHERS])
def test_everybody_gets_in_when_it_is_ready(method: str, path: str) -> None:
    async def walk() -> None:
        room = WaitingRoom()
        waiting = asyncio.create_task(ask(room, method, path))
        await asyncio.sleep(0)
        assert not waiting.done()
        room.open(app)
        await room.ready(lambda: True)
        assert (await waiting)[0]["status"] == 200
        assert (await ask(room, method, path))[0]["status"] == 200
        assert room.refused == 0

    asyncio.run(walk())


@pytest.mark.parametrize(
    ("method", "path", "enters"), [(*read, True) for read in READS] + [(*o, False) for o in ORDERS]
)
def test_reads_need_no_readiness(method: str, path: str, enters: bool) -> None:
    async def walk() -> None:
        room = WaitingRoom()
        room.open(app)
        asking = asyncio.create_task(ask(room, method, path))
        await asyncio.sleep(0.01)
        assert asking.done() == enters
        asking.cancel()

    asyncio.run(walk())


def test_an_order_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_room, "ORDER_SECS", 0.01)

    async def walk() -> None:
        room = WaitingRoom()
        room.open(app)  # not ready
        for method, path in ORDERS:
            start, _body = await ask(room, method, path)
            assert start["status"] == 503
            assert (b"retry-after", b"1") in start["headers"]
        assert room.refused == 2

    asyncio.run(walk())


def test_others_get_what_there_is_after_the_longest_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_room, "OTHER_SECS", 0.01)

    async def walk() -> None:
        room = WaitingRoom()
        assert (await ask(room, *OTHERS[0]))[0]["status"] == 503
        (closed,) = await ask(room, "", "/v1/stream", "websocket")
        assert (closed["type"], closed["code"]) == ("websocket.close", 1013)
        room.open(app)
        assert (await ask(room, *OTHERS[0]))[0]["status"] == 200
        await room.ready(lambda: False)
        assert (await ask(room, *ORDERS[0]))[0]["status"] == 200  # and the application says why not

    asyncio.run(walk())
