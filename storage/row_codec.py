"""Rows of the stores as bytes, for the disk and for the tick bus."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from core.types import Decision, Quote
from storage.ledger_rows import TABLES, LatencySample

_ENCODER = msgspec.msgpack.Encoder()
_QUOTES = msgspec.msgpack.Decoder(list[Quote])
_TAGGED = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])


class Codec(NamedTuple):
    """Rows of several kinds to bytes and back."""

    encode: Callable[[Sequence[Any]], bytes]
    decode: Callable[[bytes], list[Any]]


def codec_of(*kinds: type[msgspec.Struct]) -> Codec:
    """Make a codec in msgpack that writes the place in `kinds` with each row."""
    numbers = {kind: number for number, kind in enumerate(kinds)}
    decoders = [msgspec.msgpack.Decoder(kind).decode for kind in kinds]

    def encode(rows: Sequence[Any]) -> bytes:
        return _ENCODER.encode([(numbers[type(row)], row) for row in rows])

    def decode(data: bytes) -> list[Any]:
        return [decoders[kind](body) for kind, body in _TAGGED.decode(data)]

    return Codec(encode, decode)


encode_rows, decode_rows = LEDGER_CODEC = codec_of(*TABLES)
ANALYSIS_CODEC = codec_of(Decision, LatencySample)


def encode_quotes(quotes: Sequence[Quote]) -> bytes:
    """Quotes as msgpack."""
    return _ENCODER.encode(quotes)


def decode_quotes(data: bytes) -> list[Quote]:
    """Quotes from msgpack."""
    return _QUOTES.decode(data)
