"""Ten times the orders that are planned for, over HTTP: what is let in, refused and canceled.

Two stretches on one start: the planned load of 200 orders a second, then 2,000. In both a cancel
comes every 50 ms and an echo of the same load generator every 5 ms. What the process does not take
it refuses with 503 before it reads it. `served` is the time of the server by itself, from the head
`x-response-time`; the other figures count from the time a request was due, as a caller sees them.
"""

import asyncio
import gc
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.bench_http import figures, order
from benchmarks.echo import echo_server
from core.config import ServingConfig
from tests.e2e.stack import SYMBOL, Platform, free_port, platform, with_venue

SECS = 10.0
PLANNED, TIMES = 200.0, 10
CANCELS_PER_SEC = 20.0
ECHOES_PER_SEC = 200.0
CONNECTIONS = 24
ECHO_BYTES = 150
Wires = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Exchange = Callable[["Load", Wires, int, int], Awaitable[None]]
Told = dict[str, Any]


class Answers:
    """Status, time since it was due, and time in the server of each request."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, float]] = []

    def take(self, head: bytes, due_ns: int) -> None:
        served = head.split(b"x-response-time: ", 1)[1].split(b"ms", 1)[0]
        self.rows.append((int(head[9:12]), time.perf_counter_ns() - due_ns, float(served)))

    def count(self, *wanted: int) -> int:
        return sum(status in wanted for status, _, _ in self.rows)

    def told(self, *wanted: int) -> dict[str, object]:
        rows = [row for row in self.rows if row[0] in wanted]
        if not rows:
            return {"samples": 0}
        served = figures([int(row[2] * 1e6) for row in rows])
        return {**figures([row[1] for row in rows]), "served_p99_us": served["p99_us"]}


async def ask(wires: Wires, request: bytes) -> bytes:
    """Send one request on a kept-alive connection; return the head of its answer."""
    reader, writer = wires
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length:")[2]
    await reader.readexactly(int(length.split(b"\r\n", 1)[0]))
    return head


def post(number: int) -> bytes:
    payload, headers = order(number)
    return (
        f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}"
        f"Content-Length: {len(payload)}\r\n\r\n"
    ).encode() + payload


def cancel(order_id: str) -> bytes:
    return f"DELETE /v1/orders/{order_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


class Load:
    """Requests at fixed times, each on whichever of its own connections is free."""

    def __init__(self, port: int, connections: int, secs: float = SECS) -> None:
        self._port, self._connections, self._secs = port, connections, secs
        self._free: asyncio.Queue[Wires] = asyncio.Queue()
        self.answers = Answers()
        self.latencies: list[int] = []

    async def run(self, rate: float, exchange: Exchange) -> None:
        for _ in range(self._connections):
            self._free.put_nowait(await asyncio.open_connection("127.0.0.1", self._port))
        start, tasks = time.perf_counter_ns() + 50_000_000, []
        for number in range(int(self._secs * rate)):
            due_ns = start + int(number * 1e9 / rate)
            ahead = (due_ns - time.perf_counter_ns()) / 1e9
            if ahead > 0:
                await asyncio.sleep(ahead)
            tasks.append(asyncio.create_task(self._one(exchange, number, due_ns)))
        await asyncio.gather(*tasks)
        while not self._free.empty():
            self._free.get_nowait()[1].close()

    async def _one(self, exchange: Exchange, number: int, due_ns: int) -> None:
        wires = await self._free.get()
        await exchange(self, wires, number, due_ns)
        self._free.put_nowait(wires)


async def one_order(load: Load, wires: Wires, number: int, due_ns: int) -> None:
    load.answers.take(await ask(wires, post(number)), due_ns)


async def one_echo(load: Load, wires: Wires, _number: int, due_ns: int) -> None:
    wires[1].write(b"x" * ECHO_BYTES)
    await wires[0].readexactly(ECHO_BYTES)
    load.latencies.append(time.perf_counter_ns() - due_ns)


def canceling(order_id: str) -> Exchange:
    async def exchange(load: Load, wires: Wires, _number: int, due_ns: int) -> None:
        load.answers.take(await ask(wires, cancel(order_id)), due_ns)

    return exchange


async def stretch(port: int, echo_port: int, rate: float, first: int, order_id: str) -> Told:
    """Send `rate` orders a second, and beside them cancels and echoes."""
    orders, cancels, echoes = Load(port, CONNECTIONS), Load(port, 2), Load(echo_port, 4)

    async def numbered(load: Load, wires: Wires, number: int, due_ns: int) -> None:
        await one_order(load, wires, first + number, due_ns)

    await asyncio.gather(
        orders.run(rate, numbered),
        cancels.run(CANCELS_PER_SEC, canceling(order_id)),
        echoes.run(ECHOES_PER_SEC, one_echo),
    )
    refused = orders.answers.told(429, 503)
    return {
        "per_sec": rate,
        "echo": figures(echoes.latencies),
        "admitted": orders.answers.told(201),
        "refused": refused,
        "orders_otherwise": len(orders.answers.rows) - orders.answers.count(201, 429, 503),
        "cancels": cancels.answers.told(202, 409),
        "cancels_refused": {"count": cancels.answers.count(429, 503), "bar": 0},
    }


def judged(planned: Told, flood: Told) -> Told:
    """Put the bars beside what they are about."""
    calm, busy = planned["admitted"]["p99_us"], flood["admitted"]["p99_us"]
    return {
        "planned": planned,
        "ten_times": flood,
        "refused_p99_us": {"found": flood["refused"].get("p99_us"), "bar": 20_000},
        "admitted_p99_times": {"found": round(busy / calm, 2), "bar": 2},
    }


def run() -> Told:
    """Measure both stretches on a venue and a serving of their own."""
    with tempfile.TemporaryDirectory() as folder:
        made, home = Path(folder) / "made", Path(folder) / "home"
        made.mkdir()
        venue = with_venue(max_quotes_per_sec=50.0, latency_ms=0.0)
        serving = ServingConfig(port=free_port())
        with platform(made, home, venue=venue, serving=serving) as running:
            order_id = resting_order(running)
            gc.collect()
            gc.disable()  # a collection of the load generator's heap would show as a stall
            with echo_server() as echo_port:
                port = running.config.serving.port
                planned = uvloop.run(stretch(port, echo_port, PLANNED, 0, order_id))
                flood = uvloop.run(stretch(port, echo_port, TIMES * PLANNED, 10**6, order_id))
            gc.enable()
            return judged(planned, flood)


def resting_order(running: Platform) -> str:
    """Work an order far from the market, for the cancels: the first one cancels it."""
    price = f"{running.first_mid * 0.9975:.5f}"
    body = {"symbol": SYMBOL, "side": "BUY", "lots": "0.01", "type": "LIMIT", "limit": price,
            "time_in_force": "GTC"}  # fmt: skip
    status, order = running.client.call("POST", "/v1/orders", body, key="to-cancel")
    assert status == 201, order
    return str(order["client_order_id"])


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
