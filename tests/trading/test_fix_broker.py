"""The broker against a scripted venue: what leaves, what comes back as events, what is ignored."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from core.clock import SystemClock
from core.config import FixConfig
from core.errors import Unavailable
from core.instruments import DEFAULT_INSTRUMENTS as TABLE
from core.types import (
    Fill,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from fix import messages, reports
from fix.codec import Message
from fix.events import PeerReject, Role, SessionConfig
from fix.session import FixSession
from fix.store import MemoryStore
from fix.templates import template_for
from fix.transport import Acceptor, Backoff, Link
from trading.brokers.fix import FixBroker, order_session

T0 = 1_700_000_000_000_000_000
K = OrderEventKind


def an_order(name: str = "ABC", **changes: object) -> Order:
    order = Order(
        client_order_id=name, key="k", account="PAPER", strategy="model", instrument=0,
        side=Side.BUY, quantity=10, type=OrderType.LIMIT, limit_ticks=110_345,
        time_in_force=TimeInForce.IOC, created_ns=T0, quote_seq=42,
    )  # fmt: skip
    return msgspec.structs.replace(order, **changes)


class Listener:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[object] = asyncio.Queue()

    def on_session(self, up: bool, reason: str) -> None:
        self.heard.put_nowait("up" if up else "down")

    def on_event(self, event: OrderEvent) -> None:
        self.heard.put_nowait(event)

    def on_status(self, report: reports.StatusReport) -> None:
        self.heard.put_nowait(report.event())

    def on_positions(self, steps: dict[int, int]) -> None:
        self.heard.put_nowait(steps)

    def on_mass_status(self, open_orders: list[reports.StatusReport]) -> None:
        self.heard.put_nowait([report.client_order_id for report in open_orders])

    async def event(self) -> OrderEvent:
        event = await self.heard.get()
        assert isinstance(event, OrderEvent), event
        return event


class Venue:
    """Keeps what it is sent; the scripts answer."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[Message] = asyncio.Queue()
        self.link: Link | None = None
        agreed = SessionConfig(sender="VENUE", target="TICKPATH", role=Role.ACCEPTOR)
        self.session = FixSession(agreed, MemoryStore(), SystemClock(), lambda _: True)
        self.acceptor = Acceptor({"TICKPATH": (self.session, self)}.get)

    def on_up(self, link: Link, recovered: bool) -> None:
        self.link = link

    def on_message(self, link: Link, message: Message, replayed: bool) -> None:
        self.got.put_nowait(message)

    def on_reject(self, link: Link, reject: PeerReject) -> None: ...

    def on_down(self, link: Link, reason: str) -> None: ...

    def say(self, kind: bytes, body: bytes) -> None:
        assert self.link is not None
        self.link.send(kind, body)

    def report(self, event: OrderEvent, order: Order, exec_id: str = "E1") -> None:
        self.say(b"8", reports.build_execution_report(event, order, TABLE[0], exec_id))


Script = Callable[[Venue, FixBroker, Listener], Awaitable[None]]


def play(script: Script, **options: object) -> None:
    async def main() -> None:
        venue, listener, clock = Venue(), Listener(), SystemClock()
        port = await venue.acceptor.start("127.0.0.1", 0)
        config = FixConfig(port=port)
        broker = FixBroker(
            order_session(config, MemoryStore(), clock), config, TABLE, "PAPER", clock,
            Backoff(0.001, 0.01, random.Random(1)), listener, **options,  # type: ignore[arg-type]
        )  # fmt: skip
        with pytest.raises(Unavailable):
            broker.send(an_order())
        running = asyncio.create_task(broker.run())
        try:
            async with asyncio.timeout(30):
                assert await listener.heard.get() == "up"
                await script(venue, broker, listener)
        finally:
            await broker.close()
            await running
            await venue.acceptor.close()

    asyncio.run(main())


