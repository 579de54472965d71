"""An asyncio loop on virtual time, with processes that can die between two callbacks.

Nothing waits: when no callback is ready, time jumps to the next timer. Everything that a simulated
process does runs in a context of its own, which every callback, timer and task inherits; when the
process is killed its callbacks are dropped unseen, as after SIGKILL. Threads do not exist here:
what is given to an executor runs on the loop after a drawn time.
"""

import asyncio
import contextvars
import selectors
from collections.abc import Callable
from random import Random
from typing import Any


class Process:
    """Who runs: `alive` is taken away by `kill`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.failures: dict[str, int] = {}
        self._on_kill: list[Callable[[], None]] = []

    def on_kill(self, act: Callable[[], None]) -> None:
        """Have the kernel do something at the end: close files, drop connections."""
        self._on_kill.append(act)

    def kill(self) -> None:
        """End without a word."""
        self.alive = False
        for act in self._on_kill:
            act()
        self._on_kill.clear()


OUTSIDE = Process("outside")
CURRENT: contextvars.ContextVar[Process] = contextvars.ContextVar("process", default=OUTSIDE)


class _NoSockets(selectors.BaseSelector):
    """Turns a wait into a jump of the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self._map: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._map[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._map.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("the simulation stands still: nothing will ever happen")
        self.now += max(timeout, 0.0)
        return []

    def get_map(self) -> Any:
        return self._map


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop. Connections are made by `network`, which is given later."""

    def __init__(self, seed: int) -> None:
        self._virtual = _NoSockets()
        super().__init__(self._virtual)
        self._rng = Random(f"loop/{seed}")
        self.network: Any = None
        self.errors: list[str] = []
        self.set_exception_handler(self._note_error)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._virtual.now

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        return super().call_soon(_guarded(callback, context), *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return super().call_at(when, _guarded(callback, context), *args, context=context)

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> Any:
        return self.call_soon(callback, *args, context=context)

    def create_task(self, coro: Any, **more: Any) -> Any:
        task = super().create_task(coro, **more)
        task._log_destroy_pending = False  # type: ignore[attr-defined] - of a killed process
        return task

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """Run `func` here, a little later: most of the time soon, sometimes after a slow disk."""
        future = self.create_future()
        slow = self._rng.random() < 0.02
        wait = self._rng.uniform(0.02, 0.4) if slow else self._rng.expovariate(1.0 / 0.0005)

        def run() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except BaseException as error:  # noqa: BLE001 - the future's owner hears of it
                future.set_exception(error)

        self.call_later(wait, run)
        return future

    async def create_connection(
        self, factory: Any, host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        return await self.network.connect(factory, port)

    async def create_server(
        self, factory: Any, host: Any = None, port: Any = None, **_: Any
    ) -> Any:
        return self.network.listen(factory, port)

    def _note_error(self, _loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.append(f"{context.get('message')}: {type(error).__name__}: {error}")


def _guarded(
    callback: Callable[..., Any], context: contextvars.Context | None
) -> Callable[..., Any]:
    # An empty context is one, and false.
    found = contextvars.copy_context() if context is None else context
    process = found.get(CURRENT, OUTSIDE)
    if process is OUTSIDE:
        return callback

    def run(*args: Any) -> None:
        if process.alive:
            callback(*args)

    return run


def start(loop: asyncio.AbstractEventLoop, process: Process, work: Any) -> "asyncio.Task[Any]":
    """Run a coroutine as the process, with everything that comes of it."""
    context = contextvars.copy_context()
    context.run(CURRENT.set, process)
    return loop.create_task(work, context=context)


def run_as(process: Process, act: Callable[..., Any], *args: Any) -> Any:
    """Call a function as the process."""
    context = contextvars.copy_context()
    context.run(CURRENT.set, process)
    return context.run(act, *args)
