"""What the venue writes and the trading side reads: reports and rejects (35=8 9 AP j).

As in `fix.messages`, `build_*` return body fields and `parse_*` raise FixFieldError.
"""

from decimal import Decimal

import msgspec

from core.errors import FixFieldError
from core.instruments import Instrument, InstrumentTable
from core.types import Amendment, Fill, Order, OrderEvent, OrderEventKind, OrderStatus
from fix import tags, timestamps
from fix.codec import Field, Message, clean_text, encode_fields
from fix.values import (
    SIDES,
    STATUSES,
    lots_text,
    note,
    price_text,
    read_instrument,
    read_seq,
    read_side,
    read_status,
    read_steps,
    read_terms,
    read_ticks,
    terms_fields,
)

VENUE = "VENUE"
UNKNOWN_ORDER = "unknown_order"

K = OrderEventKind
S = OrderStatus
_EXEC_TYPES = {
    K.ACCEPT: b"0", K.CANCEL: b"4", K.REPLACE: b"5", K.REJECT: b"8", K.EXPIRE: b"C", K.FILL: b"F",
}  # fmt: skip
_KINDS = {code: kind for kind, code in _EXEC_TYPES.items()}
_STATUS_EXEC_TYPE = b"I"
_UNKNOWN_ORDER_CODE = b"5"
_DONE = (S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.DENIED)
_KIND_OF_STATUS = {S.REJECTED: K.REJECT, S.CANCELED: K.CANCEL, S.EXPIRED: K.EXPIRE}


class StatusReport(msgspec.Struct, frozen=True):
    """35=8 with ExecType=I: where the venue says an order stands.

    `filled` is in lot steps, and `filled_value` is the sum of lot steps times price ticks, from the
    average price. `request_id` is that of the 35=H it answers, when that had one. `mass_id` is set
    when it answers 35=AF; then `total` reports come, and `last` marks the last. A mass status of no
    orders is one report with `total` 0 and no client order id.
    """

    client_order_id: str
    venue_order_id: str
    status: OrderStatus
    filled: int
    reason: str
    ts_event: int
    quote_seq: int
    request_id: str = ""
    mass_id: str = ""
    total: int = 0
    last: bool = False
    filled_value: int = 0
    terms: Amendment | None = None

    def event(self) -> OrderEvent:
        """Return it as an event of the order.

        Executions have reports of their own, which come earlier in sequence or are replayed; so
        an order that lives or is filled is told as ACCEPT, which moves no quantity. It brings the
        terms in force, which tell whether a replacement that was lost counts.
        """
        return OrderEvent(
            client_order_id=self.client_order_id,
            kind=_KIND_OF_STATUS.get(self.status, K.ACCEPT),
            ts_event=self.ts_event,
            venue_order_id=self.venue_order_id,
            reason=self.reason,
            quote_seq=self.quote_seq,
            terms=self.terms,
        )


class PositionReport(msgspec.Struct, frozen=True):
    """35=AP: signed lot steps of one instrument; `instrument` is -1 when there are none at all."""

    request_id: str
    instrument: int
    steps: int
    total: int


class BusinessReject(msgspec.Struct, frozen=True):
    """35=j: number and id of the message that was refused, and why."""

    ref_seq: int
    ref_id: str
    text: str


def _common(order: Order, instrument: Instrument, ts_event: int, quote_seq: int) -> list[Field]:
    average = Decimal(order.filled_value) / order.filled if order.filled else Decimal(0)
    price = average.scaleb(-instrument.digits).quantize(Decimal(1).scaleb(-instrument.digits - 3))
    leaves = 0 if order.status in _DONE else order.leaves
    terms = Amendment(order.quantity, order.limit_ticks, order.stop_ticks, order.expire_ns)
    return [
        (tags.ORDER_ID, clean_text(order.venue_order_id or "NONE")),
        (tags.CL_ORD_ID, clean_text(order.client_order_id)),
        (tags.ORD_STATUS, STATUSES[order.status]),
        (tags.SYMBOL, clean_text(instrument.symbol)),
        (tags.SIDE, SIDES[order.side]),
        *terms_fields(terms, instrument),
        (tags.LEAVES_QTY, lots_text(leaves, instrument)),
        (tags.CUM_QTY, lots_text(order.filled, instrument)),
        (tags.AVG_PX, format(price, "f").encode()),
        (tags.TRANSACT_TIME, timestamps.encode_ns(ts_event)),
        (tags.QUOTE_SEQ, b"%d" % quote_seq),
    ]


