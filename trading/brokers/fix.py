"""Broker over a FIX order session: orders out, reports of the venue in."""

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from core.clock import Clock
from core.config import FixConfig
from core.errors import Unavailable
from core.instruments import InstrumentTable
from core.types import Order, OrderEvent, OrderEventKind, Side, TimeInForce
from fix import messages, reports, tags
from fix.codec import Message
from fix.events import PeerReject, Role, SessionConfig
from fix.session import FixSession
from fix.store import SessionStore
from fix.templates import OrderTemplate, fits_template, new_order, template_for
from fix.transport import Backoff, Initiator, Link

_KEPT = 8_192

_K = TypeVar("_K")
_V = TypeVar("_V")
_TemplateKey = tuple[str, str, Side, int, TimeInForce]


class BrokerListener(Protocol):
    """Hears what comes from the venue. Called on the event loop, in the order of the wire."""

    def on_session(self, up: bool, reason: str) -> None:
        """Hear that the session is up with all missed reports delivered, or went down."""
        ...

    def on_event(self, event: OrderEvent) -> None:
        """Take what happened to an order."""
        ...

    def on_status(self, report: reports.StatusReport) -> None:
        """Take the answer to `request_status`; `report.event()` is what it tells of the order."""
        ...

    def on_positions(self, steps: dict[int, int]) -> None:
        """Take the answer to `request_positions`.

        Signed lot steps by instrument id; flat instruments are left out.
        """
        ...

    def on_mass_status(self, open_orders: list[reports.StatusReport]) -> None:
        """Take the answer to `request_mass_status`: all orders open at the venue."""
        ...


class _Recent(dict[_K, _V]):
    """A dict that forgets its oldest entry beyond `_KEPT`."""

    def __setitem__(self, key: _K, value: _V) -> None:
        super().__setitem__(key, value)
        if len(self) > _KEPT:
            del self[next(iter(self))]


def order_session(config: FixConfig, store: SessionStore, clock: Clock) -> FixSession:
    """Our side of the order session. Nothing of ours is ever replayed: it is gap-filled."""
    agreed = SessionConfig(
        sender=config.sender,
        target=config.target,
        role=Role.INITIATOR,
        heartbeat_secs=config.heartbeat_secs,
    )
    return FixSession(agreed, store, clock)


