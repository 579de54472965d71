"""FIX sessions on asyncio sockets: an initiator that reconnects, and an acceptor.

Both hand their messages to an `Application`, synchronously, in the order of the wire. When
`on_message` returns, the message counts as processed (its number becomes durable), unless
`commit_on_return` is False: then the application calls `link.commit()` when it has dealt with all
that it was given. A link writes at once; nothing waits.

The acceptor, in short::

    class Venue:                                    # satisfies Application
        def on_up(self, link, recovered): ...       # logged on; again once nothing is missing
        def on_message(self, link, message, replayed): link.send(b"8", body)
        def on_reject(self, link, reject): ...      # the peer refused a message of ours
        def on_down(self, link, reason): ...

    def resolve(comp_id: str) -> tuple[FixSession, Application] | None:
        return sessions.get(comp_id)                # None: an unknown CompID is hung up on

    acceptor = Acceptor(resolve)
    port = await acceptor.start("127.0.0.1", 0)
    ...
    await acceptor.close()                          # Logout to everyone, drained, closed

`FixSession(SessionConfig(sender="VENUE", target=comp_id, role=Role.ACCEPTOR), store, clock,
replayable)` is made once for each CompID and lives over its connections. A second connection of a
CompID is refused until the bytes of the first have been read to their end (EOF) and handed over:
"unknown order" from this side therefore means that the order never came.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import cast

from fix import tags
from fix.codec import MAX_LENGTH, FrameDecoder
from fix.link import Application, Link, part, tune
from fix.session import FixSession

__all__ = ["Acceptor", "Application", "Backoff", "Initiator", "Link"]


class Backoff:
    """Growing pauses between attempts, each somewhere between half of its length and all of it.

    Parameters
    ----------
    least_secs, most_secs : float
        First pause and longest pause.
    rng : random.Random
        So that many clients do not come back at the same instant.
    """

    def __init__(self, least_secs: float, most_secs: float, rng: random.Random) -> None:
        self._least = least_secs
        self.most_secs = most_secs
        self._rng = rng
        self._pause = least_secs

    def reset(self) -> None:
        """Begin again with the first pause."""
        self._pause = self._least

    def next_secs(self) -> float:
        """Return the length of the next pause."""
        pause = self._pause * (0.5 + 0.5 * self._rng.random())
        self._pause = min(self._pause * 2.0, self.most_secs)
        return pause


class Initiator:
    """Keeps a session connected: connects, and again with growing pauses, until closed.

    Pauses begin anew after a connection that lasted longer than the longest of them. One that was
    logged on and ended at once must not: what ended it is still there, and each attempt uses up
    numbers of the session on both sides.

    Attributes
    ----------
    link : Link or None
        The present connection.
    connections : int
        Connections made so far.
    """

    def __init__(
        self,
        session: FixSession,
        application: Application,
        host: str,
        port: int,
        backoff: Backoff,
        *,
        commit_on_return: bool = True,
    ) -> None:
        self._session = session
        self._application = application
        self._address = (host, port)
        self._backoff = backoff
        self._commit_on_return = commit_on_return
        self._stop = asyncio.Event()
        self.link: Link | None = None
        self.connections = 0

    async def run(self) -> None:
        """Stay connected until `close`; on cancellation the connection is dropped."""
        try:
            while not self._stop.is_set():
                await self._connect_once()
                await self._pause()
        finally:
            if self.link is not None:
                self.link.abort("stopped")

    async def close(self, timeout_secs: float = 3.0) -> None:
        """Log out, wait for the answer, close; `run` returns then. The store stays open."""
        self._stop.set()
        if self.link is not None:
            await part(self.link, timeout_secs)

    async def _connect_once(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, self.link = await loop.create_connection(self._new_link, *self._address)
        except OSError:
            return
        self.connections += 1
        began = loop.time()
        if self._stop.is_set():
            self.link.abort("stopped")
        await asyncio.shield(self.link.closed)
        if self.link.was_up and loop.time() - began > self._backoff.most_secs:
            self._backoff.reset()
        self.link = None

    def _new_link(self) -> Link:
        return Link(self._session, self._application, commit_on_return=self._commit_on_return)

    async def _pause(self) -> None:
        if not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), self._backoff.next_secs())


Resolve = Callable[[str], tuple[FixSession, Application] | None]
Wrap = Callable[[asyncio.Protocol], asyncio.Protocol]


class Acceptor:
    """Listens, and joins each connection to the session of its first message's SenderCompID.

    Parameters
    ----------
    resolve : callable of CompID to (FixSession, Application) or None
        None hangs up.
    wrap : callable, optional
        Puts something between a socket and its link, as a test or a simulated venue does.
    commit_on_return : bool
        See the module's docstring.

    Attributes
    ----------
    refused : int
        Connections hung up on: unknown CompID, or one whose old connection is not read to its end.
    """

    def __init__(
        self,
        resolve: Resolve,
        *,
        commit_on_return: bool = True,
        greeting_secs: float = 10.0,
        wrap: Wrap | None = None,
    ) -> None:
        self._resolve = resolve
        self._wrap = wrap
        self._commit_on_return = commit_on_return
        self._greeting_secs = greeting_secs
        self._server: asyncio.Server | None = None
        self._greetings: set[_Greeting] = set()
        self._links: dict[str, Link] = {}
        self.refused = 0

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which the system chooses when 0 is given."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._new_greeting, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def links(self) -> tuple[Link, ...]:
        """The connections that have a session now."""
        return tuple(self._links.values())

    async def close(self, timeout_secs: float = 3.0) -> None:
        """Stop listening, log everyone out, wait for their answers, close."""
        if self._server is not None:
            self._server.close()
        for greeting in list(self._greetings):
            greeting.hang_up()
        await asyncio.gather(*(part(link, timeout_secs) for link in self.links))
        if self._server is not None:
            await self._server.wait_closed()

    def _new_greeting(self) -> "_Greeting":
        greeting = _Greeting(self._admit, self._greetings.discard, self._greeting_secs)
        self._greetings.add(greeting)
        return greeting

    def _admit(self, comp_id: str, transport: asyncio.Transport, data: bytes) -> None:
        found = None if comp_id in self._links else self._resolve(comp_id)
        if found is None:
            self.refused += 1
            transport.close()
            return
        link = Link(*found, commit_on_return=self._commit_on_return)
        self._links[comp_id] = link
        link.closed.add_done_callback(lambda _: self._links.pop(comp_id))
        protocol = link if self._wrap is None else self._wrap(link)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)


class _Greeting(asyncio.Protocol):
    """Reads up to the first whole message, to learn who is calling."""

    def __init__(
        self,
        admit: Callable[[str, asyncio.Transport, bytes], None],
        gone: Callable[["_Greeting"], None],
        patience_secs: float,
    ) -> None:
        self._admit = admit
        self._gone = gone
        self._decoder = FrameDecoder()
        self._data = b""
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(patience_secs, self.hang_up)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tune(self._transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        messages = self._decoder.feed(data)
        if messages and self._transport is not None:
            self._done()
            comp_id = messages[0].get(tags.SENDER).decode("latin-1")
            self._admit(comp_id, self._transport, self._data)
        elif len(self._data) > MAX_LENGTH:
            self.hang_up()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done()

    def hang_up(self) -> None:
        """Close without a word."""
        self._done()
        if self._transport is not None:
            self._transport.abort()

    def _done(self) -> None:
        self._timer.cancel()
        self._gone(self)
