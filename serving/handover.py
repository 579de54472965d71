"""A deploy without a closed door: the next process gets the listening sockets, then the account.

The sockets go over a local socket of this account and user, so that no connection is lost on the
way: the kernel's queue of new ones is the same before and after. The account follows when this
process has ended its work; the journal's lock says so once more: there is never a second writer.
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from core.errors import Unavailable

log = logging.getLogger(__name__)

ASK, SOCKETS, RELEASED = b"take over", b"sockets", b"released"
ASK_SECS = 5.0
MOST_SOCKETS = 8
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid of unix(7)


class Predecessor:
    """The process that serves now, asked to make way.

    Attributes
    ----------
    sockets : list of socket
        Listening sockets, ours from now on.
    """

    def __init__(self, connection: socket.socket, sockets: list[socket.socket]) -> None:
        self._connection = connection
        self.sockets = sockets

    async def gone(self) -> None:
        """Wait until it has let go of the account, or has died."""
        told = await asyncio.get_running_loop().sock_recv(self._connection, len(RELEASED))
        self._connection.close()
        log.info("the account is ours%s", "" if told == RELEASED else ": who had it died")


async def ask(path: Path) -> Predecessor | None:
    """Ask the process that serves the account at `path` to make way; None when there is none.

    Raises
    ------
    Unavailable
        When it does not answer, or another process was first.
    """
    return await asyncio.to_thread(_ask, path)


def _ask(path: Path) -> Predecessor | None:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(ASK_SECS)
    try:
        with _short(path) as address:
            connection.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    try:
        connection.sendall(ASK)
        told, numbers, _flags, _sender = socket.recv_fds(connection, 64, MOST_SOCKETS)
    except OSError as error:
        connection.close()
        raise Unavailable(f"who serves now does not make way: {error}") from None
    if told != SOCKETS:
        connection.close()
        raise Unavailable("who serves now makes way for another process already")
    connection.setblocking(False)
    return Predecessor(connection, [socket.socket(fileno=number) for number in numbers])


class Heir:
    """The process that is to serve next; `asked` until it has been told that it may."""

    def __init__(self) -> None:
        self._connection: socket.socket | None = None

    @property
    def asked(self) -> bool:
        """Whether there is one."""
        return self._connection is not None

    def take(self, connection: socket.socket, sockets: list[socket.socket]) -> None:
        """Give the sockets to who asked."""
        socket.send_fds(connection, [SOCKETS], [one.fileno() for one in sockets])
        self._connection = connection

    def release(self) -> None:
        """Tell it that the account is free."""
        if self._connection is not None:
            with suppress(OSError):  # it died; so be it
                self._connection.sendall(RELEASED)
            self._connection.close()
            self._connection = None


@asynccontextmanager
async def heir_wanted(
    path: Path, sockets: list[socket.socket], leave: Callable[[], None]
) -> AsyncIterator[Heir]:
    """Listen at `path` for a process that asks to take over; `leave` is called when one did."""
    heir = Heir()
    with _listening(path) as listener:
        task = asyncio.create_task(_await_heir(listener, heir, sockets, leave))
        try:
            yield heir
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _await_heir(
    listener: socket.socket, heir: Heir, sockets: list[socket.socket], leave: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        connection, _ = await loop.sock_accept(listener)
        said = await _heard(connection)
        if heir.asked or said != ASK or _user_of(connection) != os.getuid():
            connection.close()
            continue
        heir.take(connection, sockets)
        log.info("another process takes over")
        leave()


async def _heard(connection: socket.socket) -> bytes:
    """Return what a caller says; one that says nothing is not waited for long."""
    connection.setblocking(False)
    try:
        async with asyncio.timeout(ASK_SECS):
            return await asyncio.get_running_loop().sock_recv(connection, 64)
    except (TimeoutError, OSError):
        return b""


def _user_of(connection: socket.socket) -> int:
    size = _CREDENTIALS.size
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return int(_CREDENTIALS.unpack(found)[1])


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # of a process that died; the port would be taken otherwise
    with socket.socket(socket.AF_UNIX) as listener:
        with _short(path) as address:
            listener.bind(address)
        path.chmod(0o600)
        listener.listen()
        listener.setblocking(False)
        yield listener


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Name a socket by its folder's descriptor: an address may have a hundred letters only."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
