"""What an event does to an order, and the book that holds all orders and executions."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from core.errors import Conflict, FillConflict, IllegalTransition, Overfill
from core.types import (
    Amendment,
    Fill,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderStatus,
)
from trading.ids import MODEL_STRATEGY
from trading.resting import RestingPrices
from trading.transitions import TERMINAL, TRANSITIONS, is_open

K = OrderEventKind
S = OrderStatus


def apply(order: Order, event: OrderEvent) -> Order:
    """Return `order` after `event`.

    Raises
    ------
    IllegalTransition
        When the table forbids the event, or a FILL brings no fitting execution.
    Overfill
        When more would be filled than was ordered.
    """
    target = TRANSITIONS.get((order.status, event.kind))
    if target is None:
        raise IllegalTransition(f"{order.client_order_id}: {event.kind} in {order.status}")
    filled, value = order.filled, order.filled_value
    if event.kind is K.FILL:
        fill = _fitting_fill(order, event)
        filled += fill.quantity
        value += fill.quantity * fill.price_ticks
    order = _amended(order, event)
    if filled > order.quantity:
        raise Overfill(f"{order.client_order_id}: {filled} filled of {order.quantity}")
    status = _refine(target, filled, order, event)
    return msgspec.structs.replace(
        order,
        status=status,
        filled=filled,
        filled_value=value,
        venue_order_id=event.venue_order_id or order.venue_order_id,
        reason=event.reason or order.reason,
        pending=None if status in TERMINAL else order.pending,
    )


def _amended(order: Order, event: OrderEvent) -> Order:
    """Hold new terms as asked for, or as in force, or let go of them.

    An UNKNOWN order has the terms in force that the answer to the status request brings.
    """
    terms = event.terms
    if event.kind is K.REQUEST_REPLACE:
        if terms is None:
            raise IllegalTransition(f"{order.client_order_id}: REQUEST_REPLACE without terms")
        return msgspec.structs.replace(order, pending=terms)
    if event.kind is K.REJECT_REPLACE:
        return msgspec.structs.replace(order, pending=None)
    if event.kind is K.REPLACE and terms is None:
        terms = order.pending or Amendment()
    told = event.kind is K.REPLACE or (event.kind is K.ACCEPT and order.status is S.UNKNOWN)
    if terms is None or not told:
        return order
    amended = with_terms(order, terms)
    return msgspec.structs.replace(
        amended,
        quantity=max(order.filled, amended.quantity),
        pending=None,
        asked=order.asked or (None if amended == order else terms_of(order)),
    )


def with_terms(order: Order, terms: Amendment) -> Order:
    """Return `order` with the terms that are not zero."""
    return msgspec.structs.replace(
        order,
        quantity=terms.quantity or order.quantity,
        limit_ticks=terms.limit_ticks or order.limit_ticks,
        stop_ticks=terms.stop_ticks or order.stop_ticks,
        expire_ns=terms.expire_ns or order.expire_ns,
    )


def as_asked(order: Order) -> Order:
    """Return an order with the terms that it had before it was replaced."""
    return order if order.asked is None else with_terms(order, order.asked)


def terms_of(order: Order) -> Amendment:
    """Return the terms of an order that can be changed."""
    return Amendment(order.quantity, order.limit_ticks, order.stop_ticks, order.expire_ns)


def _fitting_fill(order: Order, event: OrderEvent) -> Fill:
    fill = event.fill
    if fill is None or fill.quantity <= 0:
        raise IllegalTransition(f"{order.client_order_id}: FILL without an execution")
    if (fill.instrument, fill.side) != (order.instrument, order.side):
        raise IllegalTransition(f"{order.client_order_id}: execution of another side or instrument")
    return fill


def _refine(target: OrderStatus, filled: int, order: Order, event: OrderEvent) -> OrderStatus:
    whole = filled == order.quantity
    if whole and (event.kind is K.FILL or (event.kind is K.REPLACE and target not in TERMINAL)):
        return S.FILLED
    if target is S.PENDING_REPLACE and order.pending is None:
        target = S.ACCEPTED
    if target is S.ACCEPTED:
        if order.pending is not None:
            return S.PENDING_REPLACE
        if filled:
            return S.PARTIALLY_FILLED
    return target


class Applied(NamedTuple):
    """What an event did: the order before and after, and the execution if it was one."""

    before: Order
    after: Order
    fill: Fill | None


class OrderBook:
    """All orders of the account by client order id and by idempotency key, and all executions."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._keys: dict[tuple[str, str, bool], str] = {}
        self._open: dict[str, None] = {}
        self._working: dict[tuple[str, int], int] = {}
        self._fills: dict[tuple[str, str], Fill] = {}
        self._touched: dict[str, None] = {}
        self._new_fills: list[Fill] = []
        self.resting = RestingPrices()

    def __len__(self) -> int:
        return len(self._orders)

    @property
    def open_count(self) -> int:
        """Number of orders that may still be filled."""
        return len(self._open)

    @property
    def fills(self) -> tuple[Fill, ...]:
        """All executions in the order they were applied."""
        return tuple(self._fills.values())

    def get(self, client_order_id: str) -> Order | None:
        """Return the order, or None."""
        return self._orders.get(client_order_id)

    def by_key(self, account: str, key: str, *, model: bool = False) -> Order | None:
        """Return the order that an idempotency key, of the model or of callers, made, or None."""
        found = self._keys.get((account, key, model))
        return None if found is None else self._orders[found]

    def orders(self) -> list[Order]:
        """All orders, oldest first."""
        return list(self._orders.values())

    def open_orders(self) -> list[Order]:
        """Orders that may still be filled, oldest first."""
        return [self._orders[name] for name in self._open]

    def in_flight(self, strategy: str, instrument: int) -> bool:
        """Say whether any order of the strategy in the instrument is open or UNKNOWN."""
        return self._working.get((strategy, instrument), 0) > 0

    def add(self, order: Order) -> None:
        """Take a new order.

        Raises
        ------
        Conflict
            When the client order id or the key is taken.
        """
        key = (order.account, order.key, order.strategy == MODEL_STRATEGY)
        if order.client_order_id in self._orders or key in self._keys:
            raise Conflict(f"order {order.client_order_id} exists")
        self._keys[key] = order.client_order_id
        self._hold(order)

    def judge(self, event: OrderEvent) -> Applied | None:
        """Work out what an event does, without doing it; None for an execution applied before.

        Raises
        ------
        IllegalTransition
            When no such order exists or its table forbids the event.
        FillConflict
            When a known execution id comes with other data.
        Overfill
            When more would be filled than was ordered.
        """
        before = self._orders.get(event.client_order_id)
        if before is None:
            raise IllegalTransition(f"{event.client_order_id}: {event.kind} of an unknown order")
        if self._is_repeat(event.fill):
            return None
        return Applied(before, apply(before, event), event.fill)

    def take(self, applied: Applied) -> None:
        """Hold what `judge` worked out."""
        _, after, fill = applied
        if fill is not None:
            self._fills[(fill.venue, fill.exec_id)] = fill
            self._new_fills.append(fill)
        self._hold(after)

    def take_changes(self) -> tuple[list[Order], list[Fill]]:
        """Orders as they stand that were touched since the last call, and the fills since."""
        touched, self._touched = self._touched, {}
        fills, self._new_fills = self._new_fills, []
        return [self._orders[name] for name in touched], fills

    def restore(self, orders: Iterable[Order], fills: Iterable[Fill]) -> None:
        """Take over what earlier `take_changes` gave, in their order; `restored` ends it."""
        self._orders.update((order.client_order_id, order) for order in orders)
        self._fills.update(((fill.venue, fill.exec_id), fill) for fill in fills)

    def restored(self) -> None:
        """Find the keys and the open ones among the orders that were taken over."""
        for name, order in self._orders.items():
            self._keys[order.account, order.key, order.strategy == MODEL_STRATEGY] = name
            if order.status not in TERMINAL:
                self._count(order)

    def _hold(self, order: Order) -> None:
        self._orders[order.client_order_id] = order
        self._touched[order.client_order_id] = None
        self._count(order)

    def _is_repeat(self, fill: Fill | None) -> bool:
        known = None if fill is None else self._fills.get((fill.venue, fill.exec_id))
        if known is None:
            return False
        if known != fill:
            raise FillConflict(f"execution {known.venue}/{known.exec_id} came with other data")
        return True

    def _count(self, order: Order) -> None:
        name, slot = order.client_order_id, (order.strategy, order.instrument)
        was, now = name in self._open, is_open(order)
        if now and not was:
            self._open[name] = None
            self._working[slot] = self._working.get(slot, 0) + 1
        elif was and not now:
            del self._open[name]
            self._working[slot] -= 1
        self.resting.note(order)
