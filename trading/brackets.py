"""Brackets: each execution of an entry gets a take-profit and a stop-loss, one canceling the other.

The exits are orders of their own, with keys that derive from the execution, so that they are sent
once, also when the process ends between the execution and the exits. The venue knows the group: it
cancels one when the other executes, and a reduce-only order never turns the position.
"""

from collections.abc import Iterator

from core.types import Fill, Order, OrderType, Side, TimeInForce
from trading.events import SubmitOrder
from trading.ids import MODEL_STRATEGY
from trading.orders import OrderBook

_OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


def exits_fit(entry: SubmitOrder) -> bool:
    """Say whether the exits lie on the right sides of each other and of a stated price."""
    sign = entry.side.sign
    at = entry.limit_ticks or entry.stop_ticks
    take, loss = entry.take_ticks, entry.loss_ticks
    gains = not (take and at) or (take - at) * sign > 0
    loses = not (loss and at) or (at - loss) * sign > 0
    apart = not (take and loss) or (take - loss) * sign > 0
    return gains and loses and apart and take >= 0 and loss >= 0 and not entry.reduce_only


def exits_of(entry: Order, fill: Fill, now_ns: int) -> Iterator[SubmitOrder]:
    """Yield the exits of one execution of an entry; none for an order that is no entry."""
    for what, ticks in (("take", entry.take_ticks), ("loss", entry.loss_ticks)):
        if ticks:
            yield SubmitOrder(
                now_ns,
                _key(entry, fill, what),
                entry.account,
                entry.strategy,
                entry.instrument,
                _OTHER[entry.side],
                fill.quantity,
                OrderType.LIMIT if what == "take" else OrderType.STOP,
                ticks if what == "take" else 0,
                TimeInForce.GTC,
                stop_ticks=ticks if what == "loss" else 0,
                reduce_only=True,
                group=f"{entry.client_order_id}/{fill.exec_id}",
            )


def exits_owed(book: OrderBook) -> list[tuple[Order, Fill]]:
    """Find executions of entries whose exits were never made."""
    owed = []
    for fill in book.fills:
        entry = book.get(fill.client_order_id)
        if entry is None or not (entry.take_ticks or entry.loss_ticks):
            continue
        what = "take" if entry.take_ticks else "loss"
        model = entry.strategy == MODEL_STRATEGY
        if book.by_key(entry.account, _key(entry, fill, what), model=model) is None:
            owed.append((entry, fill))
    return owed


def _key(entry: Order, fill: Fill, what: str) -> str:
    return f"{entry.key}/{what}/{fill.exec_id}"
