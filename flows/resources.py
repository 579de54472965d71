"""What every flow needs: settings, a progress bar in the UI, and when a retry makes sense."""

from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from prefect import Task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import State, TaskRun

from core.config import Config
from core.errors import Unavailable
from core.settings import load_config
from features.user import load_modules
from flows.environment import absolute

RETRIES = 2
RETRY_DELAY_SECS = [2.0, 10.0]
"""Longer from time to time; only what `retry_if_unavailable` finds transient is tried again."""


@lru_cache(maxsize=1)
def settings() -> Config:
    """Return the settings of this process, read once."""
    config = absolute(load_config())
    load_modules(config.features.modules)
    return config


async def retry_if_unavailable(task: Task[Any, Any], run: TaskRun, state: State[Any]) -> bool:
    """Retry what a busy server may have caused; bad input stays bad."""
    error = await state.aresult(raise_on_failure=False)
    return isinstance(error, Unavailable)


class ProgressBar:
    """A progress artifact, created at the first step, updated by calling (done, of, what)."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._artifact: UUID | None = None

    def __call__(self, done: int, of: int, what: str) -> None:
        """Show `done` of `of` steps and what was just done."""
        percent = 100.0 * done / max(of, 1)
        if self._artifact is None:
            # Called from synchronous code it returns the id itself.
            self._artifact = cast(UUID, create_progress_artifact(percent, self._key, what))
        else:
            update_progress_artifact(self._artifact, percent, what)
