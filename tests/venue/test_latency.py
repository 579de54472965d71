"""The order latency: in order, not early, and without a busy wait."""

import asyncio

import pytest
import uvloop

from venue.latency import DelayQueue


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
@pytest.mark.parametrize("delay_secs", [0.0002, 0.003])
def test_actions_run_in_order_without_a_busy_wait(run: object, delay_secs: float) -> None:
    looks = 0

    class Counted(DelayQueue):
        def _run(self, loop: asyncio.AbstractEventLoop) -> None:
            nonlocal looks
            looks += 1
            super()._run(loop)

    async def work() -> list[int]:
        queue, done, seen = Counted(delay_secs), asyncio.Event(), []
        for number in range(5):
            queue.put(lambda number=number: seen.append(number))  # type: ignore[misc]
        queue.put(done.set)
        assert not seen
        await done.wait()
        return seen

    assert run(work()) == [0, 1, 2, 3, 4]  # type: ignore[operator]
    # Six actions that came together are due together; a timer may come early once or twice.
    assert looks <= 6


def test_no_latency_is_no_detour() -> None:
    seen: list[int] = []
    DelayQueue(0.0).put(lambda: seen.append(1))
    assert seen == [1]
