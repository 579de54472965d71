"""The file that processes share a study by: Optuna's journal under locks of the kernel.

Optuna's own file locks are files or links that a killed process leaves behind; the next one waits
half a minute before it breaks them. A lock of the kernel (``flock``) ends with its process, so it
also tells whether the process that began a trial is still there, without heartbeats or time-outs.
"""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.storages.journal._file import BaseJournalFileLock

_TAIL = 1 << 16


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock file `path` exclusively; waits for whoever holds it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class JournalLock(BaseJournalFileLock):
    """Lock of a journal, as Optuna wants it; the holder may append.

    A process that was killed in the middle of a line would spoil the line of the next one, so what
    follows the last whole line is cut off before anything is appended.
    """

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._path = journal.with_suffix(".lock")
        self._descriptor = -1

    def acquire(self) -> bool:
        """Wait for the lock and mend the end of the journal."""
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        _cut_torn_line(self._journal)
        return True

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)


def _cut_torn_line(journal: Path) -> None:
    with journal.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - _TAIL)
        file.seek(start)
        tail = file.read()
        if tail and not tail.endswith(b"\n"):
            file.truncate(start + tail.rfind(b"\n") + 1)


def open_journal(path: Path) -> JournalStorage:
    """Open or make the journal at `path`; several processes may have it open."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=JournalLock(path)))


class Presence:
    """A name that is taken for as long as this process lives.

    Parameters
    ----------
    folder : Path
        Holds a lock file for each name.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = uuid.uuid4().hex
        self._path = folder / self.name
        self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def end(self) -> None:
        """Give the name up."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def is_present(folder: Path, name: str) -> bool:
    """Tell whether the process that took `name` still lives."""
    try:
        descriptor = os.open(folder / name, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
