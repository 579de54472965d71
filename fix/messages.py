"""What the venue reads and the trading side writes: orders and requests (35=D F G H AF AN).

`build_*` functions return body fields; the session adds the rest. `parse_*` functions raise
`core.errors.FixFieldError` for a field that is missing or wrong, and `UnknownInstrument`.
Quantities on the wire are lots, prices decimals with the instrument's digits.
"""

import msgspec

from core.errors import BadInput
from core.instruments import Instrument, InstrumentTable
from core.types import Amendment, Order, OrderStatus, OrderType, TimeInForce
from fix import tags, timestamps
from fix.codec import Message, clean_text, encode_fields
from fix.values import (
    ORDER_TYPES,
    SIDES,
    lots_text,
    read_instrument,
    read_order_type,
    read_seq,
    read_side,
    read_steps,
    read_terms,
    read_ticks,
    read_time_in_force,
    terms_fields,
)


class CancelRequest(msgspec.Struct, frozen=True):
    """35=F: cancel `client_order_id`; the request has an id of its own."""

    cancel_id: str
    client_order_id: str


class ReplaceRequest(msgspec.Struct, frozen=True):
    """35=G: change `client_order_id` to `terms`; the request has an id of its own.

    The order keeps its id: reports of it name that in OrigClOrdID.
    """

    replace_id: str
    client_order_id: str
    terms: Amendment


class StatusRequest(msgspec.Struct, frozen=True):
    """35=H: a question what became of `client_order_id`."""

    client_order_id: str
    request_id: str


class PositionRequest(msgspec.Struct, frozen=True):
    """35=AN: the positions of `account`."""

    request_id: str
    account: str


def parse_new_order(message: Message, table: InstrumentTable) -> Order:
    """35=D as an order that the venue has not looked at yet; it has no key and no strategy."""
    instrument = read_instrument(message, table)
    order_type, time_in_force = read_order_type(message), read_time_in_force(message)
    stops = order_type is OrderType.STOP_LIMIT
    ends = time_in_force is TimeInForce.GTD or tags.EXPIRE_TIME in message
    return Order(
        client_order_id=message.text(tags.CL_ORD_ID),
        key="",
        account=message.text(tags.ACCOUNT),
        strategy="",
        instrument=instrument.id,
        side=read_side(message),
        quantity=read_steps(message, tags.ORDER_QTY, instrument),
        type=order_type,
        limit_ticks=read_ticks(message, tags.PRICE, instrument),
        time_in_force=time_in_force,
        created_ns=message.time_ns(tags.TRANSACT_TIME),
        quote_seq=read_seq(message),
        status=OrderStatus.SUBMITTED,
        stop_ticks=read_ticks(message, tags.STOP_PX, instrument) if stops else 0,
        expire_ns=message.time_ns(tags.EXPIRE_TIME) if ends else 0,
        reduce_only=message.flag(tags.REDUCE_ONLY),
        group=message.get(tags.ORDER_GROUP).decode("latin-1"),
    )


def _order_names(order: Order, instrument: Instrument) -> list[tuple[int, bytes]]:
    pairs = [(tags.SYMBOL, clean_text(instrument.symbol)), (tags.SIDE, SIDES[order.side])]
    if order.venue_order_id:
        pairs.append((tags.ORDER_ID, clean_text(order.venue_order_id)))
    return pairs


def build_cancel_request(
    order: Order, instrument: Instrument, cancel_id: str, now_ns: int
) -> bytes:
    """35=F for `order`; `cancel_id` must be new, also when a cancel is tried again."""
    return encode_fields(
        (
            (tags.CL_ORD_ID, clean_text(cancel_id)),
            (tags.ORIG_CL_ORD_ID, clean_text(order.client_order_id)),
            *_order_names(order, instrument),
            (tags.ORDER_QTY, lots_text(order.quantity, instrument)),
            (tags.TRANSACT_TIME, timestamps.encode_ns(now_ns)),
        )
    )


def build_replace_request(
    order: Order, instrument: Instrument, replace_id: str, now_ns: int
) -> bytes:
    """35=G: change `order` to its `pending` terms; `replace_id` must be new.

    Raises
    ------
    BadInput
        When nothing is asked for.
    """
    terms = order.pending
    if terms is None:
        raise BadInput(f"order {order.client_order_id} has no terms to change to")
    pairs = [
        (tags.CL_ORD_ID, clean_text(replace_id)),
        (tags.ORIG_CL_ORD_ID, clean_text(order.client_order_id)),
        *_order_names(order, instrument),
        (tags.HANDL_INST, b"1"),
        (tags.ORD_TYPE, ORDER_TYPES[order.type]),
        (tags.TRANSACT_TIME, timestamps.encode_ns(now_ns)),
    ]
    return encode_fields(pairs + terms_fields(terms, instrument))


def parse_replace_request(message: Message, table: InstrumentTable) -> ReplaceRequest:
    """35=G."""
    return ReplaceRequest(
        message.text(tags.CL_ORD_ID),
        message.text(tags.ORIG_CL_ORD_ID),
        read_terms(message, read_instrument(message, table)),
    )


def parse_cancel_request(message: Message) -> CancelRequest:
    """35=F."""
    return CancelRequest(message.text(tags.CL_ORD_ID), message.text(tags.ORIG_CL_ORD_ID))


def build_status_request(order: Order, instrument: Instrument, request_id: str) -> bytes:
    """35=H for `order`."""
    return encode_fields(
        (
            (tags.CL_ORD_ID, clean_text(order.client_order_id)),
            (tags.ORD_STATUS_REQ_ID, clean_text(request_id)),
            *_order_names(order, instrument),
        )
    )


def parse_status_request(message: Message) -> StatusRequest:
    """35=H; the request id may be absent."""
    request_id = message.get(tags.ORD_STATUS_REQ_ID).decode("latin-1")
    return StatusRequest(message.text(tags.CL_ORD_ID), request_id)


def build_mass_status_request(request_id: str) -> bytes:
    """35=AF for all orders."""
    return encode_fields(
        ((tags.MASS_STATUS_REQ_ID, clean_text(request_id)), (tags.MASS_STATUS_REQ_TYPE, b"7"))
    )


def parse_mass_status_request(message: Message) -> str:
    """35=AF; return its id."""
    return message.text(tags.MASS_STATUS_REQ_ID)


def build_position_request(request_id: str, account: str, now_ns: int) -> bytes:
    """35=AN for all positions of `account`."""
    now = timestamps.encode_ns(now_ns)
    return encode_fields(
        (
            (tags.POS_REQ_ID, clean_text(request_id)),
            (tags.POS_REQ_TYPE, b"0"),
            (tags.ACCOUNT, clean_text(account)),
            (tags.CLEARING_BUSINESS_DATE, now[:8]),
            (tags.TRANSACT_TIME, now),
        )
    )


def parse_position_request(message: Message) -> PositionRequest:
    """35=AN."""
    return PositionRequest(message.text(tags.POS_REQ_ID), message.text(tags.ACCOUNT))
