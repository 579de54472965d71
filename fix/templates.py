"""Pre-encoded orders: all that does not move with the tape is encoded once.

An `OrderTemplate` belongs to account × symbol × side × volume (and time in force). Per order only
ClOrdID, Price, TransactTime and the tape position are filled in; the session adds its numbers,
SendingTime, BodyLength and CheckSum.
"""

import msgspec

from core.errors import BadInput
from core.instruments import Instrument
from core.types import Order, OrderType, Side, TimeInForce
from fix import tags, timestamps
from fix.codec import Field, clean_text, encode_fields
from fix.values import ORDER_TYPES, SIDES, TIMES_IN_FORCE, lots_text, price_text


class OrderTemplate(msgspec.Struct, frozen=True, gc=False):
    """New Order Single (35=D) with holes.

    Attributes
    ----------
    quantity : int
        Lot steps.
    digits : int
        Decimals of a price.
    fixed : bytes
        The encoded fields that every order of the template shares.
    """

    account: str
    symbol: str
    side: Side
    quantity: int
    time_in_force: TimeInForce
    digits: int
    fixed: bytes

    def body(
        self, client_order_id: str, limit_ticks: int, transact_ns: int, quote_seq: int
    ) -> bytes:
        """Body fields of one order.

        Raises
        ------
        BadInput
            When there is no limit price: a market order goes out as a marketable limit.
        """
        if limit_ticks <= 0:
            raise BadInput(f"order {client_order_id} has no limit price")
        return b"%b11=%b\x0144=%b\x0160=%b\x015001=%d\x01" % (
            self.fixed,
            client_order_id.encode("ascii"),
            price_text(limit_ticks, self.digits),
            timestamps.encode_ns(transact_ns),
            quote_seq,
        )

    def to_bytes(self) -> bytes:
        """Encode for storage."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "OrderTemplate":
        """Decode what `to_bytes` made.

        Raises
        ------
        BadInput
            When the bytes are no template.
        """
        try:
            return msgspec.msgpack.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadInput(f"not an order template: {error}") from None


def template_for(
    account: str,
    instrument: Instrument,
    side: Side,
    quantity: int,
    time_in_force: TimeInForce = TimeInForce.IOC,
) -> OrderTemplate:
    """Encode what orders of `quantity` lot steps have in common.

    Raises
    ------
    BadInput
        When the account's name cannot be a field value.
    """
    fixed = encode_fields(
        _fixed(account, instrument, side, quantity, OrderType.LIMIT, time_in_force)
    )
    return OrderTemplate(
        account=account,
        symbol=instrument.symbol,
        side=side,
        quantity=quantity,
        time_in_force=time_in_force,
        digits=instrument.digits,
        fixed=fixed,
    )


def fits_template(order: Order) -> bool:
    """Say whether a template says all of an order: no trigger, no expiry, no ties."""
    return not (order.stop_ticks or order.expire_ns or order.reduce_only or order.group)


def new_order(order: Order, instrument: Instrument) -> bytes:
    """Body of New Order Single (35=D) without a template at hand.

    Raises
    ------
    BadInput
        When there is no limit price.
    """
    if order.limit_ticks <= 0:
        raise BadInput(f"order {order.client_order_id} has no limit price")
    fields = _fixed(
        order.account, instrument, order.side, order.quantity, order.type, order.time_in_force
    )
    if order.stop_ticks:
        fields.append((tags.STOP_PX, price_text(order.stop_ticks, instrument.digits)))
    if order.expire_ns:
        fields.append((tags.EXPIRE_TIME, timestamps.encode_ns(order.expire_ns)))
    if order.reduce_only:
        fields.append((tags.REDUCE_ONLY, b"Y"))
    if order.group:
        fields.append((tags.ORDER_GROUP, clean_text(order.group)))
    fields += [
        (tags.CL_ORD_ID, clean_text(order.client_order_id)),
        (tags.PRICE, price_text(order.limit_ticks, instrument.digits)),
        (tags.TRANSACT_TIME, timestamps.encode_ns(order.created_ns)),
        (tags.QUOTE_SEQ, b"%d" % order.quote_seq),
    ]
    return encode_fields(fields)


def _fixed(
    account: str,
    instrument: Instrument,
    side: Side,
    quantity: int,
    order_type: OrderType,
    time_in_force: TimeInForce,
) -> list[Field]:
    return [
        (tags.ACCOUNT, clean_text(account)),
        (tags.HANDL_INST, b"1"),
        (tags.ORDER_QTY, lots_text(quantity, instrument)),
        (tags.ORD_TYPE, ORDER_TYPES[order_type]),
        (tags.SIDE, SIDES[side]),
        (tags.SYMBOL, clean_text(instrument.symbol)),
        (tags.TIME_IN_FORCE, TIMES_IN_FORCE[time_in_force]),
    ]
