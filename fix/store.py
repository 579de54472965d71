"""Sequence numbers and sent messages of a FIX session: durable for orders, in memory otherwise.

The file is append-only: ``length:u32 | crc32(length):u32 | crc32(payload):u32 | payload``, little
endian, each record one `write`. The length has a check of its own, so that a flipped bit in it is
not taken for a torn end, which would give numbers out again. What was written survives the death of
the process (kill -9), not of the machine. The outgoing number is written before its bytes leave, so
that it is never used twice; the incoming one after the message was processed, so that a message is
processed at least once.
"""

import fcntl
import os
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from core.errors import Conflict, SessionStoreCorrupt, Unavailable

_FRAME = struct.Struct("<III")
_LENGTH = struct.Struct("<I")
_NUMBERS = struct.Struct("<cQQ")
_SENT = struct.Struct("<cQqB")
_OUT, _IN, _SET = b"O", b"I", b"S"
COMPACT_BYTES = 16 << 20


class SentMessage(NamedTuple):
    """A message that may be sent again: its number, type, SendingTime (ns UTC) and body fields."""

    seq: int
    msg_type: bytes
    sending_ns: int
    body: bytes


class SessionStore(Protocol):
    """What a session remembers between connections."""

    @property
    def next_out(self) -> int:
        """Number of the next message to send, from 1."""
        ...

    @property
    def next_in(self) -> int:
        """Number of the next message to process, from 1."""
        ...

    def save_out(self, message: SentMessage) -> None:
        """Take the number `next_out`; an empty body means that it is never sent again.

        Raises
        ------
        ValueError
            When the number is not `next_out`.
        core.errors.Unavailable
            When it could not be written: the message must not leave. Latched.
        """
        ...

    def save_in(self, next_in: int) -> None:
        """Everything below `next_in` has been processed; raises Unavailable like `save_out`."""
        ...

    def sent(self, first: int, last: int) -> Iterator[SentMessage]:
        """Messages in the range that may be sent again, in order."""
        ...

    def reset(self) -> None:
        """Begin again at 1 both ways and forget all messages."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class MemoryStore:
    """A store that ends with the process: for sessions that reset at logon, and for tests.

    Parameters
    ----------
    keep : int
        Number of sent messages kept for resending.
    """

    def __init__(self, keep: int = 10_000) -> None:
        self._keep = keep
        self.next_out = 1
        self.next_in = 1
        self._sent: deque[SentMessage] = deque(maxlen=keep)

    def save_out(self, message: SentMessage) -> None:
        """See `SessionStore`."""
        _check_number(message.seq, self.next_out)
        if message.body:
            self._sent.append(message)
        self.next_out = message.seq + 1

    def save_in(self, next_in: int) -> None:
        """See `SessionStore`."""
        self.next_in = next_in

    def sent(self, first: int, last: int) -> Iterator[SentMessage]:
        """See `SessionStore`."""
        return iter([message for message in self._sent if first <= message.seq <= last])

    def reset(self) -> None:
        """See `SessionStore`."""
        self.next_out = self.next_in = 1
        self._sent.clear()

    def close(self) -> None:
        """See `SessionStore`."""


class FileStore:
    """A store in one append-only file with an exclusive lock.

    A torn last record (a write cut short) is cut off at the start; it belongs to a message that
    never left. Above `compact_bytes` the file is rewritten when it is opened.

    Parameters
    ----------
    path : Path
        Made with its folder when absent; ``<path>.lock`` lies beside it.
    keep : int
        Number of sent messages kept for resending; older ones are gap-filled.

    Raises
    ------
    core.errors.Conflict
        When another process has the store.
    core.errors.SessionStoreCorrupt
        When a record before the last one does not verify.
    """

    def __init__(self, path: Path, keep: int = 100_000, compact_bytes: int = COMPACT_BYTES) -> None:
        self._path = path
        self._keep = keep
        self._failed = ""
        self._places: dict[int, tuple[int, int]] = {}
        self.next_out = 1
        self.next_in = 1
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(path)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._end = self._load()
            os.ftruncate(self._file, self._end)
            if self._end > compact_bytes:
                self._compact()
        except BaseException:
            os.close(self._lock)
            raise

    def save_out(self, message: SentMessage) -> None:
        """See `SessionStore`."""
        _check_number(message.seq, self.next_out)
        payload = _pack_sent(message)
        self._append(payload)
        if message.body:
            self._remember(message.seq, self._end - len(payload), len(payload))
        self.next_out = message.seq + 1

    def save_in(self, next_in: int) -> None:
        """See `SessionStore`."""
        if next_in != self.next_in:
            self._append(_NUMBERS.pack(_IN, next_in, 0))
            self.next_in = next_in

    def sent(self, first: int, last: int) -> Iterator[SentMessage]:
        """See `SessionStore`."""
        for seq, (offset, length) in list(self._places.items()):
            if first <= seq <= last:
                yield _unpack_sent(os.pread(self._file, length, offset))

    def reset(self) -> None:
        """See `SessionStore`."""
        self._append(_NUMBERS.pack(_SET, 1, 1))
        self._apply_numbers(1, 1)

    def close(self) -> None:
        """Force the file to the disk and let go of it and its lock; harmless when repeated."""
        if self._file >= 0:
            self._failed = self._failed or "it is closed"
            os.fsync(self._file)
            os.close(self._file)
            os.close(self._lock)
            self._file = -1

    def _append(self, payload: bytes) -> None:
        if self._failed:
            raise Unavailable(f"session store {self._path}: {self._failed}")
        record = _framed(payload)
        try:
            written = os.write(self._file, record)
        except OSError as error:
            self._fail(str(error))
        if written != len(record):
            self._fail(f"only {written} of {len(record)} bytes were written")
        self._end += len(record)

    def _fail(self, reason: str) -> None:
        # What is behind the last whole record would hide later ones, so nothing is written again.
        self._failed = reason
        raise Unavailable(f"session store {self._path}: {reason}")

    def _load(self) -> int:
        """Apply all records; return the offset behind the last whole one."""
        data = self._path.read_bytes()
        offset = 0
        while (end := self._record_end(data, offset)) > 0:
            start = offset + _FRAME.size
            self._apply(data[start:end], start)
            offset = end
        return offset

    def _record_end(self, data: bytes, offset: int) -> int:
        """Offset behind the record at `offset`; 0 when the file ends there, be it torn."""
        if offset + _FRAME.size > len(data):
            return 0
        length, length_crc, crc = _FRAME.unpack_from(data, offset)
        start = offset + _FRAME.size
        end = start + int(length)
        if zlib.crc32(_LENGTH.pack(length)) == length_crc:
            if end <= len(data) and zlib.crc32(data[start:end]) == crc:
                return end
            if end >= len(data):
                return 0
        elif not any(data[offset:]):
            return 0  # room that the file system gave but that was never filled
        raise SessionStoreCorrupt(f"{self._path}: record at byte {offset} does not verify")

    def _apply(self, payload: bytes, offset: int) -> None:
        kind = payload[:1]
        if kind == _OUT:
            seq = _SENT.unpack_from(payload)[1]
            self.next_out = seq + 1
            if _unpack_sent(payload).body:
                self._remember(seq, offset, len(payload))
        elif kind == _IN:
            self.next_in = _NUMBERS.unpack(payload)[1]
        elif kind == _SET:
            self._apply_numbers(*_NUMBERS.unpack(payload)[1:])
        else:
            raise SessionStoreCorrupt(f"{self._path}: unknown record {kind!r} at byte {offset}")

    def _apply_numbers(self, next_out: int, next_in: int) -> None:
        self.next_out, self.next_in = next_out, next_in
        self._places.clear()

    def _remember(self, seq: int, offset: int, length: int) -> None:
        self._places[seq] = (offset, length)
        if len(self._places) > self._keep:
            del self._places[next(iter(self._places))]

    def _compact(self) -> None:
        """Rewrite the file with the numbers and the kept messages only."""
        kept = list(self.sent(1, self.next_out))
        next_out, next_in = self.next_out, self.next_in
        payloads = [_NUMBERS.pack(_SET, 1, next_in), *map(_pack_sent, kept)]
        # The last record says the outgoing number again, since only kept messages imply it.
        if next_out > 1 and (not kept or kept[-1].seq != next_out - 1):
            payloads.append(_pack_sent(SentMessage(next_out - 1, b"0", 0, b"")))
        fresh = self._path.with_suffix(".compact")
        with fresh.open("wb") as file:
            for payload in payloads:
                file.write(_framed(payload))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        os.close(self._file)
        self._file = os.open(self._path, os.O_RDWR | os.O_APPEND)
        self._end = self._load()


def _framed(payload: bytes) -> bytes:
    length_crc = zlib.crc32(_LENGTH.pack(len(payload)))
    return _FRAME.pack(len(payload), length_crc, zlib.crc32(payload)) + payload


def _check_number(seq: int, next_out: int) -> None:
    if seq != next_out:
        raise ValueError(f"outgoing number {seq} is not the next one, {next_out}")


def _pack_sent(message: SentMessage) -> bytes:
    head = _SENT.pack(_OUT, message.seq, message.sending_ns, len(message.msg_type))
    return b"%b%b%b" % (head, message.msg_type, message.body)


def _unpack_sent(payload: bytes) -> SentMessage:
    _, seq, sending_ns, width = _SENT.unpack_from(payload)
    body = _SENT.size + width
    return SentMessage(seq, payload[_SENT.size : body], sending_ns, payload[body:])


def _lock(path: Path) -> int:
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise Conflict(f"another process has the session store {path}") from None
    return lock
