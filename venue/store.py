"""What the venue remembers: an append-only log of what entered it, in order.

Matching is deterministic, so that the log holds no results: a restart reads the tape again up to
the last position, with the orders and cancels in between, and gets the same executions under the
same ids. Frames are ``length:u32 | crc32:u32 | msgpack``; each is one `write`, so that SIGKILL of
the process loses nothing that was answered. The machine's own death may: a simulated venue does not
pay for `fsync`.
"""

import fcntl
import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NoReturn

import msgspec

from core.errors import BadInput, Conflict, Unavailable
from core.types import Amendment
from venue.orders import VenueOrder

_FRAME = struct.Struct("<II")


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """First record: the tape and the settings that results depend on."""

    tape: str
    seed: int
    partial_ratio: float
    reject_ratio: float


class Moved(msgspec.Struct, frozen=True, tag="moved"):
    """The tape is at `position`; written before the quote is published."""

    position: int


class Submitted(msgspec.Struct, frozen=True, tag="submitted"):
    """An order of `owner` (a CompID) reached the book."""

    owner: str
    order: VenueOrder


class CancelRequested(msgspec.Struct, frozen=True, tag="cancel"):
    """A cancel request, with its own id, reached the book."""

    owner: str
    client_order_id: str
    request_id: str


class ReplaceRequested(msgspec.Struct, frozen=True, tag="replace"):
    """A request to replace an order, with its own id, reached the book."""

    owner: str
    client_order_id: str
    request_id: str
    terms: Amendment


class Reported(msgspec.Struct, frozen=True, tag="reported"):
    """The first `count` reports of `owner` were handed to its FIX session."""

    owner: str
    count: int


Record = Opened | Moved | Submitted | CancelRequested | ReplaceRequested | Reported

_encode = msgspec.msgpack.Encoder().encode
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


class VenueLog:
    """The log in one file, owned by one process.

    Parameters
    ----------
    path : Path
        Made with its folder when absent. A torn last frame is cut off.

    Attributes
    ----------
    records : list of Record
        What the file held when it was opened.

    Raises
    ------
    Conflict
        When another process has the log.
    BadInput
        When a frame before the last does not verify.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._failed = ""
        self._file: BinaryIO = path.open("a+b", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.records, end = self._load()
            self._file.truncate(end)
        except OSError:
            self._file.close()
            raise Conflict(f"another venue has {path}") from None
        except BadInput:
            self._file.close()
            raise

    def append(self, record: Record) -> None:
        """Write one record.

        Raises
        ------
        Unavailable
            When it could not be written whole; latched, for what came behind half a record would
            be lost.
        """
        if self._failed:
            raise Unavailable(f"venue log {self._path}: {self._failed}")
        payload = _encode(record)
        frame = _FRAME.pack(len(payload), zlib.crc32(payload)) + payload
        try:
            written = os.write(self._file.fileno(), frame)
        except OSError as error:
            self._fail(str(error))
        if written != len(frame):
            self._fail(f"{written} of {len(frame)} bytes written")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _fail(self, reason: str) -> NoReturn:
        self._failed = reason
        raise Unavailable(f"venue log {self._path}: {reason}")

    def _load(self) -> tuple[list[Record], int]:
        self._file.seek(0)
        return _decode(self._file.read(), self._path)


def read_log(path: Path) -> list[Record]:
    """Read a log without owning it, as a replay does; a torn last frame is left out.

    Raises
    ------
    BadInput
        When there is no such file, or a frame before the last does not verify.
    """
    try:
        return _decode(path.read_bytes(), path)[0]
    except FileNotFoundError:
        raise BadInput(f"there is no venue log {path}") from None


def _decode(data: bytes, path: Path) -> tuple[list[Record], int]:
    records: list[Record] = []
    offset = 0
    while offset + _FRAME.size <= len(data):
        length, crc = _FRAME.unpack_from(data, offset)
        end = offset + _FRAME.size + length
        payload = data[offset + _FRAME.size : end]
        if len(payload) != length or zlib.crc32(payload) != crc:
            if end < len(data):
                raise BadInput(f"{path}: record at byte {offset} does not verify")
            break
        records.append(_decoder.decode(payload))
        offset = end
    return records, offset
