"""The supervisor leaves no process behind, in whatever way it ends."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cli.supervisor import Service, Supervisor, free_port
from core.config import Config, StorageConfig
from core.errors import BadInput, Unavailable
from flows.environment import environment

pytestmark = pytest.mark.servers

# A service as bad as they come: it and its detached grandchild ignore every polite signal.
STUBBORN = """
import os, signal, subprocess, sys, time, pathlib
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
child = subprocess.Popen(
    [sys.executable, "-c", "import signal as s, time; s.signal(15, s.SIG_IGN); time.sleep(600)"],
    start_new_session=True,
)
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {child.pid}")
time.sleep(600)
"""
POLITE = """
import pathlib, signal, sys, time
def leave(number, frame):
    pathlib.Path(sys.argv[1]).write_text(signal.Signals(number).name)
    raise SystemExit(0)
signal.signal(signal.SIGINT, leave)
signal.signal(signal.SIGTERM, leave)
pathlib.Path(sys.argv[1]).write_text("up")
time.sleep(600)
"""


def _config(home: Path) -> Config:
    return Config(storage=StorageConfig(home=home))


def _service(name: str, source: str, note: Path, **changes: object) -> Service:
    service = Service(
        name=name,
        argv=(sys.executable, "-c", source, str(note)),
        env=environment(_config(note.parent)),
        ready=lambda: note.exists() and note.read_text() != "",
        grace_secs=0.3,
        deadline_secs=30,
    )
    return replace(service, **changes)  # type: ignore[arg-type]


def _eventually(holds: Callable[[], bool], secs: float = 30.0) -> bool:
    deadline = time.monotonic() + secs
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _pids(note: Path) -> list[int]:
    return [int(pid) for pid in note.read_text().split()]


def test_a_stubborn_tree_is_gone_when_stop_returns(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    with Supervisor(_config(tmp_path)) as supervisor:
        supervisor.start(_service("stubborn", STUBBORN, note))
        pids = _pids(note)
        assert len(pids) == 2
        assert all(_alive(pid) for pid in pids)
    assert not any(_alive(pid) for pid in pids)


def test_services_stop_newest_first_with_their_own_signal(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    first, second = tmp_path / "first", tmp_path / "second"
    progress = lambda name, state, secs: told.append((name, state))  # noqa: E731
    with Supervisor(_config(tmp_path), progress) as supervisor:
        supervisor.start(_service("server", POLITE, first, grace_secs=20.0))
        supervisor.start(_service("worker", POLITE, second, grace_secs=20.0, stop_signal="SIGINT"))
        assert supervisor.dead() == {}
    assert (first.read_text(), second.read_text()) == ("SIGTERM", "SIGINT")
    assert told[-2:] == [("worker", "stopped"), ("server", "stopped")]


def test_a_killed_supervisor_takes_everything_with_it(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    code = textwrap.dedent("""
        import sys, time, pathlib
        sys.path.insert(0, sys.argv[3])
        import test_supervisor as t
        note = pathlib.Path(sys.argv[1])
        with t.Supervisor(t._config(note.parent)) as supervisor:
            supervisor.start(t._service("stubborn", t.STUBBORN, note))
            pathlib.Path(sys.argv[2]).write_text(str(supervisor.guard_pid("stubborn")))
            time.sleep(600)
    """)
    ready, here = tmp_path / "ready", str(Path(__file__).parent)
    victim = subprocess.Popen(
        [sys.executable, "-c", code, str(note), str(ready), here],
        env=environment(_config(tmp_path)),
    )
    try:
        assert _eventually(lambda: ready.exists() and ready.read_text() != "")
        pids = [*_pids(note), int(ready.read_text())]
        assert all(_alive(pid) for pid in pids)
    finally:
        victim.kill()
        victim.wait()
    assert _eventually(lambda: not any(_alive(pid) for pid in pids))


def test_a_killed_guard_takes_its_service_with_it(tmp_path: Path) -> None:
    note = tmp_path / "note"
    with Supervisor(_config(tmp_path)) as supervisor:
        supervisor.start(_service("polite", POLITE, note))
        guard = supervisor.guard_pid("polite")
        (service,) = psutil.Process(guard).children()
        os.kill(guard, signal.SIGKILL)
        assert _eventually(lambda: not _alive(service.pid))
        assert _eventually(lambda: supervisor.dead() == {"polite": -signal.SIGKILL})


def test_a_service_that_exits_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = _service("broken", "print('no such database'); raise SystemExit(3)", tmp_path / "x")
    with (
        Supervisor(_config(tmp_path)) as supervisor,
        pytest.raises(Unavailable, match=r"(?s)broken exited with code 3.*no such database"),
    ):
        supervisor.start(broken)


def test_a_service_that_never_answers_misses_its_deadline(tmp_path: Path) -> None:
    silent = _service("silent", POLITE, tmp_path / "x", ready=lambda: False, deadline_secs=0.5)
    with (
        Supervisor(_config(tmp_path)) as supervisor,
        pytest.raises(Unavailable, match="silent is not ready"),
    ):
        supervisor.start(silent)


def test_an_address_in_use_is_refused_before_anything_starts(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken, Supervisor(_config(tmp_path)) as supervisor:
        taken.bind(("127.0.0.1", free_port()))
        taken.listen()
        service = _service("late", POLITE, tmp_path / "x", address=taken.getsockname())
        with pytest.raises(BadInput, match="already in use"):
            supervisor.start(service)
        assert not supervisor.log_of("late").exists()
