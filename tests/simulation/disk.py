"""The disk as simulated processes see it: real files, and system calls that fail or come last.

The modules that write what must survive reach `os` through `DiskOs`. It looks up which process
calls and what its `Disk` has in store: a write that fails or is cut short, a sync that fails, or
SIGKILL right before or right after a write.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from tests.simulation.loop import CURRENT, Process

MODULES = ("trading.journal", "fix.store", "venue.store")


class Killed(BaseException):
    """Unwinds what the killed process was doing; no handler of the house takes it."""


@dataclass
class Disk:
    """What the calls of one process will meet.

    Attributes
    ----------
    kill_in : int
        Count of writes until SIGKILL; 0 is never.
    kill_after : bool
        Whether the last write still happens.
    fail_writes, cut_writes, fail_syncs : int
        How many of the next calls fail, are cut short, fail.
    """

    kill_in: int = 0
    kill_after: bool = False
    fail_writes: int = 0
    cut_writes: int = 0
    fail_syncs: int = 0


DISKS: dict[Process, Disk] = {}


class DiskOs:
    """Stands in for the module `os`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, fd: int, data: Any) -> int:
        return _written(lambda part: os.write(fd, part), data)

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        return _written(lambda part: os.pwrite(fd, part, offset), data)

    def fdatasync(self, fd: int) -> None:
        disk = DISKS.get(CURRENT.get())
        if disk is not None and disk.fail_syncs:
            disk.fail_syncs -= 1
            raise OSError(errno.EIO, "simulated")

    fsync = fdatasync


def _written(write: Any, data: Any) -> int:
    process = CURRENT.get()
    disk = DISKS.get(process)
    if disk is None:
        return int(write(data))
    last = False
    if disk.kill_in:
        disk.kill_in -= 1
        last = not disk.kill_in
    if last and not disk.kill_after:
        process.kill()
        raise Killed
    if disk.fail_writes:
        disk.fail_writes -= 1
        raise OSError(errno.ENOSPC, "simulated")
    if disk.cut_writes:
        disk.cut_writes -= 1
        data = bytes(data)[: len(data) // 2]
    done = int(write(data))
    if last:
        process.kill()
        raise Killed
    return done


@contextmanager
def simulated_disk() -> Iterator[None]:
    """Have the modules use it."""
    patches = [mock.patch(f"{module}.os", DiskOs()) for module in MODULES]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in patches:
            patch.stop()
        DISKS.clear()