def build_execution_report(
    event: OrderEvent, order: Order, instrument: Instrument, exec_id: str
) -> bytes:
    """35=8 for an ACCEPT, REJECT, CANCEL, EXPIRE, REPLACE or FILL.

    Parameters
    ----------
    order : Order
        As it stands after the event, with `filled` and `filled_value`.
    exec_id : str
        Unique over all reports of the venue. A fill brings its own, which counts.
    """
    if event.venue_order_id:
        order = msgspec.structs.replace(order, venue_order_id=event.venue_order_id)
    pairs = _common(order, instrument, event.ts_event, event.quote_seq)
    pairs.append((tags.EXEC_TYPE, _EXEC_TYPES[event.kind]))
    fill = event.fill
    pairs.append((tags.EXEC_ID, clean_text(fill.exec_id if fill else exec_id)))
    if fill is not None:
        pairs.append((tags.LAST_QTY, lots_text(fill.quantity, instrument)))
        pairs.append((tags.LAST_PX, price_text(fill.price_ticks, instrument.digits)))
    if event.reason:
        pairs.append((tags.TEXT, note(event.reason)))
    return encode_fields(pairs)


def build_status_report(
    order: Order,
    instrument: Instrument,
    ts_event: int,
    quote_seq: int,
    *,
    request_id: str = "",
    mass: tuple[str, int, bool] | None = None,
) -> bytes:
    """35=8 with ExecType=I: the answer to 35=H.

    Parameters
    ----------
    mass : (request id, total, last), optional
        For an answer to 35=AF.
    """
    pairs = _common(order, instrument, ts_event, quote_seq)
    pairs += [(tags.EXEC_TYPE, _STATUS_EXEC_TYPE), (tags.EXEC_ID, b"0")]
    if order.reason:
        pairs.append((tags.TEXT, note(order.reason)))
    return encode_fields(pairs + _request_tags(request_id, mass))


def _request_tags(request_id: str, mass: tuple[str, int, bool] | None) -> list[Field]:
    pairs = [(tags.ORD_STATUS_REQ_ID, clean_text(request_id))] if request_id else []
    if mass is not None:
        name, total, last = mass
        pairs.append((tags.MASS_STATUS_REQ_ID, clean_text(name)))
        pairs.append((tags.TOT_NUM_REPORTS, b"%d" % total))
        pairs.append((tags.LAST_RPT_REQUESTED, b"Y" if last else b"N"))
    return pairs


def build_unknown_order(client_order_id: str, ts_event: int, request_id: str = "") -> bytes:
    """35=8: the answer to 35=H for an order that never came (103=5)."""
    pairs = _absent(client_order_id, ts_event)
    pairs.append((tags.TEXT, UNKNOWN_ORDER.encode()))
    return encode_fields(pairs + _request_tags(request_id, None))


def build_no_open_orders(mass_id: str, ts_event: int) -> bytes:
    """35=8: the answer to 35=AF when no order is open."""
    return encode_fields(_absent("NONE", ts_event) + _request_tags("", (mass_id, 0, True)))


def _absent(client_order_id: str, ts_event: int) -> list[Field]:
    return [
        (tags.ORDER_ID, b"NONE"),
        (tags.CL_ORD_ID, clean_text(client_order_id)),
        (tags.EXEC_ID, b"0"),
        (tags.EXEC_TYPE, _STATUS_EXEC_TYPE),
        (tags.ORD_STATUS, b"8"),
        (tags.ORD_REJ_REASON, _UNKNOWN_ORDER_CODE),
        (tags.LEAVES_QTY, b"0"),
        (tags.CUM_QTY, b"0"),
        (tags.AVG_PX, b"0"),
        (tags.TRANSACT_TIME, timestamps.encode_ns(ts_event)),
    ]


