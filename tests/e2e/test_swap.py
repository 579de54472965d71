"""The alias moves while requests run: every answer is whole and of one version."""

import asyncio
import threading
from collections import Counter
from pathlib import Path

import httpx
import pytest

from core.errors import NotFound, Unavailable
from core.instruments import DEFAULT_INSTRUMENTS
from registry.loading import RegisteredVersion
from serving.app import create_app
from serving.homes import homes_of
from serving.wiring import open_runtime
from storage.parquet import TickStore
from tests.e2e.stack import SYMBOL, config_for, make_home, registered, with_venue
from venue.server import VenueServer
from venue.tape import load_tape

MODEL = f"direction-{SYMBOL}"


class FakeRegistry:
    """An alias that the test moves, over verified local folders; can be away or broken."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._pointer: RegisteredVersion | None = None
        self.away = False

    def move(self, version: str, alias: str = "champion", sha256: str | None = None) -> None:
        pointer = registered(self._home, version, alias)
        if sha256 is not None:
            pointer = RegisteredVersion(MODEL, version, pointer.source, sha256, alias)
        with self._lock:
            self._pointer = pointer

    def resolve_serving(self, model: str) -> RegisteredVersion:
        with self._lock:
            if self.away:
                raise Unavailable("the registry is away")
            if model != MODEL or self._pointer is None:
                raise NotFound(f"no model {model}")
            return self._pointer

    def fetch(self, version: RegisteredVersion) -> Path:
        return self._home / "models" / version.model / version.version

    def roll_back(self, model: str, *, actor: str, reason: str, version: str = "") -> object:
        raise NotFound(f"no history of {model}")


@pytest.mark.timeout(120)
def test_alias_moves_while_requests_run(made: Path, tmp_path: Path) -> None:
    asyncio.run(_swap_under_load(make_home(made, tmp_path / "home")))


async def _swap_under_load(home: Path) -> None:
    config = config_for(home, venue=with_venue(max_quotes_per_sec=500.0))
    registry = FakeRegistry(home)
    registry.move("1")
    store = TickStore(config.storage.ticks)
    ts = store.read(SYMBOL).ts
    tape = load_tape(store, DEFAULT_INSTRUMENTS, [SYMBOL], int(ts[len(ts) // 2]))
    folder = homes_of(config).venue
    server = VenueServer(tape, DEFAULT_INSTRUMENTS, config.venue, config.fix, folder)
    await server.start()
    try:
        async with open_runtime(config, registry=registry) as runtime:
            transport = httpx.ASGITransport(create_app(runtime))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                await _until(client, lambda answer: answer.get("model_version") == "1")
                await _check(client, registry, runtime)
    finally:
        await server.close()


PROMISED_SECS = 5.0  # from moving the alias to the first answer of the version


async def _check(client, registry, runtime) -> None:  # type: ignore[no-untyped-def]
    seen: Counter[tuple[str, str]] = Counter()
    stop = asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            answer = await client.post("/v1/decisions", json={"symbol": SYMBOL})
            assert answer.status_code == 200, answer.text
            body = answer.json()
            approved = "not_approved" if body["reason"] == "model_not_approved" else "approved"
            seen[body["model_version"], approved] += 1
            await asyncio.sleep(0)

    askers = [asyncio.create_task(ask()) for _ in range(4)]
    for version, alias in (("2", "champion"), ("1", "champion"), ("2", "bootstrap")):
        registry.move(version, alias)
        await _until(client, lambda a, v=version: a["model_version"] == v, PROMISED_SECS)
        shown = (await client.get("/v1/models")).json()[0]
        assert (shown["version"], shown["alias"]) == (version, alias)
    await _until(client, lambda a: a["reason"] == "model_not_approved")
    registry.move("1", sha256="0" * 64)  # a version that does not verify is never served
    async with asyncio.timeout(20):
        while not runtime.watch.refused:
            await asyncio.sleep(0.01)
    registry.away = True  # the registry going away changes nothing
    async with asyncio.timeout(20):
        while runtime.watch.reachable:
            await asyncio.sleep(0.01)
    assert (await client.get("/v1/models")).json()[0]["version"] == "2"
    stop.set()
    await asyncio.gather(*askers)
    # Version 1 was only ever approved: one that is not would be a mix of two pointers.
    assert set(seen) <= {("1", "approved"), ("2", "approved"), ("2", "not_approved")}
    assert {version for version, _ in seen} == {"1", "2"}


async def _until(client, holds, secs=20.0) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(secs):
        while True:
            answer = await client.post("/v1/decisions", json={"symbol": SYMBOL})
            if answer.status_code == 200 and holds(answer.json()):
                return
            await asyncio.sleep(0.01)
