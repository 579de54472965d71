"""A FIX 4.4 session without a socket: bytes and time go in, events and bytes come out.

Usage, on either side::

    session.connect()                       # initiator: Logon is now outgoing
    events = session.receive(data)          # then act on them, then:
    session.processed()                     # what was received is durable from here on
    session.send_app(b"D", body)
    socket.write(session.take_outgoing())
    events = session.on_timer()             # every second or so
    session.disconnected()                  # the socket is gone

Rules are those of "FIX 4.4 with Errata 20030618, volume 2: session protocol".
"""

from collections.abc import Callable

from core.clock import Clock
from core.errors import FixFieldError, Unavailable
from fix import dictionary, tags
from fix.checks import (
    check_origin,
    identity_fault,
    logon_problem,
    new_number,
    patience_secs,
)
from fix.codec import BEGIN_STRING, FrameDecoder, Message
from fix.events import (
    AppMessage,
    Disconnect,
    Event,
    LoggedOn,
    LoggedOut,
    PeerReject,
    Recovered,
    Role,
    SessionConfig,
    SessionState,
)
from fix.sender import Sender
from fix.store import SessionStore

S = SessionState
_LIVE = (S.ACTIVE, S.RECOVERING)
_DEAF = (S.DISCONNECTED, S.ENDED)
# A silent peer gets this much more than its interval, for the way, before it is asked and given up.
_PATIENCE = 1.2
_NS = 1_000_000_000


