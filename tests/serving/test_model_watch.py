"""The alias is followed whatever one poll runs into."""

import asyncio
from pathlib import Path

import pytest

from core.errors import NotFound, Unavailable
from registry.loading import RegisteredVersion
from serving.model_watch import ModelWatch


class Registry:
    """Raises what it is told to, by model name."""

    def __init__(self) -> None:
        self.failures: dict[str, Exception] = {}
        self.asked: list[str] = []

    def resolve_serving(self, model: str) -> RegisteredVersion:
        self.asked.append(model)
        raise self.failures.get(model, NotFound(f"no {model}"))

    def fetch(self, version: RegisteredVersion) -> Path:
        raise NotFound("nothing to fetch")

    def roll_back(self, model: str, *, actor: str, reason: str, version: str = "") -> object:
        raise NotFound(f"no {model}")


async def swap(*_: object) -> None:
    raise AssertionError("nothing is to be swapped")


def watch_on(registry: Registry, home: Path) -> ModelWatch:
    return ModelWatch(registry, home, ("EURUSD", "GBPUSD"), swap)


async def polls(watch: ModelWatch, registry: Registry, count: int) -> None:
    task = asyncio.create_task(watch.poll_forever(0.0))
    async with asyncio.timeout(20):
        while registry.asked.count("direction-EURUSD") < count and not task.done():
            await asyncio.sleep(0.001)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("error", [OSError(28, "no space"), ZeroDivisionError("bug")])
def test_polling_survives_an_error_and_goes_on(tmp_path: Path, error: Exception) -> None:
    registry = Registry()
    registry.failures["direction-EURUSD"] = error
    watch = watch_on(registry, tmp_path)
    asyncio.run(polls(watch, registry, 3))
    assert watch.refusals + watch.failures >= 2


def test_one_symbols_full_disk_does_not_keep_others_from_being_looked_at(tmp_path: Path) -> None:
    registry = Registry()
    registry.failures["direction-EURUSD"] = OSError(28, "no space")
    watch = watch_on(registry, tmp_path)
    asyncio.run(watch.poll())
    assert registry.asked == ["direction-EURUSD", "direction-GBPUSD"]
    assert "no space" in watch.refused["EURUSD"]


def test_an_unreachable_registry_is_asked_once_a_round(tmp_path: Path) -> None:
    registry = Registry()
    registry.failures["direction-EURUSD"] = Unavailable("away")
    watch = watch_on(registry, tmp_path)
    asyncio.run(watch.poll())
    assert registry.asked == ["direction-EURUSD"]
    assert not watch.reachable


def test_a_local_copy_that_cannot_be_read_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "direction-EURUSD"
    folder.mkdir()
    (folder / "serving.json").write_bytes(b"{")

    def refuse(_: Path) -> bytes:
        raise PermissionError("not yours")

    asyncio.run(watch_on(Registry(), tmp_path).restore())
    assert "cannot be read" in caplog.text
    monkeypatch.setattr(Path, "read_bytes", refuse)
    asyncio.run(watch_on(Registry(), tmp_path).restore())
    assert "not yours" in caplog.text


def test_a_notice_ends_the_wait_for_the_next_poll(tmp_path: Path) -> None:
    async def walk() -> None:
        registry = Registry()
        registry.failures["direction-EURUSD"] = Unavailable("away")
        watch = watch_on(registry, tmp_path)
        task = asyncio.create_task(watch.poll_forever(3_600.0))
        async with asyncio.timeout(20):
            for polls in (1, 2, 3):
                while len(registry.asked) < polls:
                    await asyncio.sleep(0.001)
                watch.wake()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(walk())
