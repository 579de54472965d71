"""One connection on an asyncio socket, joined to a FIX session and to what takes its messages."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from core.errors import BadInput, FixFieldError, RecoverableError, Unavailable
from fix import tags
from fix.codec import Message
from fix.events import AppMessage, Disconnect, Event, LoggedOn, PeerReject, Recovered
from fix.session import FixSession

TIMER_SECS = 0.5


class Application(Protocol):
    """What takes the messages of a link. Called on the event loop; must not block."""

    def on_up(self, link: "Link", recovered: bool) -> None:
        """Hear that the session is logged on.

        `recovered` is False while earlier messages of the peer are still awaited; it is called
        again, with True, when they have come.
        """
        ...

    def on_message(self, link: "Link", message: Message, replayed: bool) -> None:
        """Take an application message; raise FixFieldError to have it rejected (35=3)."""
        ...

    def on_reject(self, link: "Link", reject: PeerReject) -> None:
        """Hear that the peer refused a message of ours (35=3)."""
        ...

    def on_down(self, link: "Link", reason: str) -> None:
        """Hear that the connection is gone and all its bytes were read; only after an `on_up`."""
        ...


class Link(asyncio.Protocol):
    """One connection with its session.

    Attributes
    ----------
    session : FixSession
    closed : asyncio.Future of str
        Done with the reason when the connection is gone.
    writable : bool
        False while the peer reads more slowly than we send; then a publisher should skip.
    was_up : bool
        True once logged on.
    """

    def __init__(
        self, session: FixSession, application: Application, *, commit_on_return: bool = True
    ) -> None:
        self.session = session
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._application = application
        self._commit_on_return = commit_on_return
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: deque[Event] = deque()
        self._reason = ""
        self.was_up = False
        self.writable = True

    @property
    def comp_id(self) -> str:
        """CompID of the peer."""
        return self.session.config.target

    # --- for the application ---

    def send(self, msg_type: bytes, body: bytes) -> int:
        """Send an application message now; return its number.

        Raises
        ------
        core.errors.Unavailable
            When the session is not logged on or its store cannot be written.
        """
        if self._transport is None:
            raise Unavailable(f"no connection to {self.comp_id}")
        seq = self.session.send_app(msg_type, body)
        self._transport.write(self.session.take_outgoing())
        return seq

    def commit(self) -> None:
        """Make durable that everything handed over so far was dealt with.

        Also from within a call: what came in the same read and was not handed over yet is left out.
        """
        waiting = (event for event in self._waiting if isinstance(event, AppMessage))
        first = next(waiting, None)
        self.session.processed(None if first is None else first.message.integer(tags.MSG_SEQ_NUM))

    def logout(self, text: str = "") -> None:
        """Begin an orderly end."""
        self.session.logout(text)
        self._flush()

    def abort(self, reason: str) -> None:
        """Hang up without a word."""
        self._reason = self._reason or reason
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the session; an initiator's Logon leaves here."""
        self._transport = cast(asyncio.Transport, transport)
        tune(self._transport)
        self._guard(self.session.connect)
        self._flush()
        self._tick()

    def data_received(self, data: bytes) -> None:
        """Feed the session and hand over what it found."""
        self._guard(lambda: self._take(self.session.receive(data)))
        self._flush()

    def eof_received(self) -> bool:
        """Close, after what is outgoing has left."""
        return False

    def pause_writing(self) -> None:
        """Note that the peer reads more slowly than we send."""
        self.writable = False

    def resume_writing(self) -> None:
        """Note that the peer has caught up."""
        self.writable = True

    def connection_lost(self, exc: Exception | None) -> None:
        """All bytes were read: end the session's connection and tell the application."""
        reason = self._reason or (str(exc) if exc else "connection closed by the peer")
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self.session.disconnected()
        if self.was_up:
            self._application.on_down(self, reason)
        if not self.closed.done():
            self.closed.set_result(reason)

    # --- inside ---

    def _guard(self, action: Callable[[], None]) -> None:
        """Run `action`; what the house raises on purpose ends the connection, not the process."""
        try:
            action()
        except RecoverableError as error:
            self._waiting.clear()
            self._reason = str(error)
            self.abort(self._reason)

    def _take(self, events: list[Event]) -> None:
        self._waiting.extend(events)
        while self._waiting:
            self._hand_over(self._waiting.popleft())
        if self._commit_on_return:
            self.session.processed()

    def _hand_over(self, event: Event) -> None:
        match event:
            case AppMessage():
                self._deliver(event)
            case LoggedOn():
                self.was_up = True
                self._application.on_up(self, not event.recovering)
            case Recovered():
                self._application.on_up(self, True)
            case PeerReject():
                self._application.on_reject(self, event)
            case Disconnect():
                self._reason = event.reason
            case _:
                pass

    def _deliver(self, event: AppMessage) -> None:
        try:
            self._application.on_message(self, event.message, event.replayed)
        except FixFieldError as error:
            self.session.reject(event.message, error)
        except BadInput as error:
            fault = FixFieldError(0, tags.VALUE_INCORRECT, str(error))
            self.session.reject(event.message, fault)

    def _flush(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        data = self.session.take_outgoing()
        if data:
            transport.write(data)
        if self._reason:
            transport.close()

    def _tick(self) -> None:
        if self._transport is not None:
            self._guard(lambda: self._take(self.session.on_timer()))
            self._flush()
            self._timer = asyncio.get_running_loop().call_later(TIMER_SECS, self._tick)


def tune(transport: asyncio.Transport) -> None:
    """Send small messages at once, and notice a peer whose machine is gone."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


async def part(link: Link, timeout_secs: float) -> None:
    """Log out, wait for the end of the connection, and cut it when that takes too long."""
    if link.session.live:
        link.logout()
    else:
        link.abort("stopped")
    _, late = await asyncio.wait([link.closed], timeout=timeout_secs)
    if late:
        link.abort("no answer to Logout")
        await link.closed