def test_an_order_goes_out_and_its_fill_comes_back() -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        broker.send(an_order())
        order = messages.parse_new_order(await venue.got.get(), TABLE)
        assert (order.client_order_id, order.quantity, order.limit_ticks) == ("ABC", 10, 110_345)
        fill = Fill("VENUE", "ABC-1", "ABC", 0, Side.BUY, 10, 110_340, T0, 50)
        event = OrderEvent("ABC", K.FILL, T0, "V1", quote_seq=50, fill=fill)
        filled = msgspec.structs.replace(
            order, status=OrderStatus.FILLED, filled=10, filled_value=10 * 110_340
        )
        venue.report(event, filled)
        assert await listener.event() == event
        venue.report(event, filled)
        assert await listener.event() == event

    play(script)


def test_a_loaded_template_is_what_leaves() -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        made = template_for("PAPER", TABLE[0], Side.BUY, 10)
        marked = msgspec.structs.replace(made, fixed=made.fixed + b"58=prepared\x01")
        broker.load_templates([marked])
        broker.send(an_order("A"))
        broker.send(an_order("B", quantity=20))
        first, second = await venue.got.get(), await venue.got.get()
        assert (first.get(58), first.get(11)) == (b"prepared", b"A")
        assert (second.get(58), second.get(11), second.get(38)) == (b"", b"B", b"0.20")

    play(script)


def test_ready_only_after_reconciliation_and_until_the_connection_breaks() -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        assert (broker.connected, broker.ready) == (True, False)
        broker.set_reconciled()
        assert broker.ready
        assert venue.link is not None
        venue.link.abort("test")
        assert await listener.heard.get() == "down"
        assert not broker.ready
        assert await listener.heard.get() == "up"
        assert not broker.ready

    play(script)


def test_a_fill_missed_while_away_comes_before_the_session_is_told_up() -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        fill = Fill("VENUE", "ABC-1", "ABC", 0, Side.BUY, 10, 110_340, T0, 50)
        event = OrderEvent("ABC", K.FILL, T0, "V1", quote_seq=50, fill=fill)
        body = reports.build_execution_report(event, an_order(filled=10), TABLE[0], "E1")
        venue.session.send_app(b"8", body)
        assert venue.link is not None
        venue.link.abort("test")
        assert await listener.heard.get() == "down"
        assert await listener.event() == event
        assert await listener.heard.get() == "up"

    play(script)


def test_cancels_have_ids_of_their_own_and_a_refusal_is_about_the_order() -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        order = an_order()
        broker.cancel(order)
        broker.cancel(order)
        first = messages.parse_cancel_request(await venue.got.get())
        second = messages.parse_cancel_request(await venue.got.get())
        assert first.client_order_id == second.client_order_id == "ABC"
        assert len({first.cancel_id, second.cancel_id, "ABC"}) == 3
        body = reports.build_cancel_reject("ABC", first.cancel_id, order, "too late", T0)
        venue.say(b"9", body)
        event = await listener.event()
        assert (event.client_order_id, event.kind) == ("ABC", K.REJECT_CANCEL)

    play(script)


@pytest.mark.parametrize("known", [True, False])
def test_a_status_request_is_answered_by_an_event(known: bool) -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        broker.request_status(an_order())
        request = messages.parse_status_request(await venue.got.get())
        assert request.client_order_id == "ABC"
        name = request.request_id
        order = an_order(status=OrderStatus.ACCEPTED, venue_order_id="V1")
        body = reports.build_unknown_order("ABC", T0, name)
        if known:
            body = reports.build_status_report(order, TABLE[0], T0, 5, request_id=name)
        venue.say(b"8", body)
        event = await listener.event()
        assert event.kind is (K.ACCEPT if known else K.REJECT)
        assert event.reason == ("" if known else reports.UNKNOWN_ORDER)

    play(script)


def test_an_answer_to_a_question_of_an_earlier_connection_is_ignored() -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        broker.request_status(an_order())
        request = messages.parse_status_request(await venue.got.get())
        # Numbered and kept, but lost with the connection: replayed after the next logon.
        venue.session.send_app(b"8", reports.build_unknown_order("ABC", T0, request.request_id))
        assert venue.link is not None
        venue.link.abort("test")
        assert await listener.heard.get() == "down"
        assert await listener.heard.get() == "up"
        assert listener.heard.empty()

    play(script)


