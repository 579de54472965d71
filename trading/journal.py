"""The journal: an append-only, chained, locked log, written before anything leaves the process.

In one folder: ``segment-<n>.log`` (see `trading.segments`), ``journal.mark`` (how far the log is
known to be on the disk), ``snapshot-<records>.bin`` (see `trading.snapshots`), ``segment.next``
(room for the next segment) and ``journal.lock``.
"""

import fcntl
import os
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter_ns

from core import hash_chain
from core.errors import JournalError, JournalLocked
from trading import segments
from trading.journal_load import Cut, ForeignSnapshot, Loaded, Position, header_after, load
from trading.reserve import Reserve
from trading.snapshots import Snapshot, Snapshots, sync_folder
from trading.sync_mark import Mark, SyncMark

__all__ = ["Cut", "FileJournal", "MemoryJournal"]

STALL_MS = 1_000.0
MIN_FREE_BYTES = 64 << 20
_NS_PER_MS = 1e6


class FileJournal:
    """The journal of one account; at most one process holds it.

    Parameters
    ----------
    folder : Path
        Created when missing.
    strict : bool
        Sync in `append`, before anything is sent, instead of in a group behind.
    segment_bytes : int
        Size of a segment, and of the room that is kept for the next.
    stall_ms : float
        Time that a record may wait for the disk before `check_disk` calls for a halt.
    min_free_bytes : int
        Room on the disk under which `upkeep` calls for a halt.

    Attributes
    ----------
    healthy : bool
        False once a write or a sync failed: nothing is taken any more.
    trouble : str
        Why no new order may be sent, though fills and cancels are still taken; empty when all is
        well. Latched.
    recovered : tuple of bytes
        Records that were found, behind `snapshot`.
    snapshot : Snapshot or None
        Newest snapshot of the account that fits the log.
    found : int
        Count of all records that were found.
    cut : Cut or None
        What was cut from the unsynced end at the start.

    Raises
    ------
    JournalLocked
        When another process holds the journal.
    JournalCorrupt
        When a synced record does not verify.
    """

    def __init__(
        self,
        folder: Path,
        *,
        strict: bool = False,
        segment_bytes: int = segments.SEGMENT_BYTES,
        stall_ms: float = STALL_MS,
        min_free_bytes: int = MIN_FREE_BYTES,
    ) -> None:
        self._folder = folder
        self._strict = strict
        self._segment_bytes = segment_bytes
        self._stall_ns = int(stall_ms * _NS_PER_MS)
        self._min_free = min_free_bytes
        self._sync_lock = threading.Lock()
        self._behind_since = 0
        self._full: deque[int] = deque()
        self._fd = -1
        self._index = self._place = 0
        self._end = Position(0, 0, hash_chain.GENESIS)
        self._digest = segments.new_digest(b"")
        self.healthy = True
        self.trouble = ""
        self.recovered: tuple[bytes, ...] = ()
        self.snapshot: Snapshot | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._lock_fd = _lock(folder / "journal.lock")
        try:
            self._open()
        except BaseException:
            self._let_go()
            raise

    @property
    def path(self) -> Path:
        """File of the segment that is written."""
        return segments.segment_path(self._folder, self._index)

    @property
    def position(self) -> Position:
        """The end of the log."""
        return self._end

    @property
    def synced_offset(self) -> int:
        """Bytes of records that are known to be on the disk."""
        return self._mark.synced.offset

    @property
    def needs_sync(self) -> bool:
        """True while appended records are not known to be on the disk."""
        return self._end.offset > self._mark.synced.offset

    @property
    def behind_ns(self) -> int:
        """How long the oldest record that is not known to be on the disk has waited, at most."""
        since = self._behind_since
        return perf_counter_ns() - since if since and self.needs_sync else 0

    @property
    def since_snapshot(self) -> int:
        """Records behind the newest snapshot."""
        newest = self.snapshots.position
        return self._end.records - (0 if newest is None else newest.records)

    @property
    def has_room(self) -> bool:
        """True while the next segment has its room; `upkeep` makes it."""
        return self._reserve.filled

    def forget(self) -> None:
        """Let go of what was found, once the account has it."""
        self.recovered, self.snapshot = (), None

    def append(self, payload: bytes) -> None:
        """Append one record; after an error the journal stays unhealthy and refuses.

        Raises
        ------
        JournalError
            When the journal is unhealthy, or the record was not written whole.
        """
        self._refuse_unhealthy()
        frame, chain = hash_chain.encode(self._end.chain, payload)
        if self._place + len(frame) > self._segment_bytes:
            self._roll()
        try:
            written = os.pwrite(self._fd, frame, self._place)
        except OSError as error:
            raise self._fail(f"write failed: {error}") from error
        if written != len(frame):
            # A full disk shows first as a short write; the half record must not stay.
            os.ftruncate(self._fd, self._place)
            raise self._fail(f"short write: {written} of {len(frame)} bytes")
        if not self._behind_since:
            self._behind_since = perf_counter_ns()
        self._digest.update(frame)
        self._place += written
        self._end = Position(self._end.records + 1, self._end.offset + written, chain)
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
            end, began = self._end, perf_counter_ns()
            if end.offset == self._mark.synced.offset:
                return
            try:
                self._force()
                self._mark.move(Mark(end.offset, end.chain))
            except OSError as error:
                raise self._fail(f"sync failed: {error}") from error
            # What came meanwhile waits since this sync began at the earliest.
            self._behind_since = began if self._end.offset > end.offset else 0

    def check_disk(self) -> None:
        """Call for a halt when a sync hangs; call it every now and then."""
        if self.needs_sync and not self._behind_since:
            self._behind_since = perf_counter_ns()
        behind = self.behind_ns
        if behind > self._stall_ns:
            self._latch(f"the disk has not taken a record for {behind / _NS_PER_MS:.0f} ms")

    def upkeep(self) -> None:
        """Keep room for the next segment, and call for a halt when there is none. For a thread."""
        try:
            self._reserve.fill()
            disk = os.statvfs(self._folder)
        except OSError as error:
            self._latch(f"no room for the next segment: {error}")
            return
        free = disk.f_bavail * disk.f_frsize
        if free < self._min_free:
            self._latch(f"{free} bytes are left on the disk, fewer than {self._min_free}")

    def write_snapshot(self, position: Position, chunks: Iterable[bytes]) -> Path | None:
        """Store the state of the account at `position`; in a thread. None when it is not stored."""
        if not self.healthy:
            return None
        self.sync()
        try:
            return self.snapshots.write(position, chunks)
        except OSError as error:
            self._latch(f"no room for a snapshot: {error}")
            return None

    def close(self) -> None:
        """Sync what is left and let the lock go; closing twice is allowed."""
        if self._fd < 0:
            return
        try:
            if self.healthy:
                self.sync()
        finally:
            self._let_go()

    def _open(self) -> None:
        segments.adopt(self._folder)
        new = not segments.find(self._folder)
        self._mark = SyncMark(self._folder / "journal.mark", new=new)
        self.snapshots = Snapshots(self._folder)
        found = self._load()
        self.recovered, self.cut = found.payloads, found.cut
        self.found = found.end.records
        self.snapshot = self.snapshots.newest
        self.snapshots.forget()
        self._reserve = Reserve(self._folder, self._segment_bytes)
        self._end, self._place, self._digest = found.end, found.place, found.digest
        # Only now: a log that is refused stays as it was found.
        for path in found.drop:
            path.rename(path.with_suffix(".cut"))
        if found.last is None:
            self._index = 0
            self._begin(segments.FIRST.previous)
            os.fsync(self._fd)
            sync_folder(self._folder)
        else:
            self._index = found.last.header.number
            self._fd = os.open(found.last.path, os.O_RDWR | os.O_CLOEXEC)
            self._clean(found)
        self.upkeep()

    def _load(self) -> Loaded:
        newest = self.snapshots.newest
        try:
            return load(self._folder, self._mark.synced, newest and newest.position)
        except ForeignSnapshot as error:
            self.snapshots.refuse_all(str(error))
            return load(self._folder, self._mark.synced, None)

    def _clean(self, found: Loaded) -> None:
        """Cut what does not count, and give the segment its room back."""
        if found.cut is not None:
            os.ftruncate(self._fd, self._place)
            os.fsync(self._fd)
        try:
            if os.fstat(self._fd).st_size < self._segment_bytes:
                os.posix_fallocate(self._fd, 0, self._segment_bytes)
        except OSError as error:
            self._latch(f"no room for the rest of the segment: {error}")

    def _roll(self) -> None:
        """Go on in the next segment; the full one is cut to its records and synced later."""
        full = self._fd
        try:
            os.ftruncate(full, self._place)
            self._begin(self._digest.digest(), full)
        except OSError as error:
            raise self._fail(f"no next segment: {error}") from error

    def _begin(self, previous: bytes, full: int = -1) -> None:
        header = header_after(self._end, self._index + 1, previous).pack()
        fd = self._reserve.take(segments.segment_path(self._folder, self._index + 1), header)
        # In this order: a sync at the same time must see the full one as long as it counts.
        if full >= 0:
            self._full.append(full)
        self._fd = fd
        self._index += 1
        self._place = len(header)
        self._digest = segments.new_digest(header)

    def _force(self) -> None:
        """Sync the segments that were filled since the last time, and the one that is written."""
        current, full = self._fd, len(self._full)
        for _ in range(full):
            os.fdatasync(self._full[0])
            done = self._full.popleft()
            if done != current:
                os.close(done)
            else:
                current = -1
                os.close(done)
        if full:
            sync_folder(self._folder)
        if current >= 0:
            os.fdatasync(current)

    def _let_go(self) -> None:
        for fd in (*self._full, self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._full.clear()
        self._fd = self._lock_fd = -1
        self.healthy = False
        for name in ("_mark", "_reserve"):
            held = getattr(self, name, None)
            if held is not None:
                held.close()

    def _refuse_unhealthy(self) -> None:
        if not self.healthy:
            raise JournalError(f"{self._folder} is closed or failed earlier")

    def _latch(self, trouble: str) -> None:
        self.trouble = self.trouble or f"journal: {trouble}"

    def _fail(self, what: str) -> JournalError:
        self.healthy = False
        self._latch(what)
        return JournalError(f"{self._folder}: {what}")


class MemoryJournal:
    """A journal that forgets: for recorded time and tests."""

    def __init__(self) -> None:
        self.healthy = True
        self.trouble = ""
        self.records: list[bytes] = []

    def append(self, payload: bytes) -> None:
        """Keep one record in memory."""
        if not self.healthy:
            raise JournalError("the journal failed earlier")
        self.records.append(payload)

    def sync(self) -> None:
        """Nothing to force to a disk."""


def _lock(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise JournalLocked(f"{path.parent} is held by another process") from error
    return fd
