"""What a snapshot holds of an account: the orders and executions since the last, the rest whole."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from core.types import Fill, Order, Refused, Side, TradingState
from trading.positions import Position

CHUNK = 256
Row = TypeVar("Row", bound=msgspec.Struct)


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
    executions: list[tuple[str, int, Side, list[int]]] = []


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


def _columns_of(row: type[msgspec.Struct]) -> type[msgspec.Struct]:
    fields = [(field.name, list[field.type]) for field in msgspec.structs.fields(row)]  # type: ignore[name-defined]
    return msgspec.defstruct(f"{row.__name__}Columns", fields, array_like=True)


# By column: a start reads hundreds of thousands of them, and their names once is enough.
_ORDERS, _FILLS = _columns_of(Order), _columns_of(Fill)


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """`Changes` as they are written."""

    orders: _ORDERS  # type: ignore[valid-type]
    refusals: dict[str, Refused]
    fills: _FILLS  # type: ignore[valid-type]
    small: Small | None


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[_Stored] = msgspec.msgpack.Decoder(_Stored)


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
        found = _decoder.decode(view[offset : offset + size])
        yield Changes(
            _rows(Order, found.orders), found.refusals, _rows(Fill, found.fills), found.small
        )
        offset += size


def _frame(changes: Changes) -> bytes:
    orders, fills = _columns(_ORDERS, changes.orders), _columns(_FILLS, changes.fills)
    body = _encoder.encode(_Stored(orders, changes.refusals, fills, changes.small))
    return len(body).to_bytes(4, "little") + body


def _columns(kind: type[msgspec.Struct], rows: Sequence[msgspec.Struct]) -> msgspec.Struct:
    names = kind.__struct_fields__
    return kind(*([getattr(row, name) for row in rows] for name in names))


def _rows(kind: type[Row], columns: msgspec.Struct) -> list[Row]:
    return list(map(kind, *msgspec.structs.astuple(columns)))