class FixSession:
    """One session with one peer, over any number of connections.

    Parameters
    ----------
    config : SessionConfig
    store : SessionStore
        Owned by the session.
    clock : Clock
        Wall time for SendingTime, monotonic time for heartbeats.
    replayable : callable of MsgType to bool
        Which of our application messages may be sent again; others are gap-filled. An order must
        not be: a stale order never leaves twice.

    Attributes
    ----------
    state : SessionState
    """

    def __init__(
        self,
        config: SessionConfig,
        store: SessionStore,
        clock: Clock,
        replayable: Callable[[bytes], bool] = frozenset[bytes]().__contains__,
    ) -> None:
        self.config = config
        self.state = S.DISCONNECTED
        self._store = store
        self._clock = clock
        self._decoder = FrameDecoder(config.max_length)
        self._sender = Sender(config.sender, config.target, store, clock, replayable)
        self._queue: dict[int, Message | None] = {}
        self._next_in = store.next_in
        self._asked_up_to = 0
        self._heartbeat_ns = config.heartbeat_secs * _NS
        self._last_received = self._since = 0
        self._test_sent = 0

    @property
    def live(self) -> bool:
        """True while application messages can be sent."""
        return self.state in _LIVE

    @property
    def garbled(self) -> int:
        """Frames that were ignored because they did not verify."""
        return self._decoder.garbled

    @property
    def next_in(self) -> int:
        """Number of the next message expected."""
        return self._next_in

    @property
    def next_out(self) -> int:
        """Number that the next message will get."""
        return self._store.next_out

    def connect(self) -> None:
        """Begin on a fresh connection; an initiator's Logon becomes outgoing."""
        self.disconnected()
        self._enter(S.AWAITING_LOGON)
        self._last_received = self._clock.monotonic_ns()
        self._test_sent = 0
        if self.config.role is Role.INITIATOR:
            if self.config.reset_on_logon:
                self._reset()
            self._heartbeat_ns = self.config.heartbeat_secs * _NS
            self._enter(S.LOGON_SENT)
            self._sender.logon(self.config.heartbeat_secs, reset=self.config.reset_on_logon)

    def disconnected(self) -> None:
        """Forget the connection; what was not processed will be asked for again."""
        self.state = S.DISCONNECTED
        self._decoder.clear()
        self._sender.take()
        self._queue.clear()
        self._asked_up_to = 0
        self._next_in = self._store.next_in

    def close(self) -> None:
        """Let go of the store."""
        self.disconnected()
        self._store.close()

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes as they came from the socket."""
        events: list[Event] = []
        for message in self._decoder.feed(data):
            if self.state in _DEAF:
                break
            self._last_received = self._clock.monotonic_ns()
            self._test_sent = 0
            self._take(message, events)
        return events

    def processed(self, below: int | None = None) -> None:
        """Make durable that messages were dealt with: all that `receive` returned, or a part.

        Parameters
        ----------
        below : int, optional
            Number of the first message that was returned but not dealt with yet.
        """
        upto = self._next_in if below is None else min(below, self._next_in)
        if upto > self._store.next_in:
            self._store.save_in(upto)

    def on_timer(self) -> list[Event]:
        """Send heartbeats and give up on a silent peer; call about once a second."""
        events: list[Event] = []
        now = self._clock.monotonic_ns()
        limit = patience_secs(self.state, self.config)
        if limit and now - self._since > limit * _NS:
            self._end(f"no answer while {self.state.value}", events)
        elif self.live and self._heartbeat_ns:
            self._keep_alive(now, events)
        return events

    def _keep_alive(self, now: int, events: list[Event]) -> None:
        silence = self._heartbeat_ns * _PATIENCE
        if self._test_sent and now - self._test_sent > silence:
            self._end("heartbeat time-out", events)
            return
        if not self._test_sent and now - self._last_received > silence:
            self._test_sent = now
            self._sender.send(tags.TEST_REQUEST, b"112=TEST-%d\x01" % self._store.next_out)
        if now - self._sender.last_sent >= self._heartbeat_ns:
            self._sender.send(tags.HEARTBEAT, b"")

    def send_app(self, msg_type: bytes, body: bytes) -> int:
        """Send an application message with pre-encoded body fields; return its number.

        Raises
        ------
        core.errors.Unavailable
            When the session is not logged on, or its store cannot be written.
        """
        if self.state not in _LIVE:
            raise Unavailable(f"FIX session to {self.config.target} is {self.state.value}")
        return self._sender.send(msg_type, body)

    def take_outgoing(self) -> bytes:
        """Bytes to write to the socket now."""
        return self._sender.take()

    def reject(self, message: Message, fault: FixFieldError) -> None:
        """Refuse a message whose fields are wrong (35=3)."""
        self._sender.reject(message, fault)

    def logout(self, text: str = "") -> None:
        """Ask for an orderly end; the answer comes as LoggedOut and Disconnect."""
        if self.live:
            self._sender.logout(text)
            self._enter(S.LOGOUT_SENT)

    def _take(self, message: Message, events: list[Event]) -> None:
        if message.begin_string != BEGIN_STRING:
            self._refuse("BeginString is not FIX.4.4", events)
            return
        try:
            seq = message.integer(tags.MSG_SEQ_NUM)
        except FixFieldError as error:
            self._refuse(f"MsgSeqNum: {error}", events)
            return
        fault = identity_fault(message, self.config, self._clock.now_ns())
        if fault is not None:
            self._refuse_identity(message, seq, fault, events)
        elif self.state in (S.AWAITING_LOGON, S.LOGON_SENT):
            self._take_first(message, seq, events)
        elif message.msg_type == tags.SEQUENCE_RESET and not message.flag(tags.GAP_FILL):
            self._take_reset(message, events)
        else:
            self._sequence(message, seq, events)

    def _refuse_identity(
        self, message: Message, seq: int, fault: FixFieldError, events: list[Event]
    ) -> None:
        if self.state is S.AWAITING_LOGON and fault.reason == tags.COMP_ID_PROBLEM:
            # Nobody we know: not a word, and no number of ours is spent on it.
            self._end(str(fault), events)
            return
        if seq == self._next_in:
            self._next_in += 1
        self.reject(message, fault)
        self._refuse(str(fault), events)

    def _take_first(self, message: Message, seq: int, events: list[Event]) -> None:
        if message.msg_type == tags.LOGON:
            self._take_logon(message, seq, events)
        elif message.msg_type == tags.LOGOUT and self.state is S.LOGON_SENT:
            if seq == self._next_in:
                self._next_in += 1
            self._take_logout(message, events)
        else:
            self._end("first message is not a Logon", events)

    def _take_logon(self, message: Message, seq: int, events: list[Event]) -> None:
        reset = message.flag(tags.RESET_SEQ_NUM)
        problem = logon_problem(message, self.config)
        if not problem and not reset and seq < self._next_in:
            problem = self._too_low(seq)
        if problem:
            self._refuse(problem, events)
            return
        if self.config.role is Role.ACCEPTOR:
            if reset:
                self._reset()
            self._heartbeat_ns = message.integer(tags.HEART_BT_INT) * _NS
            self._sender.logon(self._heartbeat_ns // _NS, reset=reset)
        self._enter(S.ACTIVE)
        if seq > self._next_in:
            self._queue[seq] = None
            self._ask_for(seq - 1)
        else:
            self._next_in += 1
        events.append(LoggedOn(self.state is S.RECOVERING))

    def _too_low(self, seq: int) -> str:
        return f"MsgSeqNum too low, expecting {self._next_in} but received {seq}"

    def _take_reset(self, message: Message, events: list[Event]) -> None:
        """SequenceReset-Reset: its own number does not count."""
        try:
            self._next_in = new_number(message, self._next_in)
        except FixFieldError as error:
            self.reject(message, error)
        else:
            self._drain(events)

    def _sequence(self, message: Message, seq: int, events: list[Event]) -> None:
        if seq == self._next_in:
            self._process(message, seq, events)
            self._drain(events)
        elif seq > self._next_in:
            self._take_early(message, seq, events)
        elif not message.flag(tags.POSS_DUP):
            self._refuse(self._too_low(seq), events)

    def _take_early(self, message: Message, seq: int, events: list[Event]) -> None:
        if message.msg_type == tags.LOGOUT:
            # Answered at once; what is missing shows again at the next Logon.
            self._take_logout(message, events)
            return
        if message.msg_type == tags.RESEND_REQUEST:
            # Answered at once: two sides that both wait for a resend would wait for ever.
            self._process_soundly(message, seq, events)
        if seq not in self._queue and len(self._queue) < self.config.max_queue:
            early = message.msg_type == tags.RESEND_REQUEST
            self._queue[seq] = None if early else message
        if not self._asked_up_to:
            self._ask_for(seq - 1)

    def _ask_for(self, last: int) -> None:
        self._asked_up_to = last
        self._enter(S.RECOVERING if self.live else self.state)
        self._sender.send(tags.RESEND_REQUEST, b"7=%d\x0116=%d\x01" % (self._next_in, last))

    def _drain(self, events: list[Event]) -> None:
        while self._next_in in self._queue and self.state not in _DEAF:
            message = self._queue.pop(self._next_in)
            if message is None:
                self._next_in += 1
            else:
                self._process(message, self._next_in, events)
        if not self._asked_up_to or self._next_in <= self._asked_up_to:
            return
        self._asked_up_to = 0
        self._queue = {seq: early for seq, early in self._queue.items() if seq > self._next_in}
        if self._queue:
            self._ask_for(min(self._queue) - 1)
        elif self.state is S.RECOVERING:
            self._enter(S.ACTIVE)
            events.append(Recovered())

    def _process(self, message: Message, seq: int, events: list[Event]) -> None:
        """Deal with the message that is next in sequence, and step behind it."""
        self._next_in = seq + 1
        if self.state is S.RECOVERING:
            self._since = self._last_received
        self._process_soundly(message, seq, events)

    def _process_soundly(self, message: Message, seq: int, events: list[Event]) -> None:
        try:
            if message.fault is not None:
                raise message.fault
            dictionary.check(message)
            if message.flag(tags.POSS_DUP):
                check_origin(message)
            self._dispatch(message, seq, events)
        except FixFieldError as error:
            self.reject(message, error)
            if error.reason == tags.SENDING_TIME_ACCURACY:
                self._refuse(str(error), events)

    def _dispatch(self, message: Message, seq: int, events: list[Event]) -> None:
        kind = message.msg_type
        if kind not in tags.ADMIN:
            events.append(AppMessage(message, message.flag(tags.POSS_DUP)))
        elif kind == tags.TEST_REQUEST:
            self._sender.send(tags.HEARTBEAT, b"112=%b\x01" % message.require(tags.TEST_REQ_ID))
        elif kind == tags.RESEND_REQUEST:
            self._sender.resend(message)
        elif kind == tags.SEQUENCE_RESET:
            self._next_in = new_number(message, seq + 1)
        elif kind == tags.LOGOUT:
            self._take_logout(message, events)
        elif kind == tags.LOGON:
            self._refuse("already logged on", events)
        elif kind == tags.REJECT:
            tag = message.integer(tags.REF_TAG_ID) if tags.REF_TAG_ID in message else 0
            text = message.get(tags.TEXT).decode("latin-1")
            events.append(PeerReject(message.integer(tags.REF_SEQ_NUM), tag, text))

    def _take_logout(self, message: Message, events: list[Event]) -> None:
        events.append(LoggedOut(message.get(tags.TEXT).decode("latin-1")))
        if self.state in _LIVE:
            # The side that asked closes the connection; ours only after a while.
            self._sender.logout("")
            self._enter(S.AWAITING_CLOSE)
        else:
            self._end("logged out", events)

    def _refuse(self, text: str, events: list[Event]) -> None:
        """Say why in a Logout and end the session."""
        if self.state not in _DEAF:
            self._sender.logout(text)
            self._end(text, events)

    def _end(self, reason: str, events: list[Event]) -> None:
        self._enter(S.ENDED)
        events.append(Disconnect(reason))

    def _enter(self, state: SessionState) -> None:
        self.state = state
        self._since = self._clock.monotonic_ns()

    def _reset(self) -> None:
        self._store.reset()
        self._next_in = 1
