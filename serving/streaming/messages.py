"""Messages of the stream, encoded once for all who get them.

A frame is an array of messages, in JSON or msgpack. A client that asks for compression gets frames
above a size as gzip or zstd in a binary frame: its first byte, 0x1f or 0x28, begins neither a
JSON nor a msgpack array.
"""

import gzip
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
import zstandard
from websockets.frames import Frame, Opcode

# Below this zstd and gzip save less than the packets that they would spare (ticks, level 1).
COMPRESS_BYTES = 2_048
MOST_IN_FRAME = 100

_to_json = msgspec.json.Encoder().encode
_to_msgpack = msgspec.msgpack.Encoder().encode
_zstd = zstandard.ZstdCompressor(level=1).compress


class Topic(StrEnum):
    """What a client may listen to; `system` reaches everyone."""

    QUOTES = "quotes"
    DECISIONS = "decisions"
    ORDERS = "orders"
    FILLS = "fills"
    POSITIONS = "positions"
    LATENCY = "latency"
    ALERTS = "alerts"
    SYSTEM = "system"


# Of these only the newest of each key counts; of all others every one does.
CONFLATED = frozenset({Topic.QUOTES, Topic.POSITIONS, Topic.LATENCY})
DEFAULT_TOPICS = frozenset({Topic.DECISIONS, Topic.ORDERS, Topic.FILLS, Topic.ALERTS})


class Coding(NamedTuple):
    """How a client wants its frames."""

    packed: bool = False
    compression: str = ""


class Envelope(msgspec.Struct, frozen=True):
    """A message; `seq` counts the messages of a stream, `key` names what a conflated one is of."""

    topic: Topic
    seq: int
    data: Any
    key: str = ""


class Message:
    """An envelope with its encodings, each made when it is first asked for."""

    __slots__ = ("_json", "_packed", "envelope")

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self._json: bytes | None = None
        self._packed: bytes | None = None

    def encoded(self, *, packed: bool) -> bytes:
        """Return the message alone."""
        if packed:
            if self._packed is None:
                self._packed = _to_msgpack(self.envelope)
            return self._packed
        if self._json is None:
            self._json = _to_json(self.envelope)
        return self._json


def frame_of(messages: Sequence[Message], coding: Coding) -> bytes:
    """Return a WebSocket frame, as a server sends it, of up to a hundred messages."""
    parts = [message.encoded(packed=coding.packed) for message in messages]
    if coding.packed:
        count = len(parts)
        head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2, "big")
        body = head + b"".join(parts)
    else:
        body = b"[" + b",".join(parts) + b"]"
    opcode = Opcode.BINARY if coding.packed else Opcode.TEXT
    if coding.compression and len(body) >= COMPRESS_BYTES:
        body = _zstd(body) if coding.compression == "zstd" else gzip.compress(body, 1)
        opcode = Opcode.BINARY
    return Frame(opcode, body).serialize(mask=False)
