"""Decisions at 200 a second while the champion changes twice a second, on a running platform.

Rounds with and without swaps take turns. The promotion ledger is written from this process, as a
promotion does; serving finds the new champion, verifies, loads and warms it, and sets it. The two
versions differ in the move that they expect, so that an answer made of both would show.
"""

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.bench_http import CONNECTIONS, figures
from models.manifest import model_name
from models.manifest import read as read_manifest
from registry.loading import CHAMPION
from registry.promotion_ledger import PromotionLedger, Standing
from storage.promotions import PromotionRows
from storage.sqlite import Ledger
from tests.e2e.stack import EAGER, SYMBOL, platform, registered, with_venue

RATE, SECS, ROUNDS, SWAP_SECS = 200, 5.0, 6, 0.5
VERSIONS = ("1", EAGER)
NAME = model_name(SYMBOL)
_BODY = json.dumps({"symbol": SYMBOL}).encode()
_REQUEST = (
    b"POST /v1/decisions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)
# Pips that costs may take off an edge, and the least that tells the two versions apart.
_COSTS, _TELLING = 20.0, 0.05


class Answers:
    """What came back: times, failures, versions, and whether each is of one version."""

    def __init__(self, moves: dict[str, float]) -> None:
        self.latencies: list[int] = []
        self.failed = self.mixed = self.changes = 0
        self._moves = moves
        self._last = ""

    def take(self, status: bytes, body: bytes, spent_ns: int) -> None:
        self.latencies.append(spent_ns)
        if status != b"200":
            self.failed += 1
            return
        answer = json.loads(body)
        self.mixed += self._is_mixed(answer)
        self.changes += bool(self._last) and answer["model_version"] != self._last
        self._last = answer["model_version"]

    def _is_mixed(self, answer: dict[str, Any]) -> bool:
        move = self._moves.get(answer["model_version"])
        sure = abs(2.0 * answer["raw_score"] - 1.0)
        if move is None:
            return True
        return sure > _TELLING and abs(answer["edge_pips"] - sure * move) > _COSTS


async def ask(port: int, answers: Answers) -> None:
    """Ask at fixed times, counting from when each request was due."""
    free: asyncio.Queue[Any] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", port))

    async def one(due_ns: int) -> None:
        reader, writer = await free.get()
        writer.write(_REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
        body = await reader.readexactly(size)
        answers.take(head.split(b" ", 2)[1], body, time.perf_counter_ns() - due_ns)
        free.put_nowait((reader, writer))

    start, tasks = time.perf_counter_ns() + 50_000_000, []
    for number in range(int(SECS * RATE)):
        due_ns = start + int(number * 1e9 / RATE)
        await asyncio.sleep(max(0.0, (due_ns - time.perf_counter_ns()) / 1e9))
        tasks.append(asyncio.create_task(one(due_ns)))
    await asyncio.gather(*tasks)
    while not free.empty():
        free.get_nowait()[1].close()


def promote(home: Path, number: int) -> None:
    """Enter the next champion into the ledger, as a promotion does."""
    with Ledger(home / "ledger.sqlite") as store:
        ledger = PromotionLedger(PromotionRows(store))
        version = registered(home, VERSIONS[number % 2], CHAMPION)
        ledger.append(
            ledger.last(NAME), model=NAME, action="promote", actor="benchmark", reason="next",
            version=version.version, standing=Standing(champion=version),
        )  # fmt: skip


async def promote_often(home: Path) -> None:
    """Promote until cancelled."""
    number = 0
    while True:
        await asyncio.to_thread(promote, home, number)
        number += 1
        await asyncio.sleep(SWAP_SECS)


async def measure(port: int, home: Path) -> dict[str, Any]:
    """Ask in rounds, with and without swaps."""
    folder = home / "models" / NAME
    moves = {one: read_manifest(folder / one).expected_move_pips for one in VERSIONS}
    before, during = Answers(moves), Answers(moves)
    for _ in range(ROUNDS):
        await ask(port, before)
        promoting = asyncio.create_task(promote_often(home))
        await ask(port, during)
        promoting.cancel()
        await asyncio.gather(promoting, return_exceptions=True)
        await asyncio.sleep(1.0)
    calm, swapped = figures(before.latencies), figures(during.latencies)
    ratio = round(swapped["p99_us"] / calm["p99_us"], 2)
    return {
        "without_swaps": calm,
        "with_swaps": swapped,
        "versions_changed": during.changes,
        "failed": before.failed + during.failed,
        "mixed": before.mixed + during.mixed,
        "p99_with_over_without": ratio,
        "bars": {
            "p99 with swaps at most twice that without": ratio <= 2.0,
            "no failed response": before.failed + during.failed == 0,
            "no mixed-version response": before.mixed + during.mixed == 0,
        },
    }


def run() -> dict[str, Any]:
    """Start venue and serving, ask, stop."""
    with tempfile.TemporaryDirectory() as folder:
        made, home = Path(folder) / "made", Path(folder) / "home"
        made.mkdir()
        with platform(made, home, venue=with_venue(max_quotes_per_sec=50.0)) as running:
            promote(home, 0)
            return uvloop.run(measure(running.config.serving.port, home))
