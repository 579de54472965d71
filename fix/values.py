"""Values of the house as values of FIX fields, and back."""

from collections.abc import Callable
from decimal import Decimal
from typing import TypeVar

from core.errors import FixFieldError
from core.instruments import Instrument, InstrumentTable
from core.types import Amendment, OrderStatus, OrderType, Side, TimeInForce
from fix import tags, timestamps
from fix.codec import Field, Message

_T = TypeVar("_T")

SIDES = {Side.BUY: b"1", Side.SELL: b"2"}
TIMES_IN_FORCE = {
    TimeInForce.DAY: b"0",
    TimeInForce.GTC: b"1",
    TimeInForce.IOC: b"3",
    TimeInForce.FOK: b"4",
    TimeInForce.GTD: b"6",
}
# OrdType (40). A market order goes out as a marketable limit, a stop order with the limit behind
# its stop price, so that neither executes at any price.
ORDER_TYPES = {
    OrderType.MARKET: b"2",
    OrderType.LIMIT: b"2",
    OrderType.STOP: b"4",
    OrderType.STOP_LIMIT: b"4",
}
_ORDER_TYPE_OF = {b"2": OrderType.LIMIT, b"4": OrderType.STOP_LIMIT}
# OrdStatus (39). What we only fear or plan has no code of its own: to the venue it is New.
STATUSES = {
    OrderStatus.INITIALIZED: b"A",
    OrderStatus.SUBMITTED: b"A",
    OrderStatus.UNKNOWN: b"0",
    OrderStatus.ACCEPTED: b"0",
    OrderStatus.PARTIALLY_FILLED: b"1",
    OrderStatus.FILLED: b"2",
    OrderStatus.CANCELED: b"4",
    OrderStatus.PENDING_CANCEL: b"6",
    OrderStatus.PENDING_REPLACE: b"E",
    OrderStatus.REJECTED: b"8",
    OrderStatus.DENIED: b"8",
    OrderStatus.EXPIRED: b"C",
}
_SIDE_OF = {code: side for side, code in SIDES.items()}
_TIME_IN_FORCE_OF = {code: value for value, code in TIMES_IN_FORCE.items()}
_STATUS_OF = {
    b"A": OrderStatus.SUBMITTED,
    b"0": OrderStatus.ACCEPTED,
    b"1": OrderStatus.PARTIALLY_FILLED,
    b"2": OrderStatus.FILLED,
    b"4": OrderStatus.CANCELED,
    b"6": OrderStatus.PENDING_CANCEL,
    b"8": OrderStatus.REJECTED,
    b"E": OrderStatus.PENDING_REPLACE,
    b"C": OrderStatus.EXPIRED,
}


def price_text(ticks: int, digits: int) -> bytes:
    """Price ticks, not negative, as a decimal with the instrument's digits."""
    if digits == 0:
        return b"%d" % ticks
    return b"%d.%0*d" % (ticks // 10**digits, digits, ticks % 10**digits)


def lots_text(steps: int, instrument: Instrument) -> bytes:
    """Lot steps as lots, in plain decimal."""
    return format(instrument.to_lots(steps), "f").encode()


def note(text: str) -> bytes:
    """Text for people, with what a field cannot hold replaced by ``?``."""
    return "".join(c if c.isprintable() else "?" for c in text).encode("latin-1", "replace")


def _whole(value: Decimal, tag: int, what: str) -> int:
    if value < 0 or value != value.to_integral_value():
        raise FixFieldError(tag, tags.VALUE_INCORRECT, f"not a multiple of the {what}")
    return int(value)


def read_ticks(message: Message, tag: int, instrument: Instrument) -> int:
    """Price of `tag` in price ticks; raises FixFieldError unless it is a whole number of them."""
    return _whole(message.decimal(tag).scaleb(instrument.digits), tag, "price tick")


def read_steps(message: Message, tag: int, instrument: Instrument) -> int:
    """Lots of `tag` in lot steps; raises FixFieldError unless it is a whole number of them."""
    return _whole(message.decimal(tag) / instrument.lot_step, tag, "lot step")


def read_terms(message: Message, instrument: Instrument) -> Amendment:
    """Whole quantity, limit, stop and expiry of an order; what is absent is zero."""
    return Amendment(
        _if_there(message, tags.ORDER_QTY, lambda: read_steps(message, tags.ORDER_QTY, instrument)),
        _if_there(message, tags.PRICE, lambda: read_ticks(message, tags.PRICE, instrument)),
        _if_there(message, tags.STOP_PX, lambda: read_ticks(message, tags.STOP_PX, instrument)),
        _if_there(message, tags.EXPIRE_TIME, lambda: message.time_ns(tags.EXPIRE_TIME)),
    )


def _if_there(message: Message, tag: int, read: Callable[[], int]) -> int:
    return read() if tag in message else 0


def terms_fields(terms: Amendment, instrument: Instrument) -> list[Field]:
    """Fields of what is not zero; `read_terms` is the other way."""
    fields: list[Field] = []
    if terms.quantity:
        fields.append((tags.ORDER_QTY, lots_text(terms.quantity, instrument)))
    if terms.limit_ticks:
        fields.append((tags.PRICE, price_text(terms.limit_ticks, instrument.digits)))
    if terms.stop_ticks:
        fields.append((tags.STOP_PX, price_text(terms.stop_ticks, instrument.digits)))
    if terms.expire_ns:
        fields.append((tags.EXPIRE_TIME, timestamps.encode_ns(terms.expire_ns)))
    return fields


def read_instrument(message: Message, table: InstrumentTable) -> Instrument:
    """Instrument of Symbol (55); raises UnknownInstrument."""
    return table.by_symbol(message.text(tags.SYMBOL))


def _read_code(message: Message, tag: int, codes: dict[bytes, _T]) -> _T:
    value = message.require(tag)
    if value not in codes:
        raise FixFieldError(tag, tags.VALUE_INCORRECT, f"unknown code {value[:16]!r}")
    return codes[value]


def read_side(message: Message) -> Side:
    """Side (54)."""
    return _read_code(message, tags.SIDE, _SIDE_OF)


def read_time_in_force(message: Message) -> TimeInForce:
    """TimeInForce (59)."""
    return _read_code(message, tags.TIME_IN_FORCE, _TIME_IN_FORCE_OF)


def read_order_type(message: Message) -> OrderType:
    """OrdType (40)."""
    return _read_code(message, tags.ORD_TYPE, _ORDER_TYPE_OF)


def read_status(message: Message) -> OrderStatus:
    """OrdStatus (39)."""
    return _read_code(message, tags.ORD_STATUS, _STATUS_OF)


def read_seq(message: Message) -> int:
    """Tape position (5001); 0 when absent."""
    return message.integer(tags.QUOTE_SEQ) if tags.QUOTE_SEQ in message else 0
