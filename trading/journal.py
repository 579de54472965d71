"""The journal: an append-only, chained, locked log, written before anything leaves the process.

Two files in one folder: ``journal.log`` (records of `core.hash_chain`) and ``journal.mark`` (how
far the log is known to be on the disk). Behind the mark a record that does not verify is the torn
end of a crash and is cut; before the mark it means that the log cannot be trusted.
"""

import fcntl
import os
import threading
from pathlib import Path
from typing import NamedTuple

from core import hash_chain
from core.errors import JournalCorrupt, JournalError, JournalLocked
from trading.sync_mark import Mark, SyncMark


class Cut(NamedTuple):
    """What was cut from the unsynced end of the log at start."""

    offset: int
    size: int
    reason: str


class FileJournal:
    """The journal of one account; at most one process holds it.

    Parameters
    ----------
    folder : Path
        Created when missing.
    strict : bool
        Sync in `append`, before anything is sent, instead of in a group behind.

    Raises
    ------
    JournalLocked
        When another process holds the journal.
    JournalCorrupt
        When a synced record does not verify.
    """

    def __init__(self, folder: Path, *, strict: bool = False) -> None:
        self._strict = strict
        self._sync_lock = threading.Lock()
        self._end = Mark(0, hash_chain.GENESIS)
        self.healthy = True
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "journal.log"
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock()
            self._mark = SyncMark(folder / "journal.mark", new=os.fstat(self._fd).st_size == 0)
            self.recovered, self.cut = self._read()
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def synced_offset(self) -> int:
        """Bytes of the log that are known to be on the disk."""
        return self._mark.synced.offset

    @property
    def needs_sync(self) -> bool:
        """True while appended records are not known to be on the disk."""
        return self._end.offset > self._mark.synced.offset

    def append(self, payload: bytes) -> None:
        """Append one record; after an error the journal stays unhealthy and refuses.

        Raises
        ------
        JournalError
            When the journal is unhealthy, or the record was not written whole.
        """
        self._refuse_unhealthy()
        frame, chain = hash_chain.encode(self._end.chain, payload)
        offset = self._end.offset
        try:
            written = os.pwrite(self._fd, frame, offset)
        except OSError as error:
            raise self._fail(f"write failed: {error}") from error
        if written != len(frame):
            # A full disk shows first as a short write; the half record must not stay.
            os.ftruncate(self._fd, offset)
            raise self._fail(f"short write: {written} of {len(frame)} bytes")
        self._end = Mark(offset + written, chain)
        if self._strict:
            self.sync()

    def sync(self) -> None:
        """Force appended records to the disk and move the mark; safe in a thread of its own.

        Raises
        ------
        JournalError
            When the disk refuses. This is latched: after a failed sync the kernel may have dropped
            the pages, so a second try that succeeds would prove nothing.
        """
        with self._sync_lock:
            self._refuse_unhealthy()
            end = self._end
            if end.offset == self._mark.synced.offset:
                return
            try:
                os.fdatasync(self._fd)
                self._mark.move(end)
            except OSError as error:
                raise self._fail(f"sync failed: {error}") from error

    def close(self) -> None:
        """Sync what is left and let the lock go; closing twice is allowed."""
        if self._fd < 0:
            return
        try:
            if self.healthy:
                self.sync()
        finally:
            os.close(self._fd)
            self._mark.close()
            self._fd = -1
            self.healthy = False

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise JournalLocked(f"{self.path} is held by another process") from error

    def _read(self) -> tuple[tuple[bytes, ...], Cut | None]:
        data = self.path.read_bytes()
        synced = self._mark.synced
        if len(data) < synced.offset:
            raise JournalCorrupt(f"{self.path}: {len(data)} bytes, but {synced.offset} were synced")
        payloads: list[bytes] = []
        marks = {self._end}
        torn = None
        try:
            for record in hash_chain.decode(data):
                payloads.append(record.payload)
                self._end = Mark(record.end, record.chain)
                if record.end == synced.offset:
                    marks.add(self._end)
        except hash_chain.BrokenRecord as broken:
            if broken.offset < synced.offset:
                raise JournalCorrupt(f"{self.path}: synced {broken}") from broken
            torn = broken
        if synced not in marks:
            raise JournalCorrupt(f"{self.path}: the synced part ends in another record than marked")
        # Only now: a log that is refused stays as it was found.
        return tuple(payloads), self._cut(torn, len(data)) if torn else None

    def _cut(self, broken: hash_chain.BrokenRecord, size: int) -> Cut:
        os.ftruncate(self._fd, broken.offset)
        os.fsync(self._fd)
        return Cut(broken.offset, size - broken.offset, str(broken))

    def _refuse_unhealthy(self) -> None:
        if not self.healthy:
            raise JournalError(f"{self.path} is closed or failed earlier")

    def _fail(self, what: str) -> JournalError:
        self.healthy = False
        return JournalError(f"{self.path}: {what}")


class MemoryJournal:
    """A journal that forgets: for recorded time and tests."""

    def __init__(self) -> None:
        self.healthy = True
        self.records: list[bytes] = []

    def append(self, payload: bytes) -> None:
        """Keep one record in memory."""
        if not self.healthy:
            raise JournalError("the journal failed earlier")
        self.records.append(payload)

    def sync(self) -> None:
        """Nothing to force to a disk."""
