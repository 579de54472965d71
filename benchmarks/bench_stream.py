"""Five hundred listeners of one topic on a running platform, of which a tenth stop reading.

The time from a decision to each listener that reads, by the machine's clock; how soon the deaf
ones are gone; what they cost in memory. Listeners are in this process, serving in its own; beside
the figures stand those of ten listeners.
"""

import asyncio
import base64
import os
import re
import tempfile
import time
from pathlib import Path
from typing import cast

import numpy as np
import psutil  # type: ignore[import-untyped]
import uvloop

from tests.e2e.stack import Client, platform, with_venue

LISTENERS, FEW, SECS = 500, 10, 15.0
_DECIDED = re.compile(rb'"ts_decide":(\d+)')
_HEAD = (
    "GET /v1/stream?topics=decisions HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n"
)
_PING, _CLOSE = 0x9, 0x8


class Listener(asyncio.Protocol):
    """Answers pings, notes how old each decision is; deaf once told."""

    def __init__(self, ages_ns: list[int]) -> None:
        self.ages_ns = ages_ns
        self.gone_at = 0.0
        self.transport: asyncio.Transport
        self._buffer = bytearray()
        self._open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(_HEAD.format(key).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone_at = time.monotonic()

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        self._buffer += data
        if not self._open:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            del self._buffer[: end + 4]
            self._open = True
        while (frame := self._frame()) is not None:
            opcode, body = frame
            if opcode == _PING:
                self.transport.write(bytes([0x8A, 0x80 | len(body)]) + bytes(4) + body)
            for found in _DECIDED.findall(body):
                self.ages_ns.append(now - int(found))

    def _frame(self) -> tuple[int, bytes] | None:
        held = self._buffer
        if len(held) < 2:
            return None
        size, start = held[1] & 0x7F, 2
        if size > 125:
            start = 4 if size == 126 else 10
            size = int.from_bytes(held[2:start], "big")
        if len(held) < start + size:
            return None
        body = bytes(held[start : start + size])
        opcode = held[0] & 0xF
        del held[: start + size]
        return opcode, body


async def listen(port: int, count: int) -> tuple[list[Listener], list[int]]:
    """Open listeners that share one list of ages."""
    loop, ages = asyncio.get_running_loop(), []  # type: ignore[var-annotated]
    opened = []
    for _ in range(count):
        _, made = await loop.create_connection(lambda: Listener(ages), "127.0.0.1", port)
        opened.append(made)
    return opened, ages


def figures(ages_ns: list[int]) -> dict[str, float]:
    """Percentiles in ms with the number of samples."""
    found = np.percentile(np.array(ages_ns) / 1e6, (50, 95, 99)).round(3)
    return {**dict(zip(("p50_ms", "p95_ms", "p99_ms"), found.tolist(), strict=True)),
            "samples": len(ages_ns)}  # fmt: skip


def clients(client: Client) -> int:
    """Return how many listeners serving counts."""
    found = re.search(r"^tickpath_stream_clients (\S+)", client.text("/metrics"), re.MULTILINE)
    assert found
    return int(float(found[1]))


async def measure(port: int, client: Client, serving: psutil.Process) -> dict[str, object]:
    """Listen with few, then with all, then with a tenth of them deaf."""
    few, few_ages = await listen(port, FEW)
    await asyncio.sleep(SECS)
    for one in few:
        one.transport.close()
    everyone, ages = await listen(port, LISTENERS)
    await asyncio.sleep(2.0)
    ages.clear()
    began = time.monotonic()
    await asyncio.sleep(SECS)
    per_sec = len(ages) / LISTENERS / (time.monotonic() - began)
    all_read = figures(ages)
    before = serving.memory_info().rss
    deaf = everyone[::10]
    for one in deaf:
        one.transport.pause_reading()
    ages.clear()
    began, most, cut_after = time.monotonic(), 0, float("nan")
    while time.monotonic() - began < SECS:
        await asyncio.sleep(0.1)
        most = max(most, serving.memory_info().rss - before)
        if cut_after != cut_after and await asyncio.to_thread(clients, client) <= LISTENERS * 0.9:
            cut_after = time.monotonic() - began
    others = figures(ages)
    lost = sum(bool(one.gone_at) for one in everyone if one not in deaf)
    for one in everyone:
        one.transport.abort()
    return {
        "control_ten_listeners": figures(few_ages),
        "all_read": all_read,
        "a_tenth_deaf_the_others": others,
        "messages_per_sec": round(per_sec, 1),
        "readers_lost": lost,
        "deaf_gone_after_secs": round(cut_after, 2),
        "rss_grown_per_deaf_kib": round(most / len(deaf) / 1024, 1),
        "bars": {
            "p95 of the others < 10 ms": others["p95_ms"] < 10,
            "deaf gone within 5 s": cut_after < 5,
            "at most 256 KiB for each deaf one": most / len(deaf) <= 256 * 1024,
        },
    }


def run() -> dict[str, object]:
    """Start venue and serving, listen, stop."""
    with tempfile.TemporaryDirectory() as folder:
        made, home = Path(folder) / "made", Path(folder) / "home"
        made.mkdir()
        with platform(made, home, venue=with_venue(max_quotes_per_sec=20.0)) as running:
            serving = psutil.Process(running.serving.process.pid)
            return uvloop.run(measure(running.config.serving.port, running.client, serving))
