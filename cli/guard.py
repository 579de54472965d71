"""Runs one service and answers for its descendants: ``python -m cli.guard SIGNAL SECS argv``.

The parent holds the write end of our standard input. When that pipe closes, because the parent
wants the service stopped or because the parent died in any way, the service gets SIGNAL, then SECS
to leave, and whatever is left of its tree is killed. As a subreaper the guard inherits orphaned
grandchildren (Prefect's flow runs, MLflow's workers), so none can escape. If the guard itself is
killed, the kernel kills the service (PR_SET_PDEATHSIG).
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

import psutil  # type: ignore[import-untyped]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TICK_SECS = 0.1
_LINUX = sys.platform == "linux"


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _die_with(parent: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call above
        os._exit(1)


class _Guard:
    def __init__(self, argv: Sequence[str], stop_signal: signal.Signals, grace: float) -> None:
        self._stop_signal = stop_signal
        self._grace = grace
        self._stopping = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        me = os.getpid()
        self._service = subprocess.Popen(  # noqa: S603 (the supervisor's own list)
            argv,
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: _die_with(me),  # noqa: PLW1509 (this process has one thread)
        )

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def run(self) -> int:
        """Wait for the service or the parent to end; return the service's exit code."""
        while self._service.poll() is None and not self._stopping:
            readable, _, _ = select.select([0], [], [], _TICK_SECS)
            self._stopping = bool(readable) and not os.read(0, 64)
            self._reap_orphans()
        if self._service.poll() is None:
            self._service.send_signal(self._stop_signal)
            self._wait_gone()
        self._kill_tree()
        return self._service.wait()

    def _reap_orphans(self) -> None:
        for child in psutil.Process().children():
            if child.pid != self._service.pid and child.status() == psutil.STATUS_ZOMBIE:
                child.wait(0)

    def _wait_gone(self) -> None:
        deadline = time.monotonic() + self._grace
        while self._service.poll() is None and time.monotonic() < deadline:
            time.sleep(_TICK_SECS / 5)

    def _kill_tree(self) -> None:
        """Kill until no descendant is left: a dying process may still be forking."""
        while left := psutil.Process().children(recursive=True):
            for process in left:
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue
            psutil.wait_procs(left, timeout=1.0)


def main(arguments: Sequence[str]) -> int:
    """Run ``SIGNAL SECS argv...``; the exit code is the service's, negative for a signal."""
    stop_signal, grace, *argv = arguments
    return _Guard(argv, signal.Signals[stop_signal], float(grace)).run()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.exit(code if code >= 0 else 128 - code)
