"""What an order may be changed to."""

from core.errors import BadInput
from core.types import Amendment, Order, OrderType, TimeInForce
from trading.orders import with_terms
from trading.transitions import STOPS


def refuse_odd_terms(order: Order, asked: Amendment) -> None:
    """Refuse terms that the order cannot have; raises BadInput."""
    if min(asked.quantity, asked.limit_ticks, asked.stop_ticks, asked.expire_ns) < 0:
        raise BadInput("a replacement has no negative terms")
    if asked.quantity and asked.quantity <= order.filled:
        raise BadInput(f"{order.filled} lot steps are filled: cancel the rest instead")
    if asked.stop_ticks and order.type not in STOPS:
        raise BadInput(f"a {order.type} order has no stop price")
    if asked.limit_ticks and order.type is OrderType.STOP:
        raise BadInput("a STOP order has no limit price of its own")
    if asked.expire_ns and order.time_in_force is not TimeInForce.GTD:
        raise BadInput(f"a {order.time_in_force} order has no time of expiry of its own")
    if with_terms(order, asked) == order:
        raise BadInput("the replacement changes nothing")
