"""The kill switch on a running platform: 1,000 open orders, 200 new ones a second, one POST.

Venue and serving are processes, and a tap between them notes when each message left. Told is, from
the moment at which the POST was written: how long new orders still left, how long until the last
cancel had left, and the answer. In the second part Redis and PostgreSQL are configured and hang
(SIGSTOP) from before the switch until all is canceled. The control is an echo of the load
generator, beside the orders.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.bench_http import figures
from benchmarks.bench_overload import Load, ask, one_echo, one_order
from benchmarks.echo import echo_server
from benchmarks.fix_tap import Tap, fix_tap
from core.config import CacheConfig, StorageConfig
from core.errors import Unavailable
from storage.servers import processes
from storage.servers.processes import Server
from tests.e2e import stack
from tests.e2e.stack import SYMBOL, Platform, Process, config_for, make_home, until, with_venue
from tests.servers import PACKAGES

OPEN = 1_000
PER_SEC = 200.0
ROUNDS, HUNG_ROUNDS = 12, 4
SWITCH_AFTER_SECS, LOAD_SECS = 1.0, 2.5
Told = dict[str, Any]


def limit_order(number: int, price: str) -> bytes:
    """Request for an order that rests far from the market."""
    body = json.dumps({
        "symbol": SYMBOL, "side": "BUY", "lots": "0.01", "type": "LIMIT", "limit": price,
        "time_in_force": "GTC",
    }).encode()  # fmt: skip
    head = (
        f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Idempotency-Key: rest-{number}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def rest(port: int, first: int, price: str) -> None:
    """Work `OPEN` orders."""
    numbers = iter(range(first, first + OPEN))

    async def worker() -> None:
        wires = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            head = await ask(wires, limit_order(number, price))
            assert head.startswith(b"http/1.1 201"), head
        wires[1].close()

    await asyncio.gather(*(worker() for _ in range(8)))


async def switch(port: int) -> tuple[int, int]:
    """Throw the switch; return when, and when the answer was there."""
    body = b'{"reason":"bench"}'
    wires = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(SWITCH_AFTER_SECS)
    began = time.perf_counter_ns()
    head = await ask(wires, (
        b"POST /v1/kill HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    ))  # fmt: skip
    assert head.startswith(b"http/1.1 200"), head
    wires[1].close()
    return began, time.perf_counter_ns()


async def one_round(port: int, echo_port: int, first: int) -> tuple[int, int, list[int]]:
    """Send orders and echoes, and throw the switch among them."""
    orders, echoes = Load(port, 8, LOAD_SECS), Load(echo_port, 4, LOAD_SECS)

    async def numbered(load: Load, wires: Any, number: int, due_ns: int) -> None:
        await one_order(load, wires, first + number, due_ns)

    (began, answered), *_ = await asyncio.gather(
        switch(port), orders.run(PER_SEC, numbered), echoes.run(PER_SEC, one_echo)
    )
    return began, answered, echoes.latencies


class Rounds:
    """What the rounds of one part found, in ns."""

    def __init__(self) -> None:
        self.left: list[int] = []
        self.canceled: list[int] = []
        self.answered: list[int] = []
        self.echoes: list[int] = []
        self.cancels = 0

    def take(self, tap: Tap, began: int, answered: int) -> None:
        after = [row for row in tap.read() if row.at_ns > began]
        orders = [row.at_ns - began for row in after if row.msg_type == "D"]
        cancels = [row.at_ns - began for row in after if row.msg_type == "F"]
        self.left.append(max(orders, default=0))
        self.canceled.append(max(cancels))
        self.answered.append(answered - began)
        self.cancels += len(cancels)

    def told(self) -> Told:
        return {
            "rounds": len(self.left),
            "open_orders": OPEN,
            "orders_per_sec": PER_SEC,
            "cancels": self.cancels,
            "new_orders_left_for_ms": {**_ms(self.left), "bar_p99_ms": 5},
            "last_cancel_after_ms": {**_ms(self.canceled), "bar_max_ms": 1_000},
            "answered_after_ms": _ms(self.answered),
            "echo": figures(self.echoes),
        }


def _ms(values: list[int]) -> Told:
    ordered = sorted(values)
    return {
        "p50_ms": round(ordered[len(ordered) // 2] / 1e6, 2),
        "p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] / 1e6, 2),
        "max_ms": round(ordered[-1] / 1e6, 2),
    }


def go_through(running: Platform, tap: Tap, echo_port: int, rounds: int, stores: "Stores") -> Told:
    """Throw the switch `rounds` times; between them trading is enabled again."""
    client, port, found = running.client, running.config.serving.port, Rounds()
    for number in range(rounds):
        uvloop.run(rest(port, number * OPEN, f"{running.first_mid * 0.9975:.5f}"))
        until("orders rest", lambda: _open(client) >= OPEN)
        stores.hang()
        began, answered, echoes = uvloop.run(one_round(port, echo_port, 10**6 * (number + 1)))
        until("all is canceled", lambda: _open(client) == 0)
        stores.go_on()
        found.take(tap, began, answered)
        found.echoes += echoes
        client.call("POST", "/v1/trading-state", {"state": "ACTIVE", "reason": "next round"})
        until("ready", client.ready)
    return found.told()


def _open(client: stack.Client) -> int:
    line = next(
        x for x in client.text("/metrics").splitlines() if x.startswith("tickpath_orders_o")
    )
    return int(float(line.split()[1]))


class Stores:
    """Redis and PostgreSQL, or neither."""

    def __init__(self, servers: list[Server]) -> None:
        self._servers = servers

    def hang(self) -> None:
        for server in self._servers:
            server.freeze()

    def go_on(self) -> None:
        for server in self._servers:
            server.thaw()


@contextmanager
def tapped(folder: Path, **groups: Any) -> Iterator[tuple[Platform, Tap]]:
    """Run a platform with a tap between serving and the venue."""
    (folder / "made").mkdir(parents=True, exist_ok=True)
    home = folder / "home"
    make_home(folder / "made", home)
    storage = replace(groups.pop("storage", StorageConfig()), home=home)
    risk = replace(stack.LIMITS, max_open_orders=10 * OPEN)
    venue = with_venue(max_quotes_per_sec=50.0, latency_ms=0.0)
    config = config_for(home, venue=venue, risk=risk, storage=storage, **groups)
    with fix_tap(config.fix.port, folder / "left.txt") as tap:
        running = Platform(config, tapped=False)
        fix = replace(config.fix, port=tap.port)
        running.serving = Process(replace(config, fix=fix), "serve")
        try:
            running.start()
            yield running, tap
        finally:
            running.stop()


def hung(folder: Path, echo_port: int) -> Told:
    """Go through the rounds with stores that hang; says why when there are none to hang."""
    with ExitStack() as stack_:
        try:
            redis = stack_.enter_context(processes.redis(PACKAGES))
            postgres = stack_.enter_context(processes.postgres(PACKAGES))
        except Unavailable as error:
            return {"not_run": str(error)}
        url = f"postgresql://postgres@127.0.0.1:{postgres.port}/postgres"
        storage = StorageConfig(ledger_store="postgres", postgres_url=url)
        cache = CacheConfig(second="redis", url=f"redis://127.0.0.1:{redis.port}/0")
        with tapped(folder, storage=storage, cache=cache) as (running, tap):
            return go_through(running, tap, echo_port, HUNG_ROUNDS, Stores([redis, postgres]))


def run() -> Told:
    """Measure with all well, and with the stores hung."""
    with tempfile.TemporaryDirectory() as name, echo_server() as echo_port:
        folder = Path(name)
        with tapped(folder / "well") as (running, tap):
            well = go_through(running, tap, echo_port, ROUNDS, Stores([]))
        return {"well": well, "stores_hung": hung(folder / "hung", echo_port)}


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        print(json.dumps(run(), indent=2))