def parse_execution_report(
    message: Message, table: InstrumentTable, venue: str = VENUE
) -> OrderEvent | StatusReport:
    """35=8: an event of an order, or where one stands."""
    if message.require(tags.EXEC_TYPE) == _STATUS_EXEC_TYPE:
        return _parse_status(message, table)
    kind = _KINDS.get(message.require(tags.EXEC_TYPE))
    if kind is None:
        raise FixFieldError(tags.EXEC_TYPE, tags.VALUE_INCORRECT, "unknown ExecType")
    return OrderEvent(
        client_order_id=_client_order_id(message),
        kind=kind,
        ts_event=message.time_ns(tags.TRANSACT_TIME),
        venue_order_id=_venue_order_id(message),
        reason=message.get(tags.TEXT).decode("latin-1"),
        quote_seq=read_seq(message),
        fill=_parse_fill(message, table, venue) if kind is K.FILL else None,
        terms=read_terms(message, read_instrument(message, table)) if kind is K.REPLACE else None,
    )


def _client_order_id(message: Message) -> str:
    # A report about a cancel may name the order in tag 41 and the cancel in tag 11.
    original = message.get(tags.ORIG_CL_ORD_ID)
    return original.decode("latin-1") if original else message.text(tags.CL_ORD_ID)


def _venue_order_id(message: Message) -> str:
    name = message.text(tags.ORDER_ID)
    return "" if name == "NONE" else name


def _parse_fill(message: Message, table: InstrumentTable, venue: str) -> Fill:
    instrument = read_instrument(message, table)
    return Fill(
        venue=venue,
        exec_id=message.text(tags.EXEC_ID),
        client_order_id=_client_order_id(message),
        instrument=instrument.id,
        side=read_side(message),
        quantity=read_steps(message, tags.LAST_QTY, instrument),
        price_ticks=read_ticks(message, tags.LAST_PX, instrument),
        ts_event=message.time_ns(tags.TRANSACT_TIME),
        quote_seq=read_seq(message),
    )


def _parse_status(message: Message, table: InstrumentTable) -> StatusReport:
    absent = message.get(tags.ORD_REJ_REASON) == _UNKNOWN_ORDER_CODE
    filled, value, terms = 0, 0, None
    if not absent:
        instrument = read_instrument(message, table)
        filled = read_steps(message, tags.CUM_QTY, instrument)
        value = round(message.decimal(tags.AVG_PX).scaleb(instrument.digits) * filled)
        terms = read_terms(message, instrument)
    mass_id = message.get(tags.MASS_STATUS_REQ_ID).decode("latin-1")
    client_order_id = _client_order_id(message)
    return StatusReport(
        client_order_id="" if absent and mass_id else client_order_id,
        venue_order_id=_venue_order_id(message),
        status=read_status(message),
        filled=filled,
        reason=UNKNOWN_ORDER if absent else message.get(tags.TEXT).decode("latin-1"),
        ts_event=message.time_ns(tags.TRANSACT_TIME),
        quote_seq=read_seq(message),
        request_id=message.get(tags.ORD_STATUS_REQ_ID).decode("latin-1"),
        mass_id=mass_id,
        total=message.integer(tags.TOT_NUM_REPORTS) if mass_id else 0,
        last=message.flag(tags.LAST_RPT_REQUESTED),
        filled_value=value,
        terms=terms,
    )


