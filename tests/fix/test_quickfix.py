"""Our venue and QuickFIX, another implementation, as its client: nothing lost or done twice.

The package takes some ten minutes to build, so it is an extra of its own: ``pip install
'.[interop]'``, then ``pytest -m servers tests/fix/test_quickfix.py``, or ``-m proof``.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.columns import from_ticks
from core.config import FixConfig, VenueConfig
from core.instruments import DEFAULT_INSTRUMENTS
from venue.server import VenueServer
from venue.tape import Tape

fix = pytest.importorskip("quickfix", reason="quickfix is not installed: it is built from source")

pytestmark = pytest.mark.servers
BETWEEN_CUTS = 50
VENUE = VenueConfig(
    speed=0.0, max_quotes_per_sec=0.0, latency_ms=0.0, partial_ratio=0.0, reject_ratio=0.0
)
SETTINGS = """
[DEFAULT]
ConnectionType=initiator
ReconnectInterval=1
FileStorePath={store}
StartTime=00:00:00
EndTime=00:00:00
UseDataDictionary=N
HeartBtInt=10
[SESSION]
BeginString=FIX.4.4
SenderCompID=TICKPATH
TargetCompID=VENUE
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
"""


class Client(fix.Application):  # type: ignore[misc]
    """QuickFIX's application: counts the executions of each order, and log-ons."""

    def __init__(self) -> None:
        super().__init__()
        self.session: Any = None
        self.log_ons = 0
        self.executions: Counter[tuple[str, str]] = Counter()

    def onCreate(self, session: Any) -> None:
        self.session = session

    def onLogon(self, _session: Any) -> None:
        self.log_ons += 1

    def onLogout(self, session: Any) -> None: ...

    def toAdmin(self, message: Any, session: Any) -> None: ...

    def fromAdmin(self, message: Any, session: Any) -> None: ...

    def toApp(self, message: Any, session: Any) -> None: ...

    def fromApp(self, message: Any, _session: Any) -> None:
        found = {tag: field_of(message, tag) for tag in (11, 17, 150)}
        if found[150] == "F":
            self.executions[found[11], found[17]] += 1


def field_of(message: Any, tag: int) -> str:
    field = fix.StringField(tag)
    message.getField(field)
    return str(field.getString())


class Cutter:
    """Stands between the two and cuts both connections without a word."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self.cuts = 0

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def cut(self) -> None:
        self.cuts += 1
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def close(self) -> None:
        self._server.close()
        self.cut()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        self._open |= {writer, forth}
        await asyncio.gather(_pump(reader, forth), _pump(back, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.transport.abort()


def tape() -> Tape:
    ts = np.arange(1, 301, dtype=np.int64) * 10**9
    bid = np.full(300, 1.1)
    return Tape({0: from_ticks(ts, bid, bid + 1e-4, np.ones(300))})


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[VenueServer, Cutter, Client]]:
    """Start venue, cutter and QuickFIX."""
    venue = VenueServer(tape(), DEFAULT_INSTRUMENTS, VENUE, FixConfig(port=0), folder / "venue")
    await venue.start()
    while venue.venue.last_quote(0) is None:
        venue.venue.advance()
    cutter, client = Cutter(venue.port), Client()
    text = SETTINGS.format(store=folder / "store", port=await cutter.start())
    (folder / "settings.cfg").write_text(text)
    settings = fix.SessionSettings(str(folder / "settings.cfg"))
    stores = fix.FileStoreFactory(settings)
    initiator = fix.SocketInitiator(client, stores, settings)
    initiator.start()
    try:
        yield venue, cutter, client
    finally:
        await asyncio.to_thread(initiator.stop)
        await cutter.close()
        await venue.close()


def send(client: Client, name: str) -> None:
    message = fix.Message()
    message.getHeader().setField(fix.MsgType("D"))
    fields = {1: "PAPER", 11: name, 21: "1", 38: "0.10", 40: "2", 44: "2.00000", 54: "1",
              55: "EURUSD", 59: "3", 5001: "1"}  # fmt: skip
    for tag, value in fields.items():
        message.setField(fix.StringField(tag, value))
    message.setField(fix.TransactTime())
    assert fix.Session.sendToTarget(message, client.session)


async def until(what: str, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.01)
    assert holds(), what


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("orders", [500, pytest.param(10_000, marks=pytest.mark.proof)])
def test_each_order_of_another_implementation_executes_once_whatever_is_cut(
    tmp_path: Path, orders: int, record_property: Callable[[str, object], None]
) -> None:
    asyncio.run(_trade(tmp_path, orders, record_property))


async def _trade(folder: Path, orders: int, tell: Callable[[str, object], None]) -> None:
    async with both(folder) as (venue, cutter, client):
        await until("a log-on", lambda: client.log_ons > 0)
        for number in range(orders):
            send(client, f"Q{number}")
            if number % BETWEEN_CUTS == BETWEEN_CUTS // 2:
                await asyncio.sleep(0)  # some of what was sent is on its way
                cutter.cut()
            elif number % BETWEEN_CUTS == BETWEEN_CUTS - 1:
                sent = {f"Q{n}" for n in range(number + 1)}
                await until("every order executed", lambda s=sent: s <= executed(client))
        assert executed(client) == {f"Q{number}" for number in range(orders)}
        assert set(client.executions.values()) == {1}
        assert len(client.executions) == orders
        assert venue.venue.matching.position(0) == orders * 10
        tell("orders", orders)
        tell("cuts", cutter.cuts)
        tell("log_ons", client.log_ons)
        assert client.log_ons >= cutter.cuts


def executed(client: Client) -> set[str]:
    """Orders of which an execution was told."""
    return {order for order, _ in list(client.executions)}
