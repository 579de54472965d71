"""Promotions that die at any step leave the old champion or the new one, everywhere, never neither.

A service follows all the while: a `ModelWatch` on the same ledger and the same MLflow, polled
without pause. What it serves must be the old champion or the new one at every single poll.
"""

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.config import Config, StorageConfig
from models.inference.artifact import LoadedModel
from models.manifest import model_name, read
from models.manifest import write as write_manifest
from registry.loading import CHAMPION, RegisteredVersion, RegistryReader, local_copies
from registry.opening import join
from registry.promotion_ledger import Entry
from registry.registration import register
from registry.tracking import connect, open_run
from serving.model_watch import ModelWatch
from storage.sqlite import Ledger
from tests.e2e.conftest import made as made_fixture
from tests.e2e.stack import ROOT, SYMBOL, _made

pytestmark = pytest.mark.servers
made = made_fixture

Ask = Callable[..., dict[str, Any]]


@contextmanager
def promoter(config: Config, model: str) -> Iterator[Ask]:
    """Start the process that promotes in forked children."""
    command = [sys.executable, "-m", "tests.integration.promoter"]
    arguments = [str(config.storage.home), str(config.mlflow.port), model]
    with subprocess.Popen(
        command + arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(version: str, die_at: int = 0, wait: Path | None = None) -> dict[str, Any]:
            job = {"version": version, "die_at": die_at, "wait": wait and str(wait)}
            stdin.write(json.dumps(job) + "\n")
            stdin.flush()
            answer: dict[str, Any] = json.loads(stdout.readline())
            return answer

        yield ask
        stdin.close()


class Service:
    """What serving does to follow the registry, without the rest of it."""

    def __init__(self, config: Config, symbol: str) -> None:
        self._store = Ledger(config.storage.ledger)
        self.registry = join(config, self._store)
        self.polls: list[str] = []
        self.watch = ModelWatch(
            self.registry, config.storage.home / "served", (symbol,), self._swap
        )
        self._symbol = symbol

    async def _swap(self, symbol: str, model: LoadedModel, version: RegisteredVersion) -> None:
        assert model.version == version.version

    async def poll(self) -> str:
        await self.watch.poll()
        held = self.watch.serving.get(self._symbol)
        self.polls.append(f"{held.version}{held.alias}" if held else "none")
        return held.version if held else "none"

    def entry(self) -> Entry:
        return self.registry.ledger.history(model_name(self._symbol))[-1]

    def close(self) -> None:
        self._store.close()


@pytest.fixture
def stage(mlflow_server: Config, made: Path, tmp_path: Path) -> Iterator[tuple[Config, str]]:
    """Three real versions of a model in MLflow, and a home of their own; gives the symbol."""
    symbol = SYMBOL
    config = replace(mlflow_server, storage=StorageConfig(home=tmp_path / "home"))
    client = connect(config.mlflow)
    first = [row for row in client.search_registered_models() if row.name == model_name(symbol)]
    if first:  # of an earlier test: its versions and aliases must not count here
        client.delete_registered_model(model_name(symbol))
    folder = _made(made) / "models" / model_name(symbol)
    for number in ("1", "2", "3"):
        artifact = folder / number
        manifest = read(artifact)
        judged = {**manifest.metrics, "dsr": 1.0, "pbo": 0.0}
        write_manifest(artifact, msgspec.structs.replace(manifest, metrics=judged))
        with open_run(client, config.mlflow.experiment, "crashes", {}) as run:
            register(client, run, artifact, {"data_source": "simulator"})
    yield config, symbol
    client.delete_registered_model(model_name(symbol))


COUNTS = [12, pytest.param(200, marks=pytest.mark.proof)]


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("crashes", COUNTS)
def test_a_crash_at_any_step_leaves_the_old_or_the_new_champion(
    stage: tuple[Config, str], crashes: int, record_property: Callable[[str, object], None]
) -> None:
    config, symbol = stage
    with promoter(config, model_name(symbol)) as ask:
        died, outcomes = asyncio.run(_crash(config, symbol, ask, crashes))
    record_property("crashes", crashes)
    record_property("steps_died_at", len(died))
    record_property("old_champion_left", outcomes["old"])
    record_property("new_champion_left", outcomes["new"])
    assert outcomes["old"] + outcomes["new"] == crashes
    assert min(outcomes["old"], outcomes["new"]) > 0
    assert len(died) >= min(crashes // 3, 10)  # the crashes did not all hit the same place


async def _crash(
    config: Config, symbol: str, ask: Ask, crashes: int
) -> tuple[Counter[str], Counter[str]]:
    rng = random.Random(17)
    service = Service(config, symbol)
    try:
        champion = "1"
        whole = ask(champion)
        assert whole["signal"] == 0
        steps = len(ask("2")["steps"])
        champion = await service.poll()
        assert champion == "2"
        died: Counter[str] = Counter()
        outcomes: Counter[str] = Counter()
        for _ in range(crashes):
            wanted = rng.choice([number for number in "123" if number != champion])
            service.polls.clear()
            answer = await _poll_while(service, ask, wanted, rng.randint(1, steps))
            assert answer["signal"] == 9, answer
            died[answer["steps"][-1]] += 1
            now = await service.poll()
            allowed = {f"{champion}{CHAMPION}", f"{wanted}{CHAMPION}"}
            assert set(service.polls) <= allowed, (service.polls, answer)
            _check_consistent(config, service, symbol, now)
            outcomes["new" if now == wanted else "old"] += 1
            champion = now
        return died, outcomes
    finally:
        service.close()


async def _poll_while(service: Service, ask: Ask, version: str, die_at: int) -> dict[str, Any]:
    promotion = asyncio.create_task(asyncio.to_thread(ask, version, die_at))
    while not promotion.done():
        await service.poll()
        await asyncio.sleep(0)
    return await promotion


def _check_consistent(config: Config, service: Service, symbol: str, served: str) -> None:
    """Ledger, alias, what is served and its bytes all say the same."""
    entry = service.entry()
    assert entry.standing.champion is not None
    assert entry.standing.champion.version == served
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    assert reader.resolve(model_name(symbol), CHAMPION).version == served
    service.registry.smoke_test(entry.standing.champion)
    assert service.registry.ledger.projected(entry.model) == entry.generation


@pytest.mark.timeout(600)
@pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=pytest.mark.proof)])
def test_of_two_concurrent_promotions_one_wins_and_the_other_is_told(
    stage: tuple[Config, str],
    tmp_path: Path,
    rounds: int,
    record_property: Callable[[str, object], None],
) -> None:
    config, symbol = stage
    model = model_name(symbol)
    won: Counter[str] = Counter()
    with promoter(config, model) as one, promoter(config, model) as other:
        one("1")
        champion = "1"
        for number in range(rounds):
            pair = [version for version in "123" if version != champion]
            answers = asyncio.run(_both(one, other, pair, tmp_path / f"go{number}"))
            says = [answer["said"] for answer in answers]
            winners = [v for v, said in zip(pair, says, strict=True) if said == "every gate passed"]
            losers = [said for said in says if said.startswith("Conflict: ")]
            assert (len(winners), len(losers)) == (1, 1), says
            reader = RegistryReader(config.mlflow, local_copies(config.storage))
            champion = reader.resolve(model, CHAMPION).version
            assert champion == winners[0]
            won[champion] += 1
    record_property("rounds", rounds)
    record_property("both_succeeded", 0)
    assert sum(won.values()) == rounds


async def _both(one: Ask, other: Ask, pair: list[str], go: Path) -> list[dict[str, Any]]:
    asked = [
        asyncio.create_task(asyncio.to_thread(ask, version, 0, go))
        for ask, version in zip((one, other), pair, strict=True)
    ]
    await asyncio.sleep(0.3)  # both judge first; were one later, it would lose all the same
    go.touch()
    return list(await asyncio.gather(*asked))
