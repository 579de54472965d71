"""Rows of the stores as bytes, for the disk and for the tick bus."""

from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from core.types import Quote
from storage.ledger_rows import TABLES, Recorded

_KINDS: tuple[type[msgspec.Struct], ...] = tuple(TABLES)
_NUMBER = {kind: number for number, kind in enumerate(_KINDS)}
_ENCODER = msgspec.msgpack.Encoder()
_QUOTES = msgspec.msgpack.Decoder(list[Quote])
_TAGGED = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])
_DECODERS = [
    cast(Callable[[msgspec.Raw], Recorded], msgspec.msgpack.Decoder(kind).decode) for kind in _KINDS
]


def encode_quotes(quotes: Sequence[Quote]) -> bytes:
    """Quotes as msgpack."""
    return _ENCODER.encode(quotes)


def decode_quotes(data: bytes) -> list[Quote]:
    """Quotes from msgpack."""
    return _QUOTES.decode(data)


def encode_rows(rows: Sequence[Recorded]) -> bytes:
    """Rows of the ledger, each with the number of its kind, as msgpack."""
    return _ENCODER.encode([(_NUMBER[type(row)], row) for row in rows])


def decode_rows(data: bytes) -> list[Recorded]:
    """Rows of the ledger from msgpack."""
    return [_DECODERS[kind](body) for kind, body in _TAGGED.decode(data)]
