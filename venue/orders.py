"""An order at the venue: as it came, how far it got, and what chance has in store for it."""

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from core.types import Order, OrderStatus, Side, TimeInForce

_OPEN = frozenset({OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED})


class VenueOrder(msgspec.Struct, frozen=True, gc=False):
    """An order as it stands on the wire; `quantity` in lot steps, `limit_ticks` in price ticks."""

    client_order_id: str
    instrument: int
    side: Side
    quantity: int
    limit_ticks: int
    time_in_force: TimeInForce
    account: str = ""


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
    )


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
