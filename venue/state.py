"""The venue without its sockets: tape, matching, log, and what is still to be reported to whom."""

from typing import NamedTuple

import msgspec

from core.config import VenueConfig
from core.errors import Conflict
from core.instruments import InstrumentTable
from core.types import Amendment, OrderEvent, OrderEventKind, OrderStatus, Quote
from fix.reports import UNKNOWN_ORDER
from venue.matching import MatchingEngine
from venue.orders import BookEntry, VenueOrder
from venue.store import (
    CancelRequested,
    Moved,
    Opened,
    Record,
    ReplaceRequested,
    Reported,
    Submitted,
    VenueLog,
)
from venue.tape import Tape


class Told(NamedTuple):
    """How an order stands by what its owner was told; the book itself may be further."""

    status: OrderStatus
    filled: int
    value: int


class Report(NamedTuple):
    """An order event with the order as it stood right after it.

    `order` is None for a cancel request of an order that the venue never saw; `request_id` is the
    id of a cancel request.
    """

    event: OrderEvent
    order: VenueOrder | None
    status: OrderStatus
    filled: int
    value: int
    request_id: str = ""


_NOTHING = Told(OrderStatus.REJECTED, 0, 0)
_STATUS = {
    OrderEventKind.ACCEPT: OrderStatus.ACCEPTED,
    OrderEventKind.REJECT: OrderStatus.REJECTED,
    OrderEventKind.CANCEL: OrderStatus.CANCELED,
    OrderEventKind.EXPIRE: OrderStatus.EXPIRED,
}


