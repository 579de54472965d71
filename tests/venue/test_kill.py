"""The venue as a process of its own: killed at any instant, it comes back with the same book."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from core.columns import from_ticks
from core.types import OrderEventKind, Side, TimeInForce
from fix.reports import UNKNOWN_ORDER
from fix.store import FileStore
from storage.parquet import TickStore
from venue.orders import VenueOrder
from venue.server import read_status

pytestmark = pytest.mark.servers

ROOT = Path(__file__).resolve().parents[2]
MAIN = """
import sys
from pathlib import Path
from core.config import Config, FixConfig, StorageConfig, VenueConfig
from venue.process import run_venue
home, port = Path(sys.argv[1]), int(sys.argv[2])
config = Config(storage=StorageConfig(home=home), fix=FixConfig(port=port),
                venue=VenueConfig(speed=0.0, max_quotes_per_sec=400.0, partial_ratio=0.5))
run_venue(config, ["EURUSD", "GBPUSD"], 0, on_ready=lambda status: print(status.port, flush=True))
"""


def fill_store(home: Path) -> None:
    rng = np.random.default_rng(4)
    for symbol in ("EURUSD", "GBPUSD"):
        ts = np.sort(rng.integers(1, 10**12, 2_000)).astype(np.int64)
        bid = 1.1 + np.round(rng.normal(0, 1e-3, 2_000), 5)
        TickStore(home / "ticks").append(symbol, from_ticks(ts, bid, bid + 1e-4))


async def launch(home: Path, port: int = 0) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, str(home), str(port)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    line = await asyncio.to_thread(process.stdout.readline)
    return process, int(line)


def end(process: subprocess.Popen[str], number: int) -> int:
    process.send_signal(number)
    code = process.wait(20)
    process.stdout.close()
    return code


async def trade(client, rng: random.Random, prefix: str) -> list[VenueOrder]:
    """Send orders, and cancels of some, at random moments."""
    sent = []
    for number in range(40):
        limit = 109_900 + rng.randrange(200)
        order = VenueOrder(
            f"{prefix}-{number}", rng.randrange(2), rng.choice(list(Side)), rng.randint(1, 20),
            limit, rng.choice(list(TimeInForce)), "PAPER",
        )  # fmt: skip
        sent.append(order)
        client.order(order)
        if rng.random() < 0.2:
            client.cancel(order)
        await asyncio.sleep(0.002 * rng.random())
    return sent


async def ask_everything(client, sent: list[VenueOrder]) -> None:
    client.statuses.clear()
    for order in sent:
        client.ask(order)
    await client.until(lambda: len(client.statuses) == len(sent))
    client.ask_positions()
    await client.until(
        lambda: client.positions and len(client.positions) == client.positions[0].total
    )


def check_books(client) -> int:
    """Compare what was heard with what the venue says; return the number of executions."""
    fills = {}
    for event in client.events:
        if event.fill is not None:
            assert fills.setdefault(event.fill.exec_id, event.fill) == event.fill
    filled = Counter()
    held = Counter()
    for fill in fills.values():
        filled[fill.client_order_id] += fill.quantity
        held[fill.instrument] += fill.side.sign * fill.quantity
    assert {s.client_order_id: s.filled for s in client.statuses if s.filled} == dict(filled)
    assert {p.instrument: p.steps for p in client.positions} == {k: v for k, v in held.items() if v}
    never = {s.client_order_id for s in client.statuses if s.reason == UNKNOWN_ORDER}
    assert not never & {e.client_order_id for e in client.events if e.kind is OrderEventKind.ACCEPT}
    return len(fills)


async def test_no_order_is_lost_or_doubled_over_kills_of_the_venue(tmp_path, client_of):
    fill_store(tmp_path)
    rng = random.Random(8)
    process, port = await launch(tmp_path)
    sent: list[VenueOrder] = []
    feed = client_of(market_data=True)
    client = client_of(store=FileStore(tmp_path / "client.store"))
    await feed.start(port)
    await client.start(port)
    for kill in range(10):
        feed.subscribe("EURUSD", "GBPUSD")
        await feed.until(lambda: feed.quotes)
        sent += await trade(client, rng, f"O{kill}")
        assert end(process, signal.SIGKILL) == -signal.SIGKILL
        await client.until(lambda: not client.is_up)
        await feed.until(lambda: not feed.is_up)
        process, port = await launch(tmp_path, port)
        await client.up()
        await feed.up()
    await ask_everything(client, sent)
    assert end(process, signal.SIGTERM) == 0
    await client.stop()
    await feed.stop()
    executions = check_books(client)
    status = read_status(tmp_path / "venue")
    assert status is not None
    assert status.executions == executions > 50


async def test_the_status_file_tells_when_the_tape_is_done(tmp_path, client_of):
    fill_store(tmp_path)
    process, port = await launch(tmp_path)
    feed = client_of(market_data=True)
    await feed.start(port)
    feed.subscribe("EURUSD", "GBPUSD")
    await feed.until(lambda: len(feed.quotes) == 4_000)
    while not (status := read_status(tmp_path / "venue")) or not status.done:
        await asyncio.sleep(0.05)
    await feed.stop()
    assert end(process, signal.SIGTERM) == 0
    assert status.position == status.length == 4_000