class FixBroker:
    """`trading.ports.Broker` over FIX. Run it with `run`; end it with `close`.

    Parameters
    ----------
    session : FixSession
        From `order_session`; its store stays with the caller.
    listener : BrokerListener
    backoff : Backoff
        Pauses between connection attempts.
    commit_on_return : bool
        True: a report counts as processed when the listener returns. False: when `commit` is
        called, for a listener that queues; what was not committed is replayed by the venue.
    """

    def __init__(
        self,
        session: FixSession,
        config: FixConfig,
        instruments: InstrumentTable,
        account: str,
        clock: Clock,
        backoff: Backoff,
        listener: BrokerListener,
        *,
        commit_on_return: bool = True,
    ) -> None:
        self._session = session
        self._instruments = instruments
        self._account = account
        self._clock = clock
        self._listener = listener
        self._initiator = Initiator(
            session, self, config.host, config.port, backoff, commit_on_return=commit_on_return
        )
        self._link: Link | None = None
        self._reconciled = False
        self._templates: _Recent[_TemplateKey, OrderTemplate] = _Recent()
        self._refusals: _Recent[int, tuple[str, OrderEventKind]] = _Recent()
        self._asked: _Recent[str, None] = _Recent()
        self._mass: list[reports.StatusReport] = []
        self._positions: dict[int, int] = {}
        self._position_reports = 0
        self._parsers: dict[bytes, Callable[[Message, bool], None]] = {
            tags.EXECUTION_REPORT: self._take_execution_report,
            tags.CANCEL_REJECT: self._take_cancel_reject,
            tags.POSITION_REPORT: self._take_position_report,
            tags.BUSINESS_REJECT: self._take_business_reject,
        }

    # --- life ---

    async def run(self) -> None:
        """Stay connected until `close`."""
        await self._initiator.run()

    async def close(self) -> None:
        """Log out and close the connection."""
        await self._initiator.close()

    @property
    def connected(self) -> bool:
        """True while logged on."""
        return self._link is not None

    @property
    def ready(self) -> bool:
        """True when logged on and reconciled; see `trading.ports.Broker`."""
        return self._link is not None and self._reconciled

    def set_reconciled(self) -> None:
        """Say that our orders and positions agree with the venue; a disconnect ends that."""
        self._reconciled = self._link is not None

    def commit(self) -> None:
        """Everything that the listener was given has been dealt with; see `commit_on_return`.

        A store that cannot note that ends the connection: what is not noted must come again.
        """
        if self._link is not None:
            try:
                self._link.commit()
            except Unavailable as error:
                self._link.abort(str(error))

    def load_templates(self, templates: Iterable[OrderTemplate]) -> None:
        """Take templates that were encoded ahead, for orders that they fit."""
        for one in templates:
            key = (one.account, one.symbol, one.side, one.quantity, one.time_in_force)
            self._templates[key] = one

    # --- out ---

    def send(self, order: Order) -> None:
        """Put a new order on the wire; see `trading.ports.Broker`."""
        link = self._up()
        if fits_template(order):
            body = self._template(order).body(
                order.client_order_id, order.limit_ticks, order.created_ns, order.quote_seq
            )
        else:
            body = new_order(order, self._instruments[order.instrument])
        seq = link.send(tags.NEW_ORDER, body)
        self._refusals[seq] = (order.client_order_id, OrderEventKind.REJECT)

    def cancel(self, order: Order) -> None:
        """Ask the venue to cancel (35=F)."""
        cancel_id = self._new_id("C")
        instrument = self._instruments[order.instrument]
        now_ns = self._clock.now_ns()
        body = messages.build_cancel_request(order, instrument, cancel_id, now_ns)
        seq = self._up().send(tags.CANCEL_REQUEST, body)
        self._refusals[seq] = (order.client_order_id, OrderEventKind.REJECT_CANCEL)

    def replace(self, order: Order) -> None:
        """Ask the venue to change the order to its `pending` terms (35=G)."""
        replace_id = self._new_id("G")
        instrument = self._instruments[order.instrument]
        now_ns = self._clock.now_ns()
        body = messages.build_replace_request(order, instrument, replace_id, now_ns)
        seq = self._up().send(tags.REPLACE_REQUEST, body)
        self._refusals[seq] = (order.client_order_id, OrderEventKind.REJECT_REPLACE)

    def request_status(self, order: Order) -> None:
        """Ask what became of an order (35=H); the answer is an event."""
        request_id = self._ask("S")
        instrument = self._instruments[order.instrument]
        body = messages.build_status_request(order, instrument, request_id)
        self._up().send(tags.STATUS_REQUEST, body)

    def request_mass_status(self) -> None:
        """Ask for all open orders (35=AF)."""
        self._mass.clear()
        body = messages.build_mass_status_request(self._ask("M"))
        self._up().send(tags.MASS_STATUS_REQUEST, body)

    def request_positions(self) -> None:
        """Ask for the positions of the account (35=AN)."""
        self._positions, self._position_reports = {}, 0
        now_ns = self._clock.now_ns()
        body = messages.build_position_request(self._ask("P"), self._account, now_ns)
        self._up().send(tags.POSITION_REQUEST, body)

    def _up(self) -> Link:
        if self._link is None:
            raise Unavailable("the order session is down")
        return self._link

    def _template(self, order: Order) -> OrderTemplate:
        instrument = self._instruments[order.instrument]
        key = (order.account, instrument.symbol, order.side, order.quantity, order.time_in_force)
        found = self._templates.get(key)
        if found is None:
            found = template_for(
                order.account, instrument, order.side, order.quantity, order.time_in_force
            )
            self._templates[key] = found
        return found

    def _new_id(self, kind: str) -> str:
        # Outgoing numbers are durable and never used twice, so ids made of them are not either.
        return f"{kind}{self._session.next_out}"

    def _ask(self, kind: str) -> str:
        """Id of a request; of mass and position requests only the latest counts."""
        self._up()
        request_id = self._new_id(kind)
        if kind != "S":
            for older in [known for known in self._asked if known.startswith(kind)]:
                del self._asked[older]
        self._asked[request_id] = None
        return request_id

    # --- in: fix.transport.Application ---

    def on_up(self, link: Link, recovered: bool) -> None:
        """Take the link; tell the listener once all missed reports have come."""
        self._link = link
        if recovered:
            self._listener.on_session(True, "")

    def on_down(self, link: Link, reason: str) -> None:
        """Let go of the link; its answers will not come."""
        self._link = None
        self._reconciled = False
        self._asked.clear()
        self._refusals.clear()
        self._listener.on_session(False, reason)

    def on_reject(self, link: Link, reject: PeerReject) -> None:
        """Turn a session-level reject into an event of the order it is about."""
        self._refused(reject.ref_seq, reject.text)

    def on_message(self, link: Link, message: Message, replayed: bool) -> None:
        """Take a report; FixFieldError from here makes the session reject it."""
        parser = self._parsers.get(message.msg_type)
        if parser is None:
            text = "unsupported message type"
            body = reports.build_business_reject(message, 3, "", text)
            link.send(tags.BUSINESS_REJECT, body)
        else:
            parser(message, replayed)

    def _take_execution_report(self, message: Message, replayed: bool) -> None:
        report = reports.parse_execution_report(message, self._instruments)
        if isinstance(report, OrderEvent):
            self._listener.on_event(report)
        elif report.mass_id:
            self._take_mass_status(report)
        elif report.request_id in self._asked or not (report.request_id or replayed):
            # An answer to a question of an earlier connection is out of date.
            self._asked.pop(report.request_id, None)
            self._listener.on_status(report)

    def _take_mass_status(self, report: reports.StatusReport) -> None:
        if report.mass_id not in self._asked:
            return
        if report.total:
            self._mass.append(report)
        if len(self._mass) == report.total:
            del self._asked[report.mass_id]
            answer, self._mass = self._mass, []
            self._listener.on_mass_status(answer)

    def _take_position_report(self, message: Message, _: bool) -> None:
        report = reports.parse_position_report(message, self._instruments)
        if report.request_id not in self._asked:
            return
        if report.total:
            self._position_reports += 1
            self._positions[report.instrument] = report.steps
        if self._position_reports == report.total:
            del self._asked[report.request_id]
            held = {instrument: steps for instrument, steps in self._positions.items() if steps}
            self._listener.on_positions(held)

    def _take_cancel_reject(self, message: Message, _: bool) -> None:
        self._listener.on_event(reports.parse_cancel_reject(message))

    def _take_business_reject(self, message: Message, _: bool) -> None:
        refusal = reports.parse_business_reject(message)
        self._refused(refusal.ref_seq, refusal.text)

    def _refused(self, ref_seq: int, text: str) -> None:
        found = self._refusals.pop(ref_seq, None)
        if found is not None:
            client_order_id, kind = found
            now_ns = self._clock.now_ns()
            self._listener.on_event(OrderEvent(client_order_id, kind, now_ns, reason=text))