class Venue:
    """Takes orders and moves the tape; every input is logged before it acts.

    Parameters
    ----------
    tape : Tape
        At position 0; recovery moves it to where the log ends.
    log : VenueLog
        Owned by the venue.
    instruments : InstrumentTable
        Terms of what trades here.
    config : VenueConfig
        Seed and ratios of the matching.

    Raises
    ------
    Conflict
        When the log belongs to another tape or to other settings.
    """

    def __init__(
        self, tape: Tape, log: VenueLog, instruments: InstrumentTable, config: VenueConfig
    ) -> None:
        self.tape = tape
        self.matching = MatchingEngine(instruments, config)
        self._log = log
        self._owners: dict[str, str] = {}
        self._reports: dict[str, list[Report]] = {}
        self._reported: dict[str, int] = {}
        self._told: dict[str, Told] = {}
        self._last: dict[int, Quote] = {}
        self.executions = 0
        identity = Opened(
            tape.fingerprint(), config.seed, config.partial_ratio, config.reject_ratio
        )
        if not log.records:
            log.append(identity)
        elif log.records[0] != identity:
            log.close()
            raise Conflict("the venue's log belongs to another tape or other venue settings")
        self._recover(log.records[1:])

    def last_quote(self, instrument: int) -> Quote | None:
        """Newest published quote of the instrument."""
        return self._last.get(instrument)

    @property
    def order_count(self) -> int:
        """Orders ever taken, rejected ones included."""
        return len(self._owners)

    def advance(self) -> Quote | None:
        """Move the tape by one quote and match; return it for publishing, None at the end."""
        if self.tape.upcoming is None:
            return None
        self._log.append(Moved(self.tape.position + 1))
        return self._advance()

    def submit(self, owner: str, order: VenueOrder) -> bool:
        """Take an order; False for an id that is known, which changes nothing."""
        if order.client_order_id in self._owners:
            return False
        self._log.append(Submitted(owner, order))
        self._submit(owner, order)
        return True

    def cancel(self, owner: str, client_order_id: str, request_id: str) -> None:
        """Cancel an order of `owner`; the answer is a report."""
        self._log.append(CancelRequested(owner, client_order_id, request_id))
        self._cancel(owner, client_order_id, request_id)

    def replace(self, owner: str, client_order_id: str, request_id: str, terms: Amendment) -> None:
        """Change an order of `owner`; the answer is a report."""
        self._log.append(ReplaceRequested(owner, client_order_id, request_id, terms))
        self._replace(owner, client_order_id, request_id, terms)

    def find(self, owner: str, client_order_id: str) -> BookEntry | None:
        """Return an order of `owner`, or None when the venue never saw it."""
        if self._owners.get(client_order_id) != owner:
            return None
        return self.matching.status(client_order_id)

    def open_orders(self, owner: str) -> list[BookEntry]:
        """Orders of `owner` that still work, oldest first."""
        entries = self.matching.open_orders()
        return [e for e in entries if self._owners[e.order.client_order_id] == owner]

    def pending(self, owner: str) -> list[Report]:
        """Return reports not handed to the owner's session yet, oldest first."""
        return self._reports.get(owner, [])[self._reported.get(owner, 0) :]

    def reported(self, owner: str, count: int) -> None:
        """Note that `count` more reports were handed over.

        The note follows the hand-over, so that a crash in between repeats a report, never loses
        one: an execution keeps its id, and the receiver skips it.
        """
        total = self._reported.get(owner, 0) + count
        self._log.append(Reported(owner, total))
        self._reported[owner] = total

    def close(self) -> None:
        """Let go of the log."""
        self._log.close()

    def _recover(self, records: list[Record]) -> None:
        for record in records:
            match record:
                case Moved():
                    self._advance()
                case Submitted():
                    self._submit(record.owner, record.order)
                case CancelRequested():
                    self._cancel(record.owner, record.client_order_id, record.request_id)
                case ReplaceRequested(owner, name, request_id, terms):
                    self._replace(owner, name, request_id, terms)
                case Reported():
                    self._reported[record.owner] = record.count
                case Opened():
                    raise Conflict("the venue's log begins twice")

    def _advance(self) -> Quote | None:
        quote = self.tape.take()
        if quote is None:
            return None
        self._last[quote.instrument] = quote
        self._route(self.matching.on_quote(quote))
        if self.tape.is_last(quote):
            self._route(self.matching.end_of_tape(quote.instrument))
        return quote

    def _submit(self, owner: str, order: VenueOrder) -> None:
        self._owners[order.client_order_id] = owner
        self._route(self.matching.submit(order))

    def _cancel(self, owner: str, client_order_id: str, request_id: str) -> None:
        # A stranger's order is as unknown as one that nobody sent, and is not touched.
        if self._owners.get(client_order_id) == owner:
            events = self.matching.cancel(client_order_id)
        else:
            kind = OrderEventKind.REJECT_CANCEL
            events = [OrderEvent(client_order_id, kind, 0, reason=UNKNOWN_ORDER)]
        for event in events:
            self._queue(owner, event, request_id)

    def _replace(self, owner: str, client_order_id: str, request_id: str, terms: Amendment) -> None:
        if self._owners.get(client_order_id) == owner:
            first, *then = self.matching.replace(client_order_id, terms)
        else:
            kind = OrderEventKind.REJECT_REPLACE
            first, then = OrderEvent(client_order_id, kind, 0, reason=UNKNOWN_ORDER), []
        self._queue(owner, first, request_id)
        self._route(then)

    def _route(self, events: list[OrderEvent]) -> None:
        for event in events:
            self._queue(self._owners[event.client_order_id], event)

    def _queue(self, owner: str, event: OrderEvent, request_id: str = "") -> None:
        entry = self.find(owner, event.client_order_id)
        if entry is None:
            report = Report(event, None, *_NOTHING, request_id)
        else:
            before = self._told.get(event.client_order_id, _NOTHING)
            order = _order_told(entry.order, event)
            after = self._told[event.client_order_id] = _told_after(before, event, order)
            report = Report(event, order, *after, request_id)
        self._reports.setdefault(owner, []).append(report)
        self.executions += event.fill is not None


def _order_told(order: VenueOrder, event: OrderEvent) -> VenueOrder:
    """Return the order with the terms of the report, for the book may be further."""
    if event.terms is None:
        return order
    terms = event.terms
    return msgspec.structs.replace(
        order,
        quantity=terms.quantity,
        limit_ticks=terms.limit_ticks,
        stop_ticks=terms.stop_ticks,
        expire_ns=terms.expire_ns,
    )


def _told_after(before: Told, event: OrderEvent, order: VenueOrder) -> Told:
    """Return what the owner knows about the order once it has heard of `event`."""
    if event.fill is None:
        return before._replace(status=_STATUS.get(event.kind, before.status))
    filled = before.filled + event.fill.quantity
    value = before.value + event.fill.quantity * event.fill.price_ticks
    whole = filled == order.quantity
    return Told(OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED, filled, value)
