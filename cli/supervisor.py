"""Starts the platform's processes, waits for their health, and leaves none of them behind."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from core.config import Config
from core.errors import BadInput, SettingsError, Unavailable
from flows.environment import ROOT

_POLL_SECS = 0.1
_TAIL_BYTES = 2_000
_KILL_MARGIN_SECS = 10.0

Progress = Callable[[str, str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One process of the platform and how to tell that it is well.

    Attributes
    ----------
    ready : callable
        True once the service answers; must return quickly and must not raise.
    address : (host, port), optional
        Where it will listen; refused before the start when something listens there already, since
        `ready` would then look at the wrong process.
    deadline_secs : float
        How long it may take to become ready.
    stop_signal : str
        Name of the signal that asks it to leave; SIGKILL follows after `grace_secs`.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    ready: Callable[[], bool]
    address: tuple[str, int] | None = None
    deadline_secs: float = 90.0
    stop_signal: str = "SIGTERM"
    grace_secs: float = 10.0


class _Child:
    """A started service under its guard."""

    def __init__(self, service: Service, log: Path, root: Path) -> None:
        self.service = service
        self.log = log
        self.started = time.monotonic()
        guard = [sys.executable, "-m", "cli.guard", service.stop_signal, str(service.grace_secs)]
        with log.open("ab") as out:
            self.process = subprocess.Popen(  # noqa: S603 (our own services)
                [*guard, *service.argv],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=dict(service.env),
                cwd=root,
                start_new_session=True,
            )

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def tail(self) -> str:
        """Last lines of the log of this service."""
        return self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").strip()

    def close(self) -> None:
        """Let the guard stop the service; waits until its whole tree is gone."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(self.service.grace_secs + _KILL_MARGIN_SECS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        finally:
            # Only when the guard was killed is anything of its group left.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


class Supervisor:
    """Owns a set of services; a context manager that stops them in reverse order of start.

    Parameters
    ----------
    config : Config
        Logs go to ``logs/<service>.log`` under its `storage.home`.
    progress : callable, optional
        Called with (service, "starting" | "ready" | "stopped", seconds since its start).
    root : Path
        The current folder of every child.
    """

    def __init__(
        self, config: Config, progress: Progress | None = None, *, root: Path = ROOT
    ) -> None:
        self._root = root
        self._logs = root / config.storage.home / "logs"
        self._progress: Progress = progress or (lambda name, state, secs: None)
        self._children: dict[str, _Child] = {}

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, *services: Service) -> None:
        """Start services side by side and wait until all are ready.

        Raises
        ------
        BadInput
            When an address is taken already, or its host does not exist.
        Unavailable
            When one exits or misses its deadline; the message ends with the tail of its log.
        """
        self.launch(*services)
        self.wait_ready(*(service.name for service in services))

    def launch(self, *services: Service) -> None:
        """Start services without waiting; raises BadInput like `start`."""
        for service in services:
            if service.address and _listening(service.address):
                host, port = service.address
                raise BadInput(f"{service.name} cannot start: {host}:{port} is already in use")
            self._progress(service.name, "starting", 0.0)
            child = _Child(service, self.log_of(service.name), self._root)
            self._children[service.name] = child

    def wait_ready(self, *names: str) -> None:
        """Wait until launched services are ready; raises Unavailable like `start`."""
        for name in names:
            self._await_ready(self._children[name])

    def _await_ready(self, child: _Child) -> None:
        name = child.service.name
        while not child.service.ready():
            if (code := child.process.poll()) is not None:
                raise Unavailable(f"{name} exited with code {code}; its log ends:\n{child.tail()}")
            if child.elapsed > child.service.deadline_secs:
                secs = f"{child.elapsed:.0f} s"
                raise Unavailable(
                    f"{name} is not ready after {secs}; its log ends:\n{child.tail()}"
                )
            time.sleep(_POLL_SECS)
        self._progress(name, "ready", child.elapsed)

    def log_of(self, name: str) -> Path:
        """Log file of a service."""
        return self._logs / f"{name}.log"

    def dead(self) -> dict[str, int]:
        """Exit codes of the services that ended by themselves."""
        codes = {name: child.process.poll() for name, child in self._children.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def guard_pid(self, name: str) -> int:
        """Process id of the guard of a service; its session holds the service."""
        return self._children[name].process.pid

    def stop(self, *names: str) -> None:
        """Stop the named services, or all, newest first; returns when nothing of them is left."""
        for name in names or tuple(reversed(self._children)):
            child = self._children.pop(name)
            child.close()
            self._progress(name, "stopped", child.elapsed)


def _listening(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        try:
            return probe.connect_ex(address) == 0
        except (socket.gaierror, UnicodeError):
            raise SettingsError(f"{address[0]!r} is the name of no host") from None


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
