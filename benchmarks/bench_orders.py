"""The order path beside a bare TCP echo: accept to socket, and to the venue's answer.

The platform runs in this process, without its HTTP door: recorded tape, model, risk, journal,
ledger and recording are the real ones, and the venue is a process of its own behind real FIX. Its
configured order latency is 0 here, since a simulated wait is not ours to measure. Orders are due at
fixed times, 200 a second, and latency counts from the time that one was due. Half-way between two
orders an echo of the length of an order goes out from the same loop, so that what disturbs the one
disturbs the other; read the order's figures beside the echo's. `overload` is `bench_overload`, ten
times as many orders over HTTP.

`cpu_wait_ms_per_sec` is how long the loop's thread stood ready without getting a processor: beyond
some milliseconds the machine was busy with something else, and the tails are the machine's.
"""

import asyncio
import json
import sys
import tempfile
from collections import deque
from decimal import Decimal
from pathlib import Path
from time import perf_counter_ns
from typing import cast

import uvloop

from benchmarks import bench_overload
from benchmarks.bench_http import figures
from benchmarks.echo import echo_server
from benchmarks.pacing import every
from core.config import Config
from core.types import OrderStatus, Side
from serving.homes import homes_of
from serving.ports import OrderRequest
from serving.runtime import Runtime
from serving.server import calm_interpreter
from serving.wiring import open_runtime
from tests.e2e.stack import SYMBOL, Process, config_for, make_home, until, with_venue
from trading.outputs import OrderUpdate, Output
from venue.server import read_status

SECS = 10.0
PER_SEC = 200.0
ORDER_BYTES = 230
ANSWERED = {
    OrderStatus.ACCEPTED,
    OrderStatus.PARTIALLY_FILLED,
    OrderStatus.FILLED,
    OrderStatus.CANCELED,
    OrderStatus.REJECTED,
}


class Times:
    """When each order was due, on the socket, and answered; `perf_counter_ns`."""

    def __init__(self) -> None:
        self.due: dict[str, int] = {}
        self.sent: dict[str, int] = {}
        self.answered: dict[str, int] = {}
        self.denied = 0

    def hear(self, output: Output) -> None:
        """Listen to the engine: it tells of a SUBMITTED order once `send` has returned."""
        if not isinstance(output, OrderUpdate) or output.order.key not in self.due:
            return
        key, status = output.order.key, output.order.status
        if status is OrderStatus.SUBMITTED:
            self.sent.setdefault(key, perf_counter_ns())
        elif status in ANSWERED:
            self.answered.setdefault(key, perf_counter_ns())
        self.denied += status is OrderStatus.DENIED

    def since_due(self, times: dict[str, int]) -> dict[str, float]:
        """Percentiles of `times`, counted from when each was due."""
        return figures([at - self.due[key] for key, at in times.items()])


class Echo(asyncio.Protocol):
    """Client of the echo; answers come in the order of the messages."""

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        self._received = 0
        self.latencies: list[int] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        now = perf_counter_ns()
        self._received += len(data)
        while self._received >= ORDER_BYTES:
            self._received -= ORDER_BYTES
            self.latencies.append(now - self._waiting.popleft())

    def send(self, due_ns: int) -> None:
        self._waiting.append(due_ns)
        self._transport.write(b"x" * ORDER_BYTES)


def cpu_wait_ns() -> int:
    """How long this thread stood ready in a run queue so far (Linux), ns."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1])
    except OSError:
        return 0


async def measure(runtime: Runtime, echo_port: int) -> dict[str, object]:
    """Send orders and echoes in turn for `SECS`."""
    loop, times = asyncio.get_running_loop(), Times()
    _, echo = await loop.create_connection(Echo, "127.0.0.1", echo_port)
    runtime.engine.subscribe(times.hear)
    submits: list[asyncio.Task[object]] = []

    def act(number: int, due_ns: int) -> None:
        if number % 2:
            echo.send(due_ns)
        else:
            submits.append(loop.create_task(submit(runtime, times, number // 2, due_ns)))

    waited = cpu_wait_ns()
    await every(int(0.5e9 / PER_SEC), int(2 * SECS * PER_SEC), act)
    waited = cpu_wait_ns() - waited
    await asyncio.gather(*submits)
    await asyncio.sleep(1.0)
    return {
        "echo": {**figures(echo.latencies), "bar_p99_us": 1_000},
        "accept_to_socket": {**times.since_due(times.sent), "bar_p99_us": 1_000},
        "order_to_ack": {
            **times.since_due(times.answered),
            "bar_p50_us": 600,
            "bar_p99_us": 5_000,
        },
        "denied": times.denied,
        "per_sec": PER_SEC,
        "venue_latency_ms": runtime.config.venue.latency_ms,
        "cpu_wait_ms_per_sec": round(waited / 1e6 / SECS, 2),
    }


async def submit(runtime: Runtime, times: Times, number: int, due_ns: int) -> object:
    """Hand one order to the platform, as its HTTP door does."""
    key = f"bench-{number}"
    times.due[key] = due_ns
    side = Side.SELL if number % 2 else Side.BUY
    return await runtime.submit(
        OrderRequest(key=key, symbol=SYMBOL, side=side, lots=Decimal("0.01"))
    )


def run() -> dict[str, object]:
    """Measure with a venue process, 50 quotes a second and a model that decides on each."""
    with tempfile.TemporaryDirectory() as folder:
        made, home = Path(folder) / "made", Path(folder) / "home"
        made.mkdir()
        make_home(made, home)
        config = config_for(home, venue=with_venue(max_quotes_per_sec=50.0, latency_ms=0.0))
        venue = Process(config, "venue", "--symbol", SYMBOL)
        venue.start()
        try:
            until("venue listens", lambda: read_status(homes_of(config).venue))
            with echo_server() as echo_port:
                found = uvloop.run(_run(config, echo_port))
        finally:
            venue.stop()
    return {**found, "overload": bench_overload.run()}


async def _run(config: Config, echo_port: int) -> dict[str, object]:
    async with open_runtime(config) as runtime:
        while not runtime.readiness().ready:
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.0)
        calm_interpreter()
        found = await measure(runtime, echo_port)
        summaries = runtime.latencies()
        found["stages_us"] = {
            stage: {"p50": s.p50 / 1e3, "p99": s.p99 / 1e3, "max": s.max / 1e3, "n": s.samples}
            for stage, s in summaries.items()
        }
        return found


if __name__ == "__main__":
    json.dump(run(), sys.stdout, indent=2)
