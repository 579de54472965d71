"""What a snapshot holds of an account: the orders and executions since the last, the rest whole."""

from collections.abc import Iterator
from decimal import Decimal

import msgspec

from core.types import Fill, Order, Refused, TradingState
from trading.positions import Position

CHUNK = 256


class PortfolioState(msgspec.Struct, frozen=True):
    """Money and positions; what is reserved follows from the open orders."""

    realised: Decimal
    unconverted: dict[str, Decimal]
    positions: list[Position]
    strategies: list[tuple[str, int, int, int]]


class Small(msgspec.Struct, frozen=True):
    """Everything of an account that does not grow with its history."""

    portfolio: PortfolioState
    states: dict[str, tuple[TradingState, str]]
    cancel_wishes: list[str]
    kept: dict[str, str]
    ids: dict[str, int]


class Changes(msgspec.Struct, frozen=True):
    """What changed since the last snapshot.

    Attributes
    ----------
    orders : list of Order
        As they stand, those that were touched.
    refusals : dict of str to Refused
        Of the denied ones among them.
    fills : list of Fill
    small : Small or None
        None in all chunks but the last.
    """

    orders: list[Order]
    refusals: dict[str, Refused]
    fills: list[Fill]
    small: Small | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Changes] = msgspec.msgpack.Decoder(Changes)


def chunks(changes: Changes) -> Iterator[bytes]:
    """Encode in pieces, so that a thread at it lets others run in between."""
    orders, fills = changes.orders, changes.fills
    count = max(len(orders), len(fills))
    for start in range(0, count, CHUNK):
        piece = orders[start : start + CHUNK]
        names = [order.client_order_id for order in piece]
        refusals = {n: changes.refusals[n] for n in names if n in changes.refusals}
        yield _frame(Changes(piece, refusals, fills[start : start + CHUNK]))
    yield _frame(Changes([], {}, [], changes.small))


def read(part: bytes) -> Iterator[Changes]:
    """Decode what `chunks` encoded; raises `msgspec.DecodeError` for anything else."""
    offset = 0
    view = memoryview(part)
    while offset < len(part):
        size = int.from_bytes(view[offset : offset + 4], "little")
        offset += 4
        yield _decoder.decode(view[offset : offset + size])
        offset += size


def _frame(changes: Changes) -> bytes:
    body = _encoder.encode(changes)
    return len(body).to_bytes(4, "little") + body