def build_cancel_reject(
    client_order_id: str,
    cancel_id: str,
    order: Order | None,
    reason: str,
    ts_event: int,
    *,
    replaces: bool = False,
) -> bytes:
    """35=9: the cancel or replacement came too late, or for an order that never came.

    `order` as it stands, None for the latter; `replaces` says that it answers 35=G.
    """
    status = STATUSES[order.status] if order is not None else b"8"
    return encode_fields(
        (
            (tags.ORDER_ID, clean_text(order.venue_order_id or "NONE") if order else b"NONE"),
            (tags.CL_ORD_ID, clean_text(cancel_id)),
            (tags.ORIG_CL_ORD_ID, clean_text(client_order_id)),
            (tags.ORD_STATUS, status),
            (tags.CXL_REJ_RESPONSE_TO, b"2" if replaces else b"1"),
            (tags.CXL_REJ_REASON, b"0" if order is not None else b"1"),
            (tags.TRANSACT_TIME, timestamps.encode_ns(ts_event)),
            (tags.TEXT, note(reason or "rejected")),
        )
    )


def parse_cancel_reject(message: Message) -> OrderEvent:
    """35=9."""
    replaces = message.get(tags.CXL_REJ_RESPONSE_TO) == b"2"
    return OrderEvent(
        client_order_id=message.text(tags.ORIG_CL_ORD_ID),
        kind=K.REJECT_REPLACE if replaces else K.REJECT_CANCEL,
        ts_event=message.time_ns(tags.TRANSACT_TIME),
        venue_order_id=_venue_order_id(message),
        reason=message.get(tags.TEXT).decode("latin-1"),
    )


def build_position_report(
    request_id: str, account: str, position: tuple[Instrument, int] | None, total: int, now_ns: int
) -> bytes:
    """35=AP: one instrument and its signed lot steps, or None when `total` is 0."""
    pairs = [
        (tags.POS_MAINT_RPT_ID, clean_text(f"{request_id}-{now_ns}")),
        (tags.POS_REQ_ID, clean_text(request_id)),
        (tags.POS_REQ_RESULT, b"2" if position is None else b"0"),
        (tags.TOTAL_POS_REPORTS, b"%d" % total),
        (tags.CLEARING_BUSINESS_DATE, timestamps.encode_ns(now_ns)[:8]),
        (tags.ACCOUNT, clean_text(account)),
    ]
    if position is not None:
        instrument, steps = position
        pairs.append((tags.SYMBOL, clean_text(instrument.symbol)))
        pairs += [(tags.NO_POSITIONS, b"1"), (tags.POS_TYPE, b"TQ")]
        pairs.append((tags.LONG_QTY, lots_text(max(steps, 0), instrument)))
        pairs.append((tags.SHORT_QTY, lots_text(max(-steps, 0), instrument)))
    return encode_fields(pairs)


def parse_position_report(message: Message, table: InstrumentTable) -> PositionReport:
    """35=AP."""
    request_id = message.text(tags.POS_REQ_ID)
    total = message.integer(tags.TOTAL_POS_REPORTS)
    if total == 0:
        return PositionReport(request_id, -1, 0, 0)
    instrument = read_instrument(message, table)
    long = read_steps(message, tags.LONG_QTY, instrument)
    return PositionReport(
        request_id,
        instrument.id,
        long - read_steps(message, tags.SHORT_QTY, instrument),
        total,
    )


def build_business_reject(message: Message, reason: int, ref_id: str, text: str) -> bytes:
    """35=j for `message`; BusinessRejectReason 3 is an unsupported message type, 4 not available.

    `ref_id` is the ClOrdID or request id that the message had; may be empty.
    """
    pairs = [
        (tags.REF_SEQ_NUM, message.require(tags.MSG_SEQ_NUM)),
        (tags.REF_MSG_TYPE, message.msg_type),
        (tags.BUSINESS_REJECT_REASON, b"%d" % reason),
        (tags.TEXT, note(text or "rejected")),
    ]
    if ref_id:
        pairs.append((tags.BUSINESS_REJECT_REF_ID, clean_text(ref_id)))
    return encode_fields(pairs)


def parse_business_reject(message: Message) -> BusinessReject:
    """35=j."""
    return BusinessReject(
        message.integer(tags.REF_SEQ_NUM),
        message.get(tags.BUSINESS_REJECT_REF_ID).decode("latin-1"),
        message.get(tags.TEXT).decode("latin-1"),
    )
