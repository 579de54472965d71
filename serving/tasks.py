"""Background tasks that are missed when they die."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

log = logging.getLogger(__name__)


class BackgroundTasks:
    """Starts tasks that run until the platform closes.

    One that ends by an error is named in `dead` for good, and told: what it watched over is not
    watched any more, so nothing may be traded on it.

    Parameters
    ----------
    stack : AsyncExitStack
        Cancels each task on the way down.
    on_death : callable
        Told why, in one sentence.
    """

    def __init__(self, stack: AsyncExitStack, on_death: Callable[[str], None]) -> None:
        self._stack = stack
        self._on_death = on_death
        self.dead: dict[str, str] = {}

    def run(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Start one task."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)

        async def stop() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(stop)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        name = task.get_name()
        self.dead[name] = str(error) or type(error).__name__
        log.critical("task %s ended: %s", name, error, exc_info=error)
        self._on_death(f"background task {name} ended: {error}")
