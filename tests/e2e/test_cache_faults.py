"""The shared cache store killed, hung and slow under a running service: decisions keep coming.

A real Redis stands behind a wire that can be made slow. Ticks come and requests are made the whole
time. What the tail of the walk costs is measured by ``python -m benchmarks cache_faults``.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.clock import SystemClock
from core.columns import QuoteColumns
from core.config import CacheConfig
from core.instruments import DEFAULT_INSTRUMENTS
from features.cache import FeatureRow, encode_row, history_key
from features.history import ticks_of
from features.spec import spec_named
from models.manifest import read as read_manifest
from storage.packing import pack
from storage.redis import RedisCache
from tests.e2e.stack import SYMBOL, Client, Platform, platform, until, with_venue
from tests.redis_server import RedisServer, SlowWire

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]
TERMS = DEFAULT_INSTRUMENTS.by_symbol(SYMBOL)
OPEN = 2.0


def history(number: int, n: int = 700) -> dict[str, list[Any]]:
    """A history that nobody has asked for yet, long enough for columns of closed quarter hours."""
    rng = np.random.default_rng(number)
    mid = np.round(1.1 + 1e-5 * np.cumsum(rng.integers(-3, 4, n)), 5)
    ts = 1_700_000_010 * 10**9 + 6 * 10**9 * np.arange(n)
    return {"ts": ts.tolist(), "bid": mid.tolist(), "ask": (mid + 1e-5).tolist()}


def columns_of(sent: dict[str, list[Any]]) -> QuoteColumns:
    return ticks_of(sent["ts"], sent["bid"], sent["ask"], None, 1_000)


def metrics(client: Client) -> dict[str, float]:
    rows = (line.rsplit(" ", 1) for line in client.text("/metrics").splitlines())
    return {
        name.removeprefix("tickpath_").replace("_total", ""): float(value)
        for name, value in rows
        if not name.startswith("#")
    }


class Asker:
    """Asks for decisions on new histories and on the live row, without a pause."""

    def __init__(self, running: Platform) -> None:
        self._client = Client(running.config)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.answers: list[tuple[int, Any]] = []
        self.sent = 0
        self._thread.start()

    def _ask(self) -> None:
        while not self._over.is_set():
            self.sent += 1
            body: dict[str, Any] = {"symbol": SYMBOL}
            if self.sent % 2:
                body["history"] = history(1_000 + self.sent)
            self.answers.append(self._client.call("POST", "/v1/decisions", body))

    def stop(self) -> None:
        self._over.set()
        self._thread.join(10.0)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    running = RedisServer(tmp_path / "redis")
    running.start()
    yield running
    running.kill()


@pytest.fixture
def wire(server: RedisServer) -> Iterator[SlowWire]:
    slow = SlowWire(server.port)
    yield slow
    slow.close()


Fault = Callable[[RedisServer, SlowWire], None]


def kill(server: RedisServer, _wire: SlowWire) -> None:
    server.kill()


def start(server: RedisServer, _wire: SlowWire) -> None:
    server.start()


def hang(server: RedisServer, _wire: SlowWire) -> None:
    server.hang()


def go_on(server: RedisServer, _wire: SlowWire) -> None:
    server.go_on()


def slow(_server: RedisServer, wire: SlowWire) -> None:
    wire.delay_secs = 0.05


def quick(_server: RedisServer, wire: SlowWire) -> None:
    wire.delay_secs = 0.0


FAULTS: list[tuple[str, Fault, Fault, str]] = [
    ("killed", kill, start, "cache_l2_errors"),
    ("hung", hang, go_on, "cache_l2_timeouts"),
    ("slow", slow, quick, "cache_l2_timeouts"),
]


def test_redis_killed_hung_and_slow_under_load(
    made: Path, tmp_path: Path, server: RedisServer, wire: SlowWire
) -> None:
    cache = CacheConfig(
        second="redis", url=wire.url, breaker_failures=3, breaker_open_ms=200.0,
        # A machine that is busy with other things is no fault of Redis.
        store_ms=20.0, compute_ms=1_000.0,
    )  # fmt: skip
    venue = with_venue(max_quotes_per_sec=50.0)
    with platform(made, tmp_path / "home", cache=cache, venue=venue) as running:
        client = running.client
        _rows_cross_over(running, server)
        asker = Asker(running)
        try:
            for name, fault, mend, tells in FAULTS:
                _lives_through(client, asker, lambda f=fault: f(server, wire),
                               lambda m=mend: m(server, wire), name, tells)  # fmt: skip
        finally:
            asker.stop()
        assert {status for status, _ in asker.answers} == {200}
        reasons = {body["reason"] for _, body in asker.answers}
        assert not reasons & {"no_model", "warming_up"}
        assert client.call("GET", "/v1/trading-state")[1]["state"] == "ACTIVE"


def _rows_cross_over(running: Platform, server: RedisServer) -> None:
    """What serving makes another process can read, and the other way round."""
    client = running.client
    spec = spec_named(
        read_manifest(
            running.config.storage.home / "models" / f"direction-{SYMBOL}" / "1"
        ).spec_name
    )
    mine, theirs = history(1), history(2)
    _, made_row = client.call("POST", "/v1/features", {"symbol": SYMBOL, "history": mine})
    assert made_row["source"] == "computed"
    values = np.arange(spec.n_features, dtype=np.float32)
    planted = FeatureRow(values, spec.fingerprint, 0, 5, SystemClock().now_ns())

    async def exchange() -> bytes | None:
        store = RedisCache(server.url)
        key = history_key(spec, SYMBOL, TERMS.pip, columns_of(theirs))
        await store.put({key: pack(encode_row(planted), 8_192)}, 60.0)
        wanted = history_key(spec, SYMBOL, TERMS.pip, columns_of(mine))
        found = None
        async with asyncio.timeout(20.0):
            while found is None:
                found = await store.get(wanted)
        await store.close()
        return found

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, exchange()).result()
    _, read = client.call("POST", "/v1/features", {"symbol": SYMBOL, "history": theirs})
    assert (read["source"], list(read["values"].values())) == ("l2", values.tolist())
    _, again = client.call("POST", "/v1/features", {"symbol": SYMBOL, "history": theirs})
    assert again["source"] == "l1"


def _lives_through(
    client: Client,
    asker: Asker,
    fault: Callable[[], None],
    mend: Callable[[], None],
    name: str,
    tells: str,
) -> None:
    before = metrics(client)
    assert before["cache_breaker_state"] == 0.0
    fault()
    until(f"{name}: breaker open", lambda: metrics(client)["cache_breaker_state"] == OPEN)
    opened = metrics(client)
    asked = len(asker.answers)

    def walked() -> bool:
        now = metrics(client)
        walks = now['stage_samples{stage="decide"}'] - opened['stage_samples{stage="decide"}']
        skipped = now["cache_l2_skipped"] - opened["cache_l2_skipped"]
        return walks >= 50 and skipped >= 10 and len(asker.answers) - asked >= 20

    until(f"{name}: ticks and requests are decided on while it is away", walked)
    away = metrics(client)
    assert away[tells] > before[tells]
    assert away["cache_breaker_opened"] > before["cache_breaker_opened"]
    assert away["cache_breaker_probes"] >= before["cache_breaker_probes"]
    assert away["cache_breaker_closed"] == before["cache_breaker_closed"]
    mend()
    until(f"{name}: breaker closed", lambda: metrics(client)["cache_breaker_state"] == 0.0)
    after = metrics(client)
    assert after["cache_breaker_closed"] > before["cache_breaker_closed"]
    until(
        f"{name}: rows are written again",
        lambda: metrics(client)["cache_l2_written"] > after["cache_l2_written"],
    )
    assert after["event_failures"] == before["event_failures"]
    assert after["shared_rows_told"] > before["shared_rows_told"]


def test_the_embedded_store_needs_no_server_and_tells_the_same(made: Path, tmp_path: Path) -> None:
    patient = CacheConfig(compute_ms=1_000.0)
    venue = with_venue(max_quotes_per_sec=50.0)
    with platform(made, tmp_path / "home", cache=patient, venue=venue) as running:
        client, sent = running.client, history(7)
        body = {"symbol": SYMBOL, "history": sent}
        first = client.call("POST", "/v1/decisions", body)
        assert first[0] == 200
        until(
            "in the first level",
            lambda: client.call("POST", "/v1/features", body)[1]["source"] == "l1",
        )
        status, live = client.call("POST", "/v1/features", {"symbol": SYMBOL})
        assert (status, live["source"]) == (200, "live")
        assert live["quote_seq"] > 0
        told = metrics(client)
        for stage, budget in (
            ("cache_l1", 0.001), ("cache_l2", 0.005), ("feature_compute", 0.025),
            ("cache_store", 0.002),
        ):  # fmt: skip
            assert told[f'stage_budget_seconds{{stage="{stage}"}}'] == budget
            assert f'stage_over_budget{{stage="{stage}"}}' in told
            assert told[f'stage_samples{{stage="{stage}"}}'] >= 1
        assert told["cache_l1_hits"] >= 1
        assert told["cache_l1_rows"] >= 1
        assert told['stage_samples{stage="cache_hit_age"}'] >= 1
        assert told[f'prediction_n{{symbol="{SYMBOL}"}}'] >= 1
