"""Start-up and every new logon: agree with the venue before anything new is sent.

A sans-I/O state machine. The composition root feeds it what the broker reports, *after* the engine
has processed the same reports, and carries out the actions it returns::

    REPLAYED --logon--> RESOLVING --every asked order answered--> COMPARING --positions--> READY
        any --disconnect--> REPLAYED                                           mismatch--> MISMATCH
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from core.types import Order, OrderEvent
from trading.orders import IN_DOUBT, OrderBook
from trading.portfolio import Portfolio


class ReconciliationState(StrEnum):
    """How far the agreement with the venue has come."""

    REPLAYED = "REPLAYED"
    RESOLVING = "RESOLVING"
    COMPARING = "COMPARING"
    READY = "READY"
    MISMATCH = "MISMATCH"


class RequestStatus(msgspec.Struct, frozen=True):
    """Ask the venue what became of the order (35=H)."""

    order: Order


class RequestPositions(msgspec.Struct, frozen=True):
    """Ask the venue for the positions of the account (35=AN)."""


class BecomeReady(msgspec.Struct, frozen=True):
    """Tell the engine ``SessionChanged(ready=True)``."""


class HaltTrading(msgspec.Struct, frozen=True):
    """Tell the engine ``SetTradingState(HALTED, reason)`` and do not become ready."""

    reason: str


Action = RequestStatus | RequestPositions | BecomeReady | HaltTrading


class Reconciliation:
    """Resolves orders in doubt by status request, then compares positions.

    Every order that we hold as open is asked for, so that fills and cancels that happened while we
    were away show. An answer is any event of the order; an order stays asked for while it is still
    SUBMITTED, UNKNOWN or PENDING_CANCEL after it.

    Parameters
    ----------
    book : OrderBook
        The engine's book; only read.
    portfolio : Portfolio
        The engine's positions; only read.
    """

    def __init__(self, book: OrderBook, portfolio: Portfolio) -> None:
        self._book = book
        self._portfolio = portfolio
        self._waiting: set[str] = set()
        self.state = ReconciliationState.REPLAYED
        self.reason = ""

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """Client order ids that the venue has not answered for."""
        return tuple(sorted(self._waiting))

    def on_logon(self) -> list[Action]:
        """Start once the session is up and has filled its gaps."""
        asked = self._book.open_orders()
        self._waiting = {order.client_order_id for order in asked}
        self.state = ReconciliationState.RESOLVING
        requests: list[Action] = [RequestStatus(order) for order in asked]
        return requests + self._advance()

    def on_order_event(self, event: OrderEvent) -> list[Action]:
        """Look at an order again, after the engine has processed its event."""
        order = self._book.get(event.client_order_id)
        if order is None or order.status not in IN_DOUBT:
            self._waiting.discard(event.client_order_id)
        return self._advance()

    def on_timeout(self) -> list[Action]:
        """Ask again for what was not answered."""
        if self.state is ReconciliationState.COMPARING:
            return [RequestPositions()]
        open_orders = self._book.open_orders()
        return [RequestStatus(o) for o in open_orders if o.client_order_id in self._waiting]

    def on_positions(self, venue: Mapping[int, int]) -> list[Action]:
        """Compare with the venue's positions: lot steps, signed, by instrument id.

        Instruments that the venue does not name are flat there.
        """
        if self.state is not ReconciliationState.COMPARING:
            return []
        ours = self._portfolio.steps()
        for instrument in sorted(ours.keys() | venue.keys()):
            mine, theirs = ours.get(instrument, 0), venue.get(instrument, 0)
            if mine != theirs:
                return self._mismatch(instrument, mine, theirs)
        self.state = ReconciliationState.READY
        return [BecomeReady()]

    def on_disconnect(self) -> list[Action]:
        """Forget what was asked; everything is asked again at the next logon."""
        self._waiting.clear()
        if self.state is not ReconciliationState.MISMATCH:
            self.state = ReconciliationState.REPLAYED
        return []

    def _advance(self) -> list[Action]:
        if self._waiting or self.state is not ReconciliationState.RESOLVING:
            return []
        self.state = ReconciliationState.COMPARING
        return [RequestPositions()]

    def _mismatch(self, instrument: int, ours: int, theirs: int) -> list[Action]:
        self.state = ReconciliationState.MISMATCH
        self.reason = f"position of instrument {instrument}: ours {ours}, venue {theirs} lot steps"
        return [HaltTrading(self.reason)]
