"""Sockets go from one process to the next; the account follows when it is free."""

import asyncio
import socket
from pathlib import Path

import pytest

from core.errors import Unavailable
from serving import handover
from serving.handover import ask, heir_wanted


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_nobody_to_ask(tmp_path: Path) -> None:
    path = tmp_path / "a.socket"
    assert asyncio.run(ask(path)) is None
    with socket.socket(socket.AF_UNIX) as dead:  # what a killed process leaves behind
        dead.bind(str(path))
    assert asyncio.run(ask(path)) is None


def test_the_sockets_come_over_and_then_the_account(tmp_path: Path) -> None:
    path = tmp_path / ("long" * 20) / ("name" * 10 + ".socket")

    async def walk() -> None:
        left = asyncio.Event()
        with listening() as door:
            async with heir_wanted(path, [door], left.set) as heir:
                predecessor = await ask(path)
                assert predecessor is not None
                await asyncio.wait_for(left.wait(), 5)
                assert heir.asked
                door.close()  # as the one that leaves does
                gone = asyncio.create_task(predecessor.gone())
                (ours,) = predecessor.sockets
                with socket.create_connection(ours.getsockname(), 5), ours.accept()[0]:
                    assert not gone.done()
            assert not gone.done()  # not before all is closed
            heir.release()
            await asyncio.wait_for(gone, 5)
            ours.close()

    asyncio.run(walk())


def test_the_account_is_free_when_who_had_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "a.socket"

    async def walk() -> None:
        with listening() as door:
            async with heir_wanted(path, [door], lambda: None) as heir:
                predecessor = await ask(path)
                assert predecessor is not None
                assert heir._connection is not None
                heir._connection.close()  # what the kernel does to a killed process
                await asyncio.wait_for(predecessor.gone(), 5)
                predecessor.sockets[0].close()

    asyncio.run(walk())


def test_only_the_first_of_two_gets_it(tmp_path: Path) -> None:
    path = tmp_path / "a.socket"

    async def walk() -> None:
        with listening() as door:
            async with heir_wanted(path, [door], lambda: None) as heir:
                first = await ask(path)
                assert first is not None
                with pytest.raises(Unavailable):
                    await ask(path)
                heir.release()
                await first.gone()
                first.sockets[0].close()

    asyncio.run(walk())


@pytest.mark.parametrize("said", [b"hello", b"take overs", b""])
def test_who_does_not_know_the_words_gets_nothing(
    tmp_path: Path, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "ASK_SECS", 0.05)

    def speak(path: Path) -> bytes:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
            caller.sendall(said)
            return caller.recv(64)

    async def walk() -> None:
        path = tmp_path / "a.socket"
        with listening() as door:
            async with heir_wanted(path, [door], lambda: None) as heir:
                assert await asyncio.to_thread(speak, path) == b""
                assert not heir.asked

    asyncio.run(walk())


def test_another_user_gets_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "_user_of", lambda _connection: 4242)

    async def walk() -> None:
        path = tmp_path / "a.socket"
        with listening() as door:
            async with heir_wanted(path, [door], lambda: None):
                with pytest.raises(Unavailable):
                    await ask(path)
                assert path.stat().st_mode & 0o077 == 0

    asyncio.run(walk())
