"""A background task that dies is named, and told to whoever halts trading."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from serving.tasks import BackgroundTasks


def test_a_death_is_named_and_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    async def work() -> None:
        async with AsyncExitStack() as stack:
            tasks = BackgroundTasks(stack, told.append)

            async def fails() -> None:
                raise OSError(28, "no space")

            async def lives() -> None:
                await asyncio.Event().wait()

            tasks.run("models", fails())
            tasks.run("timer", lives())
            while not tasks.dead:
                await asyncio.sleep(0)
            assert list(tasks.dead) == ["models"]
        assert list(tasks.dead) == ["models"]  # being cancelled is no death

    asyncio.run(work())
    assert told == ["background task models ended: [Errno 28] no space"]
    assert "models" in caplog.text
