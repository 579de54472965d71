"""What the journal holds, as JSON, so that a human can read it after the fact."""

from decimal import Decimal

import msgspec

from core.types import Order, OrderEvent, Refused, TradingState


class IdBlock(msgspec.Struct, frozen=True, tag="ids"):
    """Ids of `prefix` with numbers below `end` are reserved."""

    prefix: str
    end: int


class Intent(msgspec.Struct, frozen=True, tag="intent"):
    """An order that passed risk and is about to be sent, already in SUBMITTED."""

    order: Order


class Denied(msgspec.Struct, frozen=True, tag="denied"):
    """An order that risk refused."""

    order: Order
    refused: Refused


class Happened(msgspec.Struct, frozen=True, tag="event"):
    """An order event that was applied.

    `rate` is the conversion from quote to account currency used for a fill, None when none was
    known; `tape_ns` is the tape time at which the fill was applied.
    """

    event: OrderEvent
    now_ns: int
    rate: Decimal | None = None
    tape_ns: int = 0


class StateChanged(msgspec.Struct, frozen=True, tag="state"):
    """The trading state of one scope changed."""

    state: TradingState
    reason: str
    who: str
    scope: str
    now_ns: int


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """A named value that must outlive the process, such as a latch; None lets go of it.

    The newest value of a name counts. `name` is ``<part>.<what>``, as in ``risk.day_loss``; `value`
    is text that the part itself reads, JSON where it is more than a word.
    """

    name: str
    value: str | None
    now_ns: int


Record = IdBlock | Intent | Denied | Happened | StateChanged | Kept

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """Encode one record as JSON."""
    return _encoder.encode(record)


def decode(payload: bytes) -> Record:
    """Decode one record; raises `msgspec.DecodeError` for anything else."""
    return _decoder.decode(payload)
