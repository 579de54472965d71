"""Order entry of the venue: FIX requests in, reports out."""

from collections.abc import Callable

from core.clock import Clock
from core.errors import Unavailable
from core.instruments import InstrumentTable
from core.types import Order, OrderEventKind, OrderStatus, OrderType
from fix import tags
from fix.codec import Message
from fix.events import PeerReject
from fix.link import Link
from fix.messages import (
    PositionRequest,
    StatusRequest,
    parse_cancel_request,
    parse_mass_status_request,
    parse_new_order,
    parse_position_request,
    parse_replace_request,
    parse_status_request,
)
from fix.reports import (
    build_business_reject,
    build_cancel_reject,
    build_execution_report,
    build_no_open_orders,
    build_position_report,
    build_status_report,
    build_unknown_order,
)
from venue.latency import DelayQueue
from venue.orders import BookEntry, VenueOrder, venue_order
from venue.state import Report, Venue

REPLAYABLE = frozenset((tags.EXECUTION_REPORT, tags.CANCEL_REJECT))
_UNSUPPORTED = 3
_REJECTS = frozenset((OrderEventKind.REJECT_CANCEL, OrderEventKind.REJECT_REPLACE))


class OrderDoor:
    """Order entry of one CompID: D F G H AF AN in, 8 9 AP out.

    Reports wait in the venue's state until the session is up and has got back what it missed; they
    leave in the order they came about.

    Parameters
    ----------
    owner : str
        CompID of the session.
    venue : Venue
    instruments : InstrumentTable
    delay : DelayQueue
        The order latency; shared by all doors.
    clock : Clock
        For the date of position reports.
    """

    def __init__(
        self,
        owner: str,
        venue: Venue,
        instruments: InstrumentTable,
        delay: DelayQueue,
        clock: Clock,
    ) -> None:
        self._owner = owner
        self._venue = venue
        self._instruments = instruments
        self._delay = delay
        self._clock = clock
        self._link: Link | None = None
        self._actions: dict[bytes, Callable[[Message], Callable[[], None]]] = {
            tags.NEW_ORDER: self._on_order,
            tags.CANCEL_REQUEST: self._on_cancel,
            tags.REPLACE_REQUEST: self._on_replace,
            tags.STATUS_REQUEST: self._on_status,
            tags.MASS_STATUS_REQUEST: self._on_mass_status,
            tags.POSITION_REQUEST: self._on_positions,
        }

    # --- fix.link.Application ---

    def on_up(self, link: Link, recovered: bool) -> None:
        """Tell what came about in the meantime, once nothing of the peer is missing."""
        if recovered:
            self._link = link
            self.flush()

    def on_message(self, link: Link, message: Message, replayed: bool) -> None:
        """Read a request at once and carry it out after the order latency."""
        prepare = self._actions.get(message.msg_type)
        if prepare is None:
            link.send(
                tags.BUSINESS_REJECT,
                build_business_reject(message, _UNSUPPORTED, "", "unsupported message type"),
            )
            return
        action = prepare(message)
        self._delay.put(lambda: self._carry_out(action))

    def on_reject(self, link: Link, reject: PeerReject) -> None:
        """Do nothing: a report that the peer cannot read is its own matter."""

    def on_down(self, link: Link, reason: str) -> None:
        """Keep what comes about from now on."""
        self._link = None

    # --- requests ---

    def flush(self) -> None:
        """Send the reports that wait, as far as the session takes them."""
        for report in self._venue.pending(self._owner):
            if self._link is None or not self._send(*self._encode(report)):
                return
            self._venue.reported(self._owner, 1)

    def _carry_out(self, action: Callable[[], None]) -> None:
        action()
        self.flush()

    def _on_order(self, message: Message) -> Callable[[], None]:
        order = venue_order(parse_new_order(message, self._instruments))
        return lambda: self._take(order)

    def _take(self, order: VenueOrder) -> None:
        if self._venue.submit(self._owner, order):
            return
        self.flush()
        self._tell_status(StatusRequest(order.client_order_id, ""), reason="duplicate order")

    def _on_cancel(self, message: Message) -> Callable[[], None]:
        request = parse_cancel_request(message)
        return lambda: self._venue.cancel(self._owner, request.client_order_id, request.cancel_id)

    def _on_replace(self, message: Message) -> Callable[[], None]:
        asked = parse_replace_request(message, self._instruments)
        name, replace_id, terms = asked.client_order_id, asked.replace_id, asked.terms
        return lambda: self._venue.replace(self._owner, name, replace_id, terms)

    def _on_status(self, message: Message) -> Callable[[], None]:
        request = parse_status_request(message)
        return lambda: self._tell_status(request)

    def _tell_status(self, request: StatusRequest, reason: str = "") -> None:
        self.flush()
        entry = self._venue.find(self._owner, request.client_order_id)
        if entry is None:
            now_ns = self._clock.now_ns()
            body = build_unknown_order(request.client_order_id, now_ns, request.request_id)
        else:
            body = self._status(entry, request_id=request.request_id, reason=reason)
        self._send(tags.EXECUTION_REPORT, body)

    def _on_mass_status(self, message: Message) -> Callable[[], None]:
        name = parse_mass_status_request(message)
        return lambda: self._tell_open_orders(name)

    def _tell_open_orders(self, name: str) -> None:
        self.flush()
        entries = self._venue.open_orders(self._owner)
        if not entries:
            now_ns = self._clock.now_ns()
            self._send(tags.EXECUTION_REPORT, build_no_open_orders(name, now_ns))
        for number, entry in enumerate(entries, 1):
            mass = (name, len(entries), number == len(entries))
            self._send(tags.EXECUTION_REPORT, self._status(entry, mass=mass))

    def _on_positions(self, message: Message) -> Callable[[], None]:
        request = parse_position_request(message)
        return lambda: self._tell_positions(request)

    def _tell_positions(self, request: PositionRequest) -> None:
        self.flush()
        held = [(row, self._venue.matching.position(row.id)) for row in self._instruments]
        told = [(row, steps) for row, steps in held if steps]
        for position in told or (None,):
            body = build_position_report(
                request.request_id, request.account, position, len(told), self._clock.now_ns()
            )
            self._send(tags.POSITION_REPORT, body)

    # --- wire ---

    def _send(self, msg_type: bytes, body: bytes) -> bool:
        """Send if the session is up; False when it is not."""
        if self._link is None:
            return False
        try:
            self._link.send(msg_type, body)
        except Unavailable:
            return False
        return True

    def _status(
        self,
        entry: BookEntry,
        *,
        request_id: str = "",
        mass: tuple[str, int, bool] | None = None,
        reason: str = "",
    ) -> bytes:
        told = (entry.status, entry.filled, entry.value, reason or entry.reason)
        return build_status_report(
            _as_order(entry.order, entry.venue_order_id, *told),
            self._instruments[entry.order.instrument],
            entry.ts_event,
            entry.quote_seq,
            request_id=request_id,
            mass=mass,
        )

    def _encode(self, report: Report) -> tuple[bytes, bytes]:
        event = report.event
        name = event.client_order_id
        order = None
        if report.order is not None:
            told = (report.status, report.filled, report.value, event.reason)
            order = _as_order(report.order, f"V{name}", *told)
        if order is None or event.kind in _REJECTS:
            replaces = event.kind is OrderEventKind.REJECT_REPLACE
            body = build_cancel_reject(
                name, report.request_id, order, event.reason, event.ts_event, replaces=replaces
            )
            return tags.CANCEL_REJECT, body
        terms = self._instruments[order.instrument]
        exec_id = f"{name}-{event.kind}"
        if event.kind is OrderEventKind.REPLACE:  # may happen again
            exec_id += f"-{report.request_id or event.quote_seq}"
        return tags.EXECUTION_REPORT, build_execution_report(event, order, terms, exec_id)


def _as_order(
    order: VenueOrder, venue_order_id: str, status: OrderStatus, filled: int, value: int, why: str
) -> Order:
    return Order(
        order.client_order_id,
        "",
        order.account,
        "",
        order.instrument,
        order.side,
        order.quantity,
        OrderType.LIMIT,
        order.limit_ticks,
        order.time_in_force,
        0,
        0,
        status,
        filled,
        value,
        venue_order_id,
        reason=why,
        stop_ticks=order.stop_ticks,
        expire_ns=order.expire_ns,
    )
