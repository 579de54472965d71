"""Decisions over HTTP and orders to acknowledgement, open loop, on a running venue and serving.

Requests are due at fixed times and latency counts from the time a request was due. Beside each
figure stands a bare TCP echo in a process of its own, driven by the same load generator, the timer
of which counts whole milliseconds: about half of one is in every figure, the echo's too. The
venue's order latency, a setting of the simulation, is 0 here. `benchmarks/bench_orders.py` has the
order path without the HTTP door and the stream.
"""

import asyncio
import gc
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.echo import echo_server
from tests.e2e.stack import SYMBOL, Client, platform, until, with_venue

SECS = 10.0
CONNECTIONS = 16
# What the venue says of an order; DENIED is our own risk check, and UNKNOWN is no answer at all.
ANSWERED = {"ACCEPTED", "PARTIALLY_FILLED", "FILLED", "CANCELED", "REJECTED"}
Exchange = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[bool]]


def figures(latencies_ns: list[int]) -> dict[str, float]:
    """Percentiles in microseconds with the number of samples."""
    values = np.array(latencies_ns) / 1e3
    found = {f"p{q:g}_us": round(float(np.percentile(values, q)), 1) for q in (50, 95, 99, 99.9)}
    return {**found, "max_us": round(float(values.max()), 1), "samples": len(values)}


async def open_loop(
    port: int,
    rate: float,
    exchange: Exchange,
    due: dict[int, int] | None = None,
    secs: float = SECS,
) -> dict[str, float]:
    """Start an exchange every 1/rate seconds on whichever connection is free.

    `due` takes the time, by `perf_counter_ns`, at which each exchange was due.
    """
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))
    latencies: list[int] = []
    failed = 0

    async def one(number: int, due_ns: int) -> None:
        nonlocal failed
        reader, writer = await free.get()
        good = await exchange(reader, writer, number)
        latencies.append(time.perf_counter_ns() - due_ns)
        failed += not good
        free.put_nowait((reader, writer))

    start = time.perf_counter_ns() + 50_000_000
    tasks = []
    for number in range(int(secs * rate)):
        due_ns = start + int(number * 1e9 / rate)
        if due is not None:
            due[number] = due_ns
        ahead = (due_ns - time.perf_counter_ns()) / 1e9
        if ahead > 0:
            await asyncio.sleep(ahead)
        tasks.append(asyncio.create_task(one(number, due_ns)))
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait()[1].close()
    return {**figures(latencies), "per_sec": rate, "failed": failed}


def http(path: str, body: Callable[[int], tuple[bytes, str]], wanted: bytes) -> Exchange:
    """Exchange of one HTTP/1.1 request and its answer on a kept-alive connection."""

    async def exchange(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        payload, headers = body(number)
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(payload)}\r\n\r\n".encode()
            + payload
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        return head.split(b" ", 2)[1] == wanted

    return exchange


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
    """Exchange of a message as long as a decision request."""
    message = b"x" * 150
    writer.write(message)
    return await reader.readexactly(len(message)) == message


def decision(number: int) -> tuple[bytes, str]:
    return b'{"symbol":"%b"}' % SYMBOL.encode(), ""


def order(number: int) -> tuple[bytes, str]:
    side = "SELL" if number % 2 else "BUY"
    body = {"symbol": SYMBOL, "side": side, "lots": "0.01"}
    return json.dumps(body).encode(), f"Idempotency-Key: bench-{number}\r\n"


async def messages(stream: ClientConnection) -> AsyncIterator[dict[str, Any]]:
    """Yield the messages of the frames."""
    async for text in stream:
        for message in json.loads(text):
            yield message


async def order_to_ack(port: int, rate: float) -> dict[str, dict[str, float]]:
    """Orders over HTTP; the acknowledgement is the first answer of the venue on the stream.

    Orders that were denied, and so never left, are counted beside the latencies.
    """
    due: dict[int, int] = {}
    acknowledged: list[int] = []
    denied: set[int] = set()

    async def listen() -> None:
        seen: set[int] = set()
        async with connect(f"ws://127.0.0.1:{port}/v1/stream") as stream:
            listening.set()
            async for message in messages(stream):
                told = message["data"]
                if message["topic"] != "orders" or not told["key"].startswith("bench-"):
                    continue
                number = int(told["key"].rsplit("-", 1)[1])
                if told["status"] == "DENIED":
                    denied.add(number)
                elif told["status"] in ANSWERED and number not in seen:
                    seen.add(number)
                    acknowledged.append(time.perf_counter_ns() - due[number])

    listening = asyncio.Event()
    listener = asyncio.create_task(listen())
    await listening.wait()
    submitted = await open_loop(port, rate, http("/v1/orders", order, b"201"), due)
    await asyncio.sleep(1.0)
    listener.cancel()
    answered = {**figures(acknowledged), "denied": len(denied)}
    return {"order_submit_at_200": submitted, "order_to_ack_at_200": answered}


def stages(client: Client) -> dict[str, dict[str, float]]:
    """What serving measured itself, by stage, in microseconds."""
    text = client.text("/metrics")
    found: dict[str, dict[str, float]] = {}
    for line in text.splitlines():
        if line.startswith("tickpath_stage_seconds{"):
            labels, value = line.split("{", 1)[1].rsplit("} ", 1)
            parts = dict(part.split("=") for part in labels.replace('"', "").split(","))
            if parts["quantile"] in ("0.5", "0.99", "1"):
                found.setdefault(parts["stage"], {})[parts["quantile"]] = round(
                    float(value) * 1e6, 1
                )
    return found


def run() -> dict[str, object]:
    """Measure decisions and orders beside the echo, each for ten seconds."""
    with tempfile.TemporaryDirectory() as folder:
        made, home = Path(folder) / "made", Path(folder) / "home"
        made.mkdir()
        with platform(
            made, home, venue=with_venue(max_quotes_per_sec=50.0, latency_ms=0.0)
        ) as running:
            port = running.config.serving.port
            with echo_server() as echo_port:
                results = uvloop.run(measure(port, echo_port))
            until("orders settled", running.client.settled)
            return {**results, "stages_us": stages(running.client)}


async def measure(port: int, echo_port: int) -> dict[str, object]:
    decide = http("/v1/decisions", decision, b"200")
    # A collection of the load generator's own heap would show as a stall of the server.
    gc.collect()
    gc.disable()
    return {
        "echo_at_500": await open_loop(echo_port, 500.0, echo),
        "decision_at_500": await open_loop(port, 500.0, decide, secs=60.0),
        "decision_at_2000": await open_loop(port, 2_000.0, decide),
        "echo_at_200": await open_loop(echo_port, 200.0, echo),
        **await order_to_ack(port, 200.0),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
