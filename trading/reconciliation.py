"""Agree with the venue: before anything new is sent after a logon, and again and again after it.

A sans-I/O state machine. The composition root feeds it what the broker reports, *after* the engine
has processed the same reports, and carries out the actions it returns::

    REPLAYED --logon--> RESOLVING --every asked order answered--> LISTING
    LISTING --the venue works no order that we do not--> COMPARING --same positions--> READY
    any --disconnect--> REPLAYED    a difference --> MISMATCH --a human enables--> RESOLVING
    READY --polled, and no answer in time--> RESOLVING

While READY the open orders, what is filled of them, and the positions are polled: heartbeats come
from a session that is alive, which says nothing about what the venue does behind it. An answer is
compared when it arrives, after all that came before it on the wire, so that nothing that is merely
on its way shows as a difference.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum

import msgspec

from core.types import Fill, Order, OrderEvent, OrderEventKind
from fix.reports import VENUE, StatusReport
from trading.orders import OrderBook
from trading.portfolio import Portfolio
from trading.transitions import IN_DOUBT

_INFERRED = "-status-"


class ReconciliationState(StrEnum):
    """How far the agreement with the venue has come."""

    REPLAYED = "REPLAYED"
    RESOLVING = "RESOLVING"
    LISTING = "LISTING"
    COMPARING = "COMPARING"
    READY = "READY"
    MISMATCH = "MISMATCH"


class RequestStatus(msgspec.Struct, frozen=True):
    """Ask the venue what became of the order (35=H)."""

    order: Order


class RequestOpenOrders(msgspec.Struct, frozen=True):
    """Ask the venue which orders it works (35=AF)."""


class BookReport(msgspec.Struct, frozen=True):
    """Have the engine book an execution that the venue counts and we have never seen."""

    event: OrderEvent


class RequestPositions(msgspec.Struct, frozen=True):
    """Ask the venue for the positions of the account (35=AN)."""


class BecomeReady(msgspec.Struct, frozen=True):
    """Tell the engine ``SessionChanged(ready=True)``."""


class HaltTrading(msgspec.Struct, frozen=True):
    """Tell the engine ``SetTradingState(HALTED, reason)`` and do not become ready."""

    reason: str


class LoseReadiness(msgspec.Struct, frozen=True):
    """Tell the engine ``SessionChanged(ready=False, reason)``: the venue is silent."""

    reason: str


Action = (
    RequestStatus
    | RequestOpenOrders
    | RequestPositions
    | BookReport
    | BecomeReady
    | HaltTrading
    | LoseReadiness
)
SILENT_TIMEOUTS = 3


class Reconciliation:
    """Resolves orders in doubt by status request, then compares open orders and positions.

    Every order that we hold as open is asked for, so that fills and cancels that happened while we
    were away show. An answer is any event of the order; an order stays asked for while it is still
    SUBMITTED, UNKNOWN or PENDING_CANCEL after it. Where the venue counts more filled than we do,
    the difference is booked at the price that its average implies: the executions themselves came
    earlier on the wire, so they were lost here and will not come again. An order that the venue
    works and we do not hold as open halts: we would not know what it does to the position.

    Parameters
    ----------
    book : OrderBook
        The engine's book; only read.
    portfolio : Portfolio
        The engine's positions; only read.

    Attributes
    ----------
    polls : int
        Comparisons while READY that found no difference.
    """

    def __init__(self, book: OrderBook, portfolio: Portfolio) -> None:
        self._book = book
        self._portfolio = portfolio
        self._waiting: set[str] = set()
        self.state = ReconciliationState.REPLAYED
        self.reason = ""
        self._polling: RequestOpenOrders | RequestPositions | None = None
        self._silent = 0
        self.polls = 0

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """Client order ids that the venue has not answered for."""
        return tuple(sorted(self._waiting))

    def on_logon(self) -> list[Action]:
        """Start once the session is up and has filled its gaps."""
        self._polling = None
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
        """Ask again for what was not answered; a poll that stays so ends the readiness."""
        if self.state is ReconciliationState.READY:
            return self._poll_again()
        if self.state is ReconciliationState.LISTING:
            return [RequestOpenOrders()]
        if self.state is ReconciliationState.COMPARING:
            return [RequestPositions()]
        open_orders = self._book.open_orders()
        return [RequestStatus(o) for o in open_orders if o.client_order_id in self._waiting]

    def on_status(self, report: StatusReport) -> list[Action]:
        """Compare what is filled, after the engine has booked all that came before the answer.

        The caller hands on `report.event()` afterwards.
        """
        order = self._book.get(report.client_order_id)
        if order is None or report.filled == order.filled:
            return []
        if report.filled < order.filled:
            return self._mismatch(
                f"order {order.client_order_id}: {order.filled} lot steps filled, "
                f"venue says {report.filled}"
            )
        return [BookReport(_missing_fill(order, report))]

    def on_poll(self) -> list[Action]:
        """Begin to compare again, unless that is under way."""
        if self.state is not ReconciliationState.READY or self._polling is not None:
            return []
        self._polling, self._silent = RequestOpenOrders(), 0
        return [self._polling]

    def on_open_orders(self, reports: Collection[StatusReport]) -> list[Action]:
        """Look for orders that the venue works and we do not hold as open."""
        polled = isinstance(self._polling, RequestOpenOrders)
        if self.state is not ReconciliationState.LISTING and not polled:
            return []
        ours = {order.client_order_id: order for order in self._book.open_orders()}
        theirs = {report.client_order_id for report in reports}
        unknown = sorted(theirs - ours.keys())
        if unknown:
            return self._mismatch(f"the venue works orders that we do not: {', '.join(unknown)}")
        if polled:
            return self._compare_open(reports, [o for n, o in ours.items() if n not in theirs])
        self.state = ReconciliationState.COMPARING
        return [RequestPositions()]

    def on_enabled(self) -> list[Action]:
        """Ask everything again after a mismatch that a human says is mended."""
        return self.on_logon() if self.state is ReconciliationState.MISMATCH else []

    def on_positions(self, venue: Mapping[int, int]) -> list[Action]:
        """Compare with the venue's positions: lot steps, signed, by instrument id.

        Instruments that the venue does not name are flat there.
        """
        polled = isinstance(self._polling, RequestPositions)
        if self.state is not ReconciliationState.COMPARING and not polled:
            return []
        ours = self._portfolio.steps()
        for instrument in sorted(ours.keys() | venue.keys()):
            mine, theirs = ours.get(instrument, 0), venue.get(instrument, 0)
            if mine != theirs:
                return self._mismatch(
                    f"position of instrument {instrument}: ours {mine}, venue {theirs} lot steps"
                )
        if polled:
            self._polling = None
            self.polls += 1
            return []
        self.state = ReconciliationState.READY
        return [BecomeReady()]

    def on_disconnect(self) -> list[Action]:
        """Forget what was asked; everything is asked again at the next logon."""
        self._waiting.clear()
        self._polling = None
        if self.state is not ReconciliationState.MISMATCH:
            self.state = ReconciliationState.REPLAYED
        return []

    def _compare_open(
        self, reports: Iterable[StatusReport], unlisted: Iterable[Order]
    ) -> list[Action]:
        """Compare what is filled; ask for orders that we hold as working and the venue does not."""
        actions: list[Action] = []
        for report in reports:
            actions += self.on_status(report)
            if self.state is ReconciliationState.MISMATCH:
                return actions
        # One in doubt may have been sent after the question.
        actions += [RequestStatus(order) for order in unlisted if order.status not in IN_DOUBT]
        self._polling, self._silent = RequestPositions(), 0
        return [*actions, self._polling]

    def _poll_again(self) -> list[Action]:
        if self._polling is None:
            return []
        self._silent += 1
        if self._silent < SILENT_TIMEOUTS:
            return [self._polling]
        return [
            LoseReadiness("the venue does not answer, though the session is up"),
            *self.on_logon(),
        ]

    def _advance(self) -> list[Action]:
        if self._waiting or self.state is not ReconciliationState.RESOLVING:
            return []
        self.state = ReconciliationState.LISTING
        return [RequestOpenOrders()]

    def _mismatch(self, reason: str) -> list[Action]:
        self.state = ReconciliationState.MISMATCH
        self._polling = None
        self.reason = reason
        return [HaltTrading(reason)]


def is_inferred(event: OrderEvent) -> bool:
    """Say whether an execution is one that a status answer stood for."""
    return event.fill is not None and _INFERRED in event.fill.exec_id


def _missing_fill(order: Order, report: StatusReport) -> OrderEvent:
    """Make the execution of what the venue counts beyond ours, at its average price."""
    quantity = report.filled - order.filled
    price = round((report.filled_value - order.filled_value) / quantity)
    fill = Fill(
        venue=VENUE,
        exec_id=f"{order.client_order_id}{_INFERRED}{report.filled}",
        client_order_id=order.client_order_id,
        instrument=order.instrument,
        side=order.side,
        quantity=quantity,
        price_ticks=price,
        ts_event=report.ts_event,
        quote_seq=report.quote_seq,
    )
    return OrderEvent(
        order.client_order_id,
        OrderEventKind.FILL,
        report.ts_event,
        report.venue_order_id,
        "counted by a status report",
        report.quote_seq,
        fill,
    )
