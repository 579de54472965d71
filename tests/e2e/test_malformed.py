"""Bytes that are no HTTP and frames that are no WebSocket: the process lives and answers on."""

import os
import random
import socket
from pathlib import Path

import pytest

from tests.e2e.stack import Platform, platform

pytestmark = pytest.mark.servers

UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ORDER = b'{"symbol": "EURUSD", "side": "BUY", "lots": "0.10"}'
RAW = [
    b"\r\n" * 10_000,
    b"\x00" * 100_000,
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET  HTTP/1.1\r\n\r\n",
    b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nContent-Length: 20\r\n\r\n",
    b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"\xff" * 70_000 + b"\r\n\r\n",
    b"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + ORDER,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]
FRAMES = [
    b"\xff" * 1_000,
    b"\x81\xff" + (1 << 62).to_bytes(8, "big") + bytes(4),
    b"\x81\x05hello",  # not masked
    b"\x8f\x80" + bytes(4),  # no such opcode
    b"\x09\xfe\x00\x7e" + bytes(4 + 126),  # a ping that is too long, in parts
    b"\x80\x80" + bytes(4),  # goes on with nothing
    b"\x81\x82" + bytes(4) + b"\xff\xff",  # no UTF-8
    b"\x88\x81" + bytes(4) + b"\x01",  # closes with half a code
    b"\x81\xfe\xff\xff" + bytes(4) + b"x" * 10,  # stops in the middle
    b"\x82\xff" + (1 << 20).to_bytes(8, "big") + bytes(4) + bytes(1 << 20),  # too large
]


def throw(running: Platform, *parts: bytes) -> None:
    """Send bytes and take whatever comes until the server or a second of silence ends it."""
    address = ("127.0.0.1", running.config.serving.port)
    with socket.create_connection(address, timeout=1.0) as peer:
        try:
            for part in parts:
                peer.sendall(part)
            while peer.recv(65_536):
                pass
        except OSError:
            pass


@pytest.mark.timeout(300)
def test_nothing_that_is_thrown_at_it_ends_the_process(made: Path, tmp_path: Path) -> None:
    rng = random.Random(5)
    with platform(made, tmp_path / "home") as running:
        pid = running.serving.process.pid if running.serving.process else 0
        for raw in RAW:
            throw(running, raw)
        for frame in FRAMES:
            throw(running, UPGRADE, frame)
        for _ in range(20):
            throw(running, rng.randbytes(rng.randint(1, 5_000)))
            throw(running, UPGRADE, rng.randbytes(rng.randint(1, 5_000)))
        os.kill(pid, 0)
        assert running.client.ready()
        assert running.client.call("POST", "/v1/decisions", {"symbol": "EURUSD"})[0] == 200
        assert running.client.call(
            "POST", "/v1/orders", {"symbol": "EURUSD", "side": "BUY", "lots": "0.10"}, "k1"
        )[0] in (201, 422)
        assert "Traceback" not in running.serving.log()
