"""Steps at which a process can die, and a way to have it die at one of them.

A step is a call that something outside of the process sees: a write to a file, a sync, a rename,
bytes to or from a socket. It is named by what is called and by whom, as in
``pwrite FileJournal.append``, and on a socket by its first message, as in ``send 35=D``. Nothing of
this is in the product: `install` wraps the calls in the process that is to be killed.
"""

import os
import re
import signal
import sys
import threading
from asyncio import selector_events
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from fix.link import Link

BEFORE, TORN, AFTER = "before", "torn", "after"
_MSG_TYPE = re.compile(rb"\x0135=([^\x01]+)\x01")
OURS = ("trading.", "fix.", "serving.", "storage.", "core.", "market.")


class Death(NamedTuple):
    """Where to die: at the `nth` time of a step, before it, in the middle or right behind it."""

    step: str
    nth: int
    moment: str


class Steps:
    """Counts the steps of this process and kills it at the wished one."""

    def __init__(self, death: Death | None) -> None:
        self._death = death
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()

    def install(self) -> None:
        """Wrap the calls; for the rest of the life of the process."""
        for name in ("fdatasync", "fsync", "ftruncate", "rename", "posix_fallocate"):
            setattr(os, name, self._plain(name, getattr(os, name)))
        os.pwrite = self._writing("pwrite", os.pwrite, 1)
        os.write = self._writing("write", os.write, 1)
        transport: Any = selector_events._SelectorSocketTransport
        transport.write = self._writing("send", transport.write, 1)
        link: Any = Link
        link.data_received = self._plain("receive", link.data_received, 1)

    def _plain(self, kind: str, call: Callable[..., Any], at: int = -1) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            moment = self._enter(kind, arguments[at] if at >= 0 else b"")
            self._die_if(moment == BEFORE)
            result = call(*arguments, **named)
            self._die_if(moment is not None)
            return result

        return step

    def _writing(self, kind: str, call: Callable[..., Any], at: int) -> Callable[..., Any]:
        """Wrap a call whose argument `at` is what is written; torn is the first half of it."""

        def step(*arguments: Any) -> Any:
            moment = self._enter(kind, arguments[at] if kind == "send" else b"")
            self._die_if(moment == BEFORE)
            if moment == TORN:
                data = bytes(arguments[at])
                call(*arguments[:at], data[: len(data) // 2], *arguments[at + 1 :])
                self._die_if(True)
            result = call(*arguments)
            self._die_if(moment is not None)
            return result

        return step

    def _enter(self, kind: str, wire: bytes) -> str | None:
        """Count the step; return the moment of it at which to die, if it is the one."""
        found = _MSG_TYPE.search(bytes(wire))
        name = f"{kind} 35={found[1].decode()}" if found else f"{kind} {_caller()}"
        with self._lock:
            self.counts[name] += 1
            if self._death is None or self._death[:2] != (name, self.counts[name]):
                return None
        return self._death.moment

    def _die_if(self, now: bool) -> None:
        if now:
            os.kill(os.getpid(), signal.SIGKILL)


def _caller() -> str:
    """Class and name of the nearest function of ours."""
    frame = sys._getframe(3)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(OURS):
            return str(frame.f_code.co_qualname)
        frame = frame.f_back  # type: ignore[assignment]
    return "elsewhere"


def moments_of(step: str) -> tuple[str, ...]:
    """Moments of a step at which a process can die."""
    written = step.startswith(("pwrite ", "write ", "send "))
    return (BEFORE, TORN, AFTER) if written else (BEFORE, AFTER)
