"""A session as a file: a header, then every event that entered the engine, in order.

Layout: the line ``TPREC1``, then frames ``length:u32 | crc32:u32 | msgpack``. The first one is the
header. A torn last frame, as after SIGKILL, ends the recording there.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from core.config import DecisionConfig, RiskConfig, TradingConfig
from core.costs import CostModel
from core.errors import BadInput
from core.instruments import Instrument
from trading.events import Event

MAGIC = b"TPREC1\n"
_FRAME = struct.Struct("<II")


class SessionHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What replay needs beside the events.

    Attributes
    ----------
    decision_base : int
        Number of the first decision id.
    recovered : tuple of bytes
        The journal's records at start, so that replay begins with the same orders and positions;
        empty where they stay in the journal.
    journal_records : int
        How many of the journal's records were there at start.
    """

    decision_base: int
    started_ns: int
    trading: TradingConfig
    decision: DecisionConfig
    risk: RiskConfig
    costs: CostModel
    instruments: tuple[Instrument, ...]
    recovered: tuple[bytes, ...] = ()
    journal_records: int = 0


_encode = msgspec.msgpack.Encoder().encode
_header_decoder = msgspec.msgpack.Decoder(SessionHeader)
_event_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)


def _frame(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


class SessionWriter:
    """Writes a recording; events are buffered until the buffer is full, `flush` or `close`.

    Parameters
    ----------
    buffer : memoryview, optional
        Writable bytes to buffer in; 64 KiB of its own when absent.

    Raises
    ------
    FileExistsError
        When the path is taken: a recording is never overwritten.
    """

    def __init__(
        self, path: Path, header: SessionHeader, *, buffer: memoryview | None = None
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.count = 0
        self._buffer = memoryview(bytearray(1 << 16)) if buffer is None else buffer
        self._used = 0
        self._file: BinaryIO = path.open("xb", buffering=0)
        self._put(MAGIC + _frame(_encode(header)))

    def write(self, event: Event) -> None:
        """Take one event; it reaches the file at the next flush."""
        payload = _encode(event)
        size = _FRAME.size + len(payload)
        if self._used + size > len(self._buffer):
            self.flush()
        if size > len(self._buffer):
            self._put(_frame(payload))
        else:
            start, end = self._used + _FRAME.size, self._used + size
            _FRAME.pack_into(self._buffer, self._used, len(payload), zlib.crc32(payload))
            self._buffer[start:end] = payload
            self._used = end
        self.count += 1

    def flush(self) -> None:
        """Hand what is buffered to the operating system.

        Raises
        ------
        OSError
            When it is not taken whole; the recording ends with what was, and is to be closed.
        """
        if self._used:
            data = self._buffer[: self._used]
            self._used = 0
            self._put(data)

    def close(self) -> None:
        """Flush and close; closing twice is allowed."""
        if not self._file.closed:
            try:
                self.flush()
            finally:
                self._file.close()

    def _put(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while rest:
            # A disk that is nearly full takes a part of it and raises at the next try.
            written = self._file.write(rest)
            if not written:
                raise OSError(f"{self.path}: {len(rest)} bytes were not taken")
            rest = rest[written:]


class SessionReader:
    """Reads a recording.

    Attributes
    ----------
    header : SessionHeader
    torn_bytes : int
        Bytes behind the last whole event; 0 for a recording that was closed in order.

    Raises
    ------
    BadInput
        When the file is no recording, or its header does not verify.
    """

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        self._path = path
        first = self._payload(len(MAGIC)) if self._data.startswith(MAGIC) else None
        if first is None:
            raise BadInput(f"{path} is not a session recording")
        try:
            self.header = _header_decoder.decode(first)
        except msgspec.DecodeError as error:
            raise BadInput(f"{path}: header does not fit this version: {error}") from None
        self._start = len(MAGIC) + _FRAME.size + len(first)
        self.torn_bytes = 0

    def events(self) -> Iterator[Event]:
        """Yield the events in order; sets `torn_bytes` at the end."""
        offset = self._start
        while (payload := self._payload(offset)) is not None:
            yield _event_decoder.decode(payload)
            offset += _FRAME.size + len(payload)
        self.torn_bytes = len(self._data) - offset

    def _payload(self, offset: int) -> bytes | None:
        if len(self._data) - offset < _FRAME.size:
            return None
        length, crc = _FRAME.unpack_from(self._data, offset)
        start = offset + _FRAME.size
        payload = self._data[start : start + length]
        whole = len(payload) == length and zlib.crc32(payload) == crc
        return payload if whole else None
