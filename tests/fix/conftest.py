"""A session under test with a hand-written peer, and two sessions wired in memory."""

import pytest

from core.clock import ManualClock
from fix import tags, timestamps
from fix.codec import FrameDecoder, Message, encode_fields, frame
from fix.events import AppMessage, Disconnect, Event, Role, SessionConfig, SessionState
from fix.session import FixSession
from fix.store import MemoryStore, SessionStore

T0 = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


class Bench:
    """The session "US" under test; `say` plays the peer "PEER" frame by frame."""

    def __init__(self, role: Role, store: SessionStore | None = None, **config: object) -> None:
        self.clock = ManualClock(T0)
        self.store = store or MemoryStore()
        agreed = SessionConfig(sender="US", target="PEER", role=role, **config)  # type: ignore[arg-type]
        self.session = FixSession(agreed, self.store, self.clock, lambda kind: kind == b"B")
        self.decoder = FrameDecoder()
        self.events: list[Event] = []
        self.seq = 1
        self.session.connect()

    def raw(
        self, msg_type: bytes, *fields: tuple[int, bytes], seq: int | None = None, **header: bytes
    ) -> bytes:
        """Frame of the peer; without `seq` the next number of the peer is used."""
        if seq is None:
            seq, self.seq = self.seq, self.seq + 1
        now = timestamps.encode_ms(self.clock.now_ns())
        head = [
            (tags.SENDER, header.get("sender", b"PEER")),
            (tags.TARGET, header.get("target", b"US")),
            (tags.MSG_SEQ_NUM, header.get("number", b"%d" % seq)),
            (tags.SENDING_TIME, header.get("sending_time", now)),
        ]
        return frame(b"35=%b\x01" % msg_type + encode_fields([*head, *fields]))

    def feed(self, data: bytes) -> list[Message]:
        """Give bytes to the session, note its events, return what it answers."""
        self.events = self.session.receive(data)
        return self.sent()

    def say(
        self, msg_type: bytes, *fields: tuple[int, bytes], seq: int | None = None, **header: bytes
    ) -> list[Message]:
        return self.feed(self.raw(msg_type, *fields, seq=seq, **header))

    def dup(self, msg_type: bytes, *fields: tuple[int, bytes], seq: int) -> list[Message]:
        """Say it as a possible duplicate."""
        origin = timestamps.encode_ms(self.clock.now_ns() - SECOND)
        extra = ((tags.POSS_DUP, b"Y"), (tags.ORIG_SENDING_TIME, origin))
        return self.say(msg_type, *extra, *fields, seq=seq)

    def logon(self, seq: int | None = None, *extra: tuple[int, bytes]) -> list[Message]:
        return self.say(b"A", (98, b"0"), (108, b"10"), *extra, seq=seq)

    def sent(self) -> list[Message]:
        return self.decoder.feed(self.session.take_outgoing())

    def wait(self, secs: float) -> list[Message]:
        """Let time pass in steps of half a second."""
        self.events = []
        answers = []
        for _ in range(round(secs * 2)):
            self.clock.advance(SECOND // 2)
            self.events += self.session.on_timer()
            answers += self.sent()
        return answers

    @property
    def reason(self) -> str:
        """Reason of the Disconnect event; empty when there was none."""
        return next((e.reason for e in self.events if isinstance(e, Disconnect)), "")

    @property
    def bodies(self) -> list[bytes]:
        """Tag 58 of the application messages in the last events."""
        return [e.message.get(58) for e in self.events if isinstance(e, AppMessage)]


class Wire:
    """An initiator and an acceptor in memory; `pump` carries bytes until both are quiet."""

    def __init__(
        self, ours: SessionStore | None = None, theirs: SessionStore | None = None
    ) -> None:
        self.clock = ManualClock(T0)
        self.stores = (ours or MemoryStore(), theirs or MemoryStore())
        self.initiator, self.acceptor = self._sessions()
        self.got: dict[str, list[AppMessage]] = {"initiator": [], "acceptor": []}

    def _sessions(self) -> tuple[FixSession, FixSession]:
        us = SessionConfig(sender="US", target="PEER", role=Role.INITIATOR)
        peer = SessionConfig(sender="PEER", target="US", role=Role.ACCEPTOR)
        initiator = FixSession(us, self.stores[0], self.clock)
        return initiator, FixSession(peer, self.stores[1], self.clock, lambda _: True)

    def restart(self) -> None:
        """Both processes die and come back with what their stores hold."""
        self.initiator, self.acceptor = self._sessions()

    def connect(self) -> None:
        self.acceptor.connect()
        self.initiator.connect()
        self.pump()

    def pump(self) -> None:
        while True:
            up, down = self.initiator.take_outgoing(), self.acceptor.take_outgoing()
            if not up and not down:
                return
            self.take("acceptor", self.acceptor, up)
            self.take("initiator", self.initiator, down)

    def take(self, name: str, session: FixSession, data: bytes) -> None:
        events = session.receive(data)
        self.got[name] += [event for event in events if isinstance(event, AppMessage)]
        session.processed()

    def drop(self) -> None:
        """The connection breaks; what is under way is lost."""
        self.initiator.disconnected()
        self.acceptor.disconnected()

    @property
    def active(self) -> bool:
        states = (self.initiator.state, self.acceptor.state)
        return states == (SessionState.ACTIVE, SessionState.ACTIVE)


@pytest.fixture
def new_bench() -> type[Bench]:
    return Bench


@pytest.fixture(scope="session")
def new_wire() -> type[Wire]:
    return Wire


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def acceptor() -> Bench:
    """An acceptor that waits for Logon."""
    return Bench(Role.ACCEPTOR)


@pytest.fixture(params=[Role.ACCEPTOR, Role.INITIATOR], ids=["acceptor", "initiator"])
def active(request: pytest.FixtureRequest) -> Bench:
    """A session that is logged on; the peer's next number is 2, ours as well."""
    bench = Bench(request.param)
    bench.logon()
    bench.sent()
    assert bench.session.state is SessionState.ACTIVE
    bench.session.processed()
    return bench