def test_a_store_that_cannot_note_a_commit_ends_the_connection() -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        def fail(_: int) -> None:
            raise Unavailable("session store: no space left on device")

        store = broker._session._store
        save, store.save_in = store.save_in, fail  # type: ignore[method-assign]
        venue.say(b"8", reports.build_unknown_order("ABC", T0, ""))
        await listener.event()
        broker.commit()
        assert await listener.heard.get() == "down"
        store.save_in = save  # type: ignore[method-assign]
        assert await listener.heard.get() == "up"

    play(script, commit_on_return=False)


def test_mass_status_is_told_when_complete() -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        broker.request_mass_status()
        name = messages.parse_mass_status_request(await venue.got.get())
        for number, order in enumerate((an_order("A"), an_order("B")), 1):
            working = msgspec.structs.replace(order, status=OrderStatus.ACCEPTED)
            mass = (name, 2, number == 2)
            venue.say(b"8", reports.build_status_report(working, TABLE[0], T0, 5, mass=mass))
        assert await listener.heard.get() == ["A", "B"]
        broker.request_mass_status()
        name = messages.parse_mass_status_request(await venue.got.get())
        venue.say(b"8", reports.build_no_open_orders(name, T0))
        assert await listener.heard.get() == []

    play(script)


def test_positions_are_told_when_complete_without_flat_ones() -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        broker.request_positions()
        request = messages.parse_position_request(await venue.got.get())
        assert request.account == "PAPER"
        for instrument, steps in ((0, 30), (2, -7), (3, 0)):
            row = (TABLE[instrument], steps)
            body = reports.build_position_report(request.request_id, "PAPER", row, 3, T0)
            venue.say(b"AP", body)
        assert await listener.heard.get() == {0: 30, 2: -7}
        broker.request_positions()
        request = messages.parse_position_request(await venue.got.get())
        venue.say(b"AP", reports.build_position_report("P-old", "PAPER", None, 0, T0))
        venue.say(b"AP", reports.build_position_report(request.request_id, "PAPER", None, 0, T0))
        assert await listener.heard.get() == {}

    play(script)


@pytest.mark.parametrize("business", [True, False], ids=["35=j", "35=3"])
@pytest.mark.parametrize("cancel", [True, False], ids=["cancel", "order"])
def test_a_refused_message_becomes_an_event_of_its_order(business: bool, cancel: bool) -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        if cancel:
            broker.cancel(an_order())
        else:
            broker.send(an_order())
        message = await venue.got.get()
        if business:
            venue.say(b"j", reports.build_business_reject(message, 4, "ABC", "closed"))
        else:
            venue.say(b"3", b"45=%b\x0158=closed\x01" % message.get(34))
        event = await listener.event()
        assert event.kind is (K.REJECT_CANCEL if cancel else K.REJECT)
        assert (event.client_order_id, event.reason) == ("ABC", "closed")

    play(script)


def test_reports_that_are_no_reports_are_rejected_and_the_session_lives() -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        venue.say(b"8", b"11=ABC\x01150=F\x0137=V1\x0155=EURUSD\x0154=1\x0132=nan\x01")
        venue.say(b"8", b"11=ABC\x01150=?\x01")
        venue.say(b"Q", b"58=x\x01")
        refused = await venue.got.get()
        assert (refused.msg_type, refused.get(372)) == (b"j", b"Q")
        assert listener.heard.empty()
        assert broker.connected

    play(script)


def test_uncommitted_reports_are_replayed() -> None:
    async def script(venue: Venue, broker: FixBroker, listener: Listener) -> None:
        for kind in (K.ACCEPT, K.EXPIRE):
            venue.report(OrderEvent("ABC", kind, T0, "V1"), an_order())
        first, second = await listener.event(), await listener.event()
        assert venue.link is not None
        venue.link.abort("test")
        assert await listener.heard.get() == "down"
        assert [await listener.event(), await listener.event()] == [first, second]
        broker.commit()
        assert await listener.heard.get() == "up"
        broker.commit()
        venue.link.abort("test")
        assert [await listener.heard.get() for _ in range(2)] == ["down", "up"]

    play(script, commit_on_return=False)
