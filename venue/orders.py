"""An order at the venue: as it came, how far it got, and what chance has in store for it."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from core.types import Amendment, Order, OrderStatus, Side, TimeInForce

_OPEN = frozenset({OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED})


class VenueOrder(msgspec.Struct, frozen=True, gc=False):
    """An order as it stands on the wire; `quantity` in lot steps, prices in price ticks.

    With a stop price it waits for the market to reach that. `expire_ns` is the tape's time at which
    it ends, 0 for never; an execution in a `group` takes its size off the others of the group.
    """

    client_order_id: str
    instrument: int
    side: Side
    quantity: int
    limit_ticks: int
    time_in_force: TimeInForce
    account: str = ""
    stop_ticks: int = 0
    expire_ns: int = 0
    reduce_only: bool = False
    group: str = ""


def venue_order(order: Order) -> VenueOrder:
    """Return what of an engine's order the venue gets to see."""
    return VenueOrder(
        order.client_order_id,
        order.instrument,
        order.side,
        order.quantity,
        order.limit_ticks,
        order.time_in_force,
        order.account,
        order.stop_ticks,
        order.expire_ns,
        order.reduce_only,
        order.group,
    )


def with_terms(order: VenueOrder, terms: Amendment) -> VenueOrder:
    """Return the order with the terms that are not zero; it gets no stop or end that it lacks."""
    return msgspec.structs.replace(
        order,
        quantity=terms.quantity or order.quantity,
        limit_ticks=terms.limit_ticks or order.limit_ticks,
        stop_ticks=(terms.stop_ticks or order.stop_ticks) if order.stop_ticks else 0,
        expire_ns=(terms.expire_ns or order.expire_ns) if order.expire_ns else 0,
    )


def keeps_place(before: VenueOrder, after: VenueOrder) -> bool:
    """Say whether a replaced order keeps its priority in time."""
    same = (before.limit_ticks, before.stop_ticks) == (after.limit_ticks, after.stop_ticks)
    return same and after.quantity <= before.quantity


class Fate(NamedTuple):
    """Three uniform draws in [0, 1) that decide how the venue treats an order."""

    reject: float
    partial: float
    part: float


def fate(seed: int, client_order_id: str) -> Fate:
    """Draw the fate of an order: BLAKE2b of seed and id, so that arrival order cannot matter."""
    digest = hashlib.blake2b(f"{seed}/{client_order_id}".encode(), digest_size=24).digest()
    draws = (int.from_bytes(digest[at : at + 8]) >> 11 for at in (0, 8, 16))
    return Fate(*(draw * 2.0**-53 for draw in draws))


@dataclass(slots=True)
class BookEntry:
    """An order at the venue and how far it got; `value` is the sum of quantity x price ticks."""

    order: VenueOrder
    arrival: int
    status: OrderStatus = OrderStatus.ACCEPTED
    filled: int = 0
    value: int = 0
    executions: int = 0
    reason: str = ""
    quote_seq: int = 0
    ts_event: int = 0
    booked: bool = False
    triggered: bool = False

    @property
    def leaves(self) -> int:
        """Lot steps that may still execute."""
        return self.order.quantity - self.filled if self.is_open else 0

    @property
    def is_open(self) -> bool:
        """True while the order works."""
        return self.status in _OPEN

    @property
    def venue_order_id(self) -> str:
        """The venue's name for the order, the same in every replay."""
        return f"V{self.order.client_order_id}"
