"""State of an engine as bytes, for a restart that goes on as if there had been none.

Layout, little-endian: magic, version, then a msgpack header (fingerprint, digest of the kernels'
sources, pips, counters, lengths), the arrays of each instrument, and the SHA-256 of all before it.
Bytes of another spec, of other kernels or pips, or damaged ones are refused: the state would mean
something else. The instruments are then rebuilt from the tape.
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import SnapshotRefused

MAGIC = b"TPFS"
VERSION = 1
_PREFIX = struct.Struct("<4sHI")
_DIGEST_SIZE = 32


class Header(msgspec.Struct, frozen=True):
    """What a snapshot is of; all but the counters must be equal where it is restored."""

    fingerprint: str
    kernels: str
    pips: tuple[float, ...]
    lengths: tuple[int, ...]
    late: int = 0
    malformed: int = 0
    cold: int = 0

    def identity(self) -> tuple[object, ...]:
        """Return the part that must agree."""
        return self.fingerprint, self.kernels, self.pips, self.lengths


def pack(header: Header, arrays: Sequence[NDArray[Any]]) -> bytes:
    """Return the bytes of a snapshot."""
    head = msgspec.msgpack.encode(header)
    body = b"".join(
        (_PREFIX.pack(MAGIC, VERSION, len(head)), head, *(array.tobytes() for array in arrays))
    )
    return body + hashlib.sha256(body).digest()


def unpack(data: bytes, expected: Header, arrays: Sequence[NDArray[Any]]) -> Header:
    """Fill `arrays` from a snapshot of what `expected` describes; nothing is touched on refusal.

    Raises
    ------
    SnapshotRefused
        With the reason.
    """
    body, digest = data[:-_DIGEST_SIZE], data[-_DIGEST_SIZE:]
    if len(body) < _PREFIX.size:
        raise SnapshotRefused("feature snapshot is cut short")
    magic, version, length = _PREFIX.unpack_from(body)
    if magic != MAGIC or version != VERSION:
        raise SnapshotRefused(f"not a feature snapshot of version {VERSION}")
    if hashlib.sha256(body).digest() != digest:
        raise SnapshotRefused("feature snapshot is damaged: its SHA-256 differs")
    header = _header(body[_PREFIX.size : _PREFIX.size + length])
    if header.identity() != expected.identity():
        raise SnapshotRefused(_difference(header, expected))
    at = _PREFIX.size + length
    if len(body) - at != sum(array.nbytes for array in arrays):
        raise SnapshotRefused("feature snapshot has another length than its header says")
    for array in arrays:
        array[:] = np.frombuffer(body, array.dtype, array.size, at)
        at += array.nbytes
    return header


def _header(data: bytes) -> Header:
    try:
        return msgspec.msgpack.decode(data, type=Header)
    except msgspec.MsgspecError as error:
        raise SnapshotRefused(f"feature snapshot has no valid header: {error}") from None


def _difference(header: Header, expected: Header) -> str:
    for name in ("fingerprint", "kernels", "pips", "lengths"):
        theirs, ours = getattr(header, name), getattr(expected, name)
        if theirs != ours:
            return f"feature snapshot has {name} {theirs}, the engine {ours}"
    raise AssertionError("headers are equal")
