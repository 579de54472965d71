"""One row for a prediction: ours beside other model servers, on the same model and client.

Every server runs all the time with one worker and without access log, and is asked in turn, round
by round, over kept-alive connections in a closed loop: one client, then sixteen. Ours is the whole
live service with its venue and quotes coming in, asked over the Open Inference Protocol. Answers
are checked first: the peers' are one probability, ours is that of the version's canary row.
The peers' environments are made under var/peers when they are missing.
"""

import asyncio
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from benchmarks.bars import beside
from benchmarks.bench_http import figures, http
from benchmarks.peers.servers import Peer, Rows, all_peers, v2_answer, v2_body
from models.inference.engines import UBJSON_FILE
from models.manifest import model_name
from tests.e2e.stack import SYMBOL, TRAINING, platform, with_venue

SECS, ROUNDS = 1.5, 7
CLIENTS = (1, 16)
NAME = model_name(SYMBOL)
OURS = "tickpath"
_SAME = 1e-6


async def closed_loop(peer: Peer, clients: int, secs: float) -> tuple[list[int], int]:
    """Ask for `secs` with so many clients; return times in ns and the number of failures."""
    exchange = http(peer.path, lambda _number: (peer.body, ""), b"200")
    until = time.perf_counter() + secs
    spent: list[int] = []
    failed = 0

    async def one() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
        while time.perf_counter() < until:
            start = time.perf_counter_ns()
            failed += not await exchange(reader, writer, 0)
            spent.append(time.perf_counter_ns() - start)
        writer.close()

    await asyncio.gather(*(one() for _ in range(clients)))
    return spent, failed


async def rounds(peers: list[Peer]) -> dict[str, dict[str, Any]]:
    """Median over the rounds of each server's percentiles and throughput."""
    taken: dict[tuple[str, int], list[dict[str, float]]] = {}
    for number in range(ROUNDS + 1):  # the first warms up
        for peer in peers if number % 2 else reversed(peers):
            for clients in CLIENTS:
                spent, failed = await closed_loop(peer, clients, SECS)
                told = {**figures(spent), "per_sec": len(spent) / SECS, "failed": failed}
                if number:
                    taken.setdefault((peer.name, clients), []).append(told)
    return {
        peer.name: {f"{clients}_clients": _median(taken[peer.name, clients]) for clients in CLIENTS}
        for peer in peers
    }


def _median(told: list[dict[str, float]]) -> dict[str, float]:
    middle = {
        key: round(statistics.median(one[key] for one in told), 1)
        for key in ("p50_us", "p99_us", "per_sec")
    }
    return {**middle, "failed": sum(one["failed"] for one in told)}


def bars(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Ours against each peer, and against the echo."""
    echo, *others = (name for name in found if name != OURS)
    rows: dict[str, Any] = {}
    for name in others:
        for clients, key, bar, higher in (
            (1, "p50_us", ">= 5", False), (1, "p99_us", ">= 2", False),
            (16, "p99_us", ">= 4", False), (16, "per_sec", ">= 8", True),
        ):  # fmt: skip
            theirs, ours = (found[one][f"{clients}_clients"][key] for one in (name, OURS))
            ratio = ours / theirs if higher else theirs / ours
            what = f"{name}: {key} at {clients}"
            rows[what] = beside(ratio, bar, {OURS: ours, name: theirs})
    for clients in CLIENTS:
        ours, bare = (found[one][f"{clients}_clients"]["p50_us"] for one in (OURS, echo))
        rows[f"over the bare echo, p50 at {clients}"] = beside(
            ours / bare, "<= 2", {OURS: ours, echo: bare}
        )
    return rows


def canary(version: Path) -> tuple[Rows, float]:
    """A canary row of the version, as JSON can carry it, and its calibrated probability."""
    rows = np.load(version / "canary_rows.npy")
    number = int(np.flatnonzero(np.isfinite(rows).all(axis=1))[0])
    return [rows[number].tolist()], float(np.load(version / "canary_p.npy")[number])


async def answer_of(peer: Peer) -> float:
    """The probability that a server gives for the row."""
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
    writer.write(
        f"POST {peer.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(peer.body)}\r\n\r\n".encode()
        + peer.body
    )
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    body = await reader.readexactly(length)
    writer.close()
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise RuntimeError(f"{peer.name} answers {head + body!r}")
    return peer.read(body)


async def measure(peers: list[Peer], expected: float) -> dict[str, Any]:
    """Compare what they answer, then how soon."""
    _echo, ours, *others = [await answer_of(peer) for peer in peers]
    if abs(ours - expected) > _SAME or max(others) - min(others) > _SAME:
        raise RuntimeError(f"not the same model: ours {ours}, wanted {expected}; peers {others}")
    found = await rounds(peers)
    return {**found, "bars": bars(found)}


def run() -> dict[str, Any]:
    """Start venue, serving and peers; ask; stop."""
    training = replace(TRAINING, trees=300, depth=6)
    with tempfile.TemporaryDirectory() as folder:
        made, home = Path(folder) / "made", Path(folder) / "home"
        made.mkdir()
        with platform(
            made, home, training=training, venue=with_venue(max_quotes_per_sec=50.0)
        ) as ours:
            version = home / "models" / NAME / "1"
            row, expected = canary(version)
            path = f"/v2/models/{NAME}/infer"
            us = Peer(OURS, ours.config.serving.port, path, v2_body(row), v2_answer)
            with all_peers(row, version / UBJSON_FILE) as others:
                return uvloop.run(measure([others[0], us, *others[1:]], expected))
