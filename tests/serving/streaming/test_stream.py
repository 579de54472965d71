"""The stream over a real socket."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from serving.streaming.messages import Topic
from tests.serving.server import Server


@pytest.fixture
def address(platform: Any) -> Iterator[str]:
    with Server(platform, ws_ping_interval=0.1, ws_ping_timeout=0.3) as server:
        yield f"ws://{server.address}/v1/stream"


def publish(platform: Any, topic: Topic, data: Any) -> None:
    platform.loop_of.call_soon_threadsafe(platform.hub.publish, topic, data)


def test_what_is_published_arrives_and_a_return_makes_up_for_absence(
    platform: Any, address: str
) -> None:
    decision = platform.decide("EURUSD")
    with connect(address) as socket:
        hello = json.loads(socket.recv(10))[0]["data"]
        publish(platform, Topic.DECISIONS, decision)
        message = json.loads(socket.recv(10))[0]
        assert (message["topic"], message["seq"]) == ("decisions", 1)
        assert message["data"] == msgspec.to_builtins(decision)
    publish(platform, Topic.FILLS, 2)
    since = f"{address}?format=msgpack&since={hello['stream']}:1"
    with connect(since) as socket:
        found = [msgspec.msgpack.decode(socket.recv(10))[0] for _ in range(2)]
        assert [(one["topic"], one["seq"]) for one in found] == [("system", 2), ("fills", 2)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("topics=nope", "no topic 'nope'"),
        ("topics=fills,", ""),
        ("format=xml", "format is"),
        ("compress=br", "format is"),
        ("since=abc", "since is"),
        ("since=abc:x", "since is"),
        ("since=abc:99999999999999999999", "since is"),
        ("colour=red", "no parameter 'colour'"),
    ],
)
def test_a_wrong_wish_is_refused_by_name(address: str, query: str, words: str) -> None:
    with connect(f"{address}?{query}") as socket:
        if not words:
            assert json.loads(socket.recv(10))[0]["topic"] == "system"
            return
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert words in closed.value.rcvd.reason


def test_who_stops_reading_is_cut_and_the_others_go_on(platform: Any, address: str) -> None:
    import socket as sockets

    host, port = address.removeprefix("ws://").removesuffix("/v1/stream").split(":")
    deaf = sockets.create_connection((host, int(port)))
    deaf.sendall(
        b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with connect(address) as socket:
        socket.recv(10)
        while len(platform.hub) == 2 or not platform.hub.seq:
            publish(platform, Topic.FILLS, "x" * 100)
            socket.recv(10)
        assert len(platform.hub) == 1
    deaf.close()
