"""Sessions over real sockets on the loopback: reconnect, refusal, drain."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import pytest

from core.clock import SystemClock
from core.errors import BadInput, Unavailable
from fix.codec import Message
from fix.events import PeerReject, Role, SessionConfig
from fix.session import FixSession
from fix.store import MemoryStore
from fix.transport import Acceptor, Backoff, Initiator, Link
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Network


class Recorder:
    """An application that keeps what it hears; `on` may act on a message."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[object] = asyncio.Queue()
        self.link: Link | None = None
        self.act: Callable[[Link, Message], None] = lambda link, message: None

    def on_up(self, link: Link, recovered: bool) -> None:
        self.link = link
        self.heard.put_nowait("up" if recovered else "recovering")

    def on_message(self, link: Link, message: Message, replayed: bool) -> None:
        self.heard.put_nowait(message.get(58))
        self.act(link, message)

    def on_reject(self, link: Link, reject: PeerReject) -> None:
        self.heard.put_nowait(reject)

    def on_down(self, link: Link, reason: str) -> None:
        self.heard.put_nowait("down")

    async def expect(self, *items: object) -> None:
        for item in items:
            assert await self.heard.get() == item


class Scene:
    """A listening venue that knows the CompID US, and sessions towards it."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.venue = Recorder()
        agreed = SessionConfig(sender="VENUE", target="US", role=Role.ACCEPTOR)
        session = FixSession(agreed, MemoryStore(), self.clock, lambda _: True)
        self.venue_session = session
        known = {"US": (session, self.venue)}
        self.acceptor = Acceptor(known.get)
        self.port = 0

    def session(self, sender: str = "US", store: MemoryStore | None = None) -> FixSession:
        agreed = SessionConfig(sender=sender, target="VENUE", role=Role.INITIATOR)
        return FixSession(agreed, store or MemoryStore(), self.clock)

    def initiator(self, session: FixSession, application: Recorder) -> Initiator:
        backoff = Backoff(0.001, 0.01, random.Random(1))
        return Initiator(session, application, "127.0.0.1", self.port, backoff)


def play(script: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        scene = Scene()
        scene.port = await scene.acceptor.start("127.0.0.1", 0)
        try:
            async with asyncio.timeout(30):
                await script(scene)
        finally:
            await scene.acceptor.close()

    asyncio.run(main())


def test_messages_cross_and_both_log_out() -> None:
    async def script(scene: Scene) -> None:
        us = Recorder()
        initiator = scene.initiator(scene.session(), us)
        running = asyncio.create_task(initiator.run())
        await us.expect("up")
        await scene.venue.expect("up")
        scene.venue.act = lambda link, message: link.send(b"B", b"58=answer\x01") and None
        assert us.link is not None
        us.link.send(b"C", b"58=order\x01")
        await scene.venue.expect(b"order")
        await us.expect(b"answer")
        await initiator.close()
        await running
        await us.expect("down")
        await scene.venue.expect("down")
        with pytest.raises(Unavailable):
            us.link.send(b"C", b"58=late\x01")

    play(script)


def test_reconnects_by_itself_and_gets_what_it_missed() -> None:
    async def script(scene: Scene) -> None:
        us = Recorder()
        initiator = scene.initiator(scene.session(), us)
        running = asyncio.create_task(initiator.run())
        await us.expect("up")
        await scene.venue.expect("up")
        assert scene.venue.link is not None
        # The report is numbered and kept, but its bytes are cut off with the connection.
        scene.venue.link.session.send_app(b"B", b"58=missed\x01")
        scene.venue.link.abort("test")
        await us.expect("down", "recovering", b"missed", "up")
        assert initiator.connections == 2
        await initiator.close()
        await running

    play(script)


def test_a_second_logon_is_refused_until_the_first_is_gone() -> None:
    async def script(scene: Scene) -> None:
        first, second = Recorder(), Recorder()
        store = MemoryStore()
        one = scene.initiator(scene.session(store=store), first)
        running = asyncio.create_task(one.run())
        await first.expect("up")
        # A second process with the same CompID that keeps trying.
        two = scene.initiator(scene.session(store=store), second)
        trying = asyncio.create_task(two.run())
        while scene.acceptor.refused < 3:
            await asyncio.sleep(0)
        assert second.heard.empty()
        assert len(scene.acceptor.links) == 1
        await one.close()
        await running
        await second.expect("up")
        await two.close()
        await trying

    play(script)


def test_a_stranger_is_hung_up_on() -> None:
    async def script(scene: Scene) -> None:
        session = scene.session("WHO")
        session.connect()
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
        writer.write(session.take_outgoing())
        assert await reader.read() == b""
        assert scene.acceptor.refused == 1
        writer.close()

    play(script)


def test_a_caller_who_says_nothing_sensible_is_hung_up_on() -> None:
    async def script(scene: Scene) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
        writer.write(b"GET / HTTP/1.1\r\n" * 10_000)
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        assert scene.acceptor.links == ()
        writer.close()

    play(script)


def test_bytes_sent_before_the_end_of_a_connection_are_handed_over_before_it_is_down() -> None:
    async def script(scene: Scene) -> None:
        session = scene.session()
        session.connect()
        reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
        writer.write(session.take_outgoing())
        session.receive(await reader.read(1_000))
        for number in range(200):
            session.send_app(b"C", b"58=%d\x01" % number)
        writer.write(session.take_outgoing())
        writer.close()
        await scene.venue.expect("up", *(b"%d" % number for number in range(200)), "down")

    play(script)


def test_a_commit_between_two_messages_of_one_read_leaves_the_second_out() -> None:
    async def script(scene: Scene) -> None:
        store = MemoryStore()
        agreed = SessionConfig(sender="VENUE", target="US", role=Role.ACCEPTOR)
        committed: list[int] = []

        def note(link: Link, message: Message) -> None:
            link.commit()
            committed.append(store.next_in)

        us = Recorder()
        us.act = note
        link = Link(FixSession(agreed, store, scene.clock), us, commit_on_return=False)
        peer = scene.session()
        peer.connect()
        link.session.connect()
        link.data_received(peer.take_outgoing())
        peer.receive(link.session.take_outgoing())
        for text in (b"58=a\x01", b"58=b\x01", b"58=c\x01"):
            peer.send_app(b"C", text)
        link.data_received(peer.take_outgoing())
        assert committed == [3, 4, 5]

    play(script)


def test_a_message_that_the_application_refuses_is_rejected_and_the_session_lives() -> None:
    async def script(scene: Scene) -> None:
        def refuse(link: Link, message: Message) -> None:
            if message.get(58) == b"bad":
                raise BadInput("unknown symbol")

        scene.venue.act = refuse
        us = Recorder()
        initiator = scene.initiator(scene.session(), us)
        running = asyncio.create_task(initiator.run())
        await us.expect("up")
        assert us.link is not None
        number = us.link.send(b"C", b"58=bad\x01")
        us.link.send(b"C", b"58=good\x01")
        await scene.venue.expect("up", b"bad", b"good")
        reject = await us.heard.get()
        assert isinstance(reject, PeerReject)
        assert (reject.ref_seq, "unknown symbol" in reject.text) == (number, True)
        await initiator.close()
        await running

    play(script)


def test_closing_the_acceptor_logs_everyone_out() -> None:
    async def script(scene: Scene) -> None:
        us = Recorder()
        initiator = scene.initiator(scene.session(), us)
        running = asyncio.create_task(initiator.run())
        await us.expect("up")
        await scene.acceptor.close()
        await us.expect("down")
        await initiator.close()
        await running

    play(script)


def test_closing_while_nobody_listens_ends_at_once() -> None:
    async def script(scene: Scene) -> None:
        await scene.acceptor.close()
        us = Recorder()
        initiator = scene.initiator(scene.session(), us)
        running = asyncio.create_task(initiator.run())
        await asyncio.sleep(0)
        await initiator.close()
        await running
        assert us.heard.empty()

    play(script)


def test_pauses_grow_to_their_limit_and_begin_again() -> None:
    backoff = Backoff(1.0, 8.0, random.Random(3))
    pauses = [backoff.next_secs() for _ in range(6)]
    for pause, full in zip(pauses, (1, 2, 4, 8, 8, 8), strict=True):
        assert full / 2 <= pause <= full
    backoff.reset()
    assert backoff.next_secs() <= 1.0


def test_a_session_that_ends_right_after_each_logon_is_not_tried_in_a_tight_loop() -> None:
    """Else both sides would use up numbers, by the hundred a second, for as long as it lasts."""
    loop = VirtualLoop(0)
    Network(loop, 0)

    class Unwilling(Recorder):
        def on_up(self, link: Link, recovered: bool) -> None:
            link.abort("not today")

    async def script() -> int:
        scene = Scene()
        known = scene.venue_session, Unwilling()
        acceptor = Acceptor({"US": known}.get)
        await acceptor.start("127.0.0.1", 1)
        backoff = Backoff(0.02, 2.0, random.Random(1))
        initiator = Initiator(scene.session(), Recorder(), "127.0.0.1", 1, backoff)
        running = asyncio.create_task(initiator.run())
        await asyncio.sleep(60)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return initiator.connections

    try:
        assert 30 <= loop.run_until_complete(script()) <= 80
    finally:
        loop.close()
