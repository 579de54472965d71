"""Append-only chained records, as the journal keeps them.

A record on disk is ``length:u32 | crc32:u32 | chain:32 bytes | payload``, little endian, where
``chain = SHA-256(previous chain | payload)`` and the CRC covers chain and payload.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

HEADER = struct.Struct("<II32s")
GENESIS = bytes(32)
MAX_PAYLOAD = 1 << 20


class Record(NamedTuple):
    """A verified record and the offset just behind it."""

    payload: bytes
    chain: bytes
    end: int


class BrokenRecord(Exception):
    """A record that does not verify.

    `torn` is true when the bytes simply end too early, as after a crash in the middle of a write.
    """

    def __init__(self, offset: int, what: str, *, torn: bool) -> None:
        super().__init__(f"record at byte {offset}: {what}")
        self.offset = offset
        self.torn = torn


def link(previous: bytes, payload: bytes) -> bytes:
    """SHA-256 of the previous link followed by the payload."""
    return hashlib.sha256(previous + payload).digest()


def encode(previous: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """Frame `payload` after the link `previous`; return (frame, its link)."""
    chain = link(previous, payload)
    crc = zlib.crc32(payload, zlib.crc32(chain))
    return HEADER.pack(len(payload), crc, chain) + payload, chain


def _read_one(data: bytes, offset: int, previous: bytes) -> Record:
    if len(data) - offset < HEADER.size:
        raise BrokenRecord(offset, "header cut short", torn=True)
    length, crc, chain = HEADER.unpack_from(data, offset)
    if length > MAX_PAYLOAD:
        raise BrokenRecord(offset, f"length {length} exceeds {MAX_PAYLOAD}", torn=False)
    start = offset + HEADER.size
    payload = data[start : start + length]
    if len(payload) < length:
        raise BrokenRecord(offset, "payload cut short", torn=True)
    if zlib.crc32(payload, zlib.crc32(chain)) != crc:
        raise BrokenRecord(offset, "CRC-32 does not match", torn=False)
    if link(previous, payload) != chain:
        raise BrokenRecord(offset, "hash chain is broken", torn=False)
    return Record(payload, chain, start + length)


def decode(data: bytes, previous: bytes = GENESIS, offset: int = 0) -> Iterator[Record]:
    """Yield the verified records of `data`, from `offset` on, where `previous` is the last link.

    Raises
    ------
    BrokenRecord
        At the first record that does not verify.
    """
    while offset < len(data):
        record = _read_one(data, offset, previous)
        yield record
        offset, previous = record.end, record.chain
