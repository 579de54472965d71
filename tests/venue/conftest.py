"""Orders, quotes and a FIX client in the shape that venue tests need."""

import asyncio
import inspect
import random
import time
from collections.abc import Callable

import pytest

from core.clock import SystemClock
from core.config import VenueConfig
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Order, OrderEvent, OrderType, Quote, Side, TimeInForce, tick
from fix.codec import Message
from fix.events import PeerReject, Role, SessionConfig
from fix.market_data import build_subscription, parse_quote
from fix.messages import (
    build_cancel_request,
    build_mass_status_request,
    build_position_request,
    build_status_request,
)
from fix.reports import (
    PositionReport,
    StatusReport,
    parse_cancel_reject,
    parse_execution_report,
    parse_position_report,
)
from fix.session import FixSession
from fix.store import MemoryStore, SessionStore
from fix.templates import new_order
from fix.transport import Application, Backoff, Initiator, Link
from venue.matching import MatchingEngine
from venue.orders import VenueOrder

MakeOrder = Callable[..., VenueOrder]
MakeQuote = Callable[..., Quote]


@pytest.fixture
def make_order() -> MakeOrder:
    def make(
        name: str,
        side: Side = Side.BUY,
        limit: int = 999_999,
        quantity: int = 10,
        tif: TimeInForce = TimeInForce.IOC,
        instrument: int = 0,
    ) -> VenueOrder:
        return VenueOrder(name, instrument, side, quantity, limit, tif, "PAPER")

    return make


@pytest.fixture
def make_quote() -> MakeQuote:
    def make(seq: int, bid_ticks: int, spread: int = 10, instrument: int = 0) -> Quote:
        bid, ask = bid_ticks / 1e5, (bid_ticks + spread) / 1e5
        return tick(instrument, seq, 1_000_000_000 * seq, bid, ask)

    return make


@pytest.fixture
def plain() -> MatchingEngine:
    """Return a venue that neither rejects nor splits."""
    return MatchingEngine(DEFAULT_INSTRUMENTS, VenueConfig(partial_ratio=0.0, reject_ratio=0.0))


@pytest.fixture
def splitting() -> MatchingEngine:
    """Return a venue that executes every order in two parts."""
    return MatchingEngine(DEFAULT_INSTRUMENTS, VenueConfig(partial_ratio=1.0, reject_ratio=0.0))


def as_core_order(order: VenueOrder) -> Order:
    return Order(
        order.client_order_id, "", order.account, "", order.instrument, order.side,
        order.quantity, OrderType.LIMIT, order.limit_ticks, order.time_in_force, 1, 0,
    )  # fmt: skip


class Client(Application):
    """The trading side of one session, for tests: keeps what it hears, sends what it is told."""

    def __init__(self, comp_id: str, store: SessionStore, *, reset: bool = False) -> None:
        config = SessionConfig(
            sender=comp_id, target="VENUE", role=Role.INITIATOR, reset_on_logon=reset
        )
        self.session = FixSession(config, store, SystemClock())
        self.events: list[OrderEvent] = []
        self.statuses: list[StatusReport] = []
        self.positions: list[PositionReport] = []
        self.quotes: list[Quote] = []
        self.refused: list[str] = []
        self._news = asyncio.Event()
        self._up = asyncio.Event()
        self._link: Initiator | None = None
        self._task: asyncio.Task[None] | None = None
        self._numbers = 0

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int) -> None:
        backoff = Backoff(0.01, 0.05, random.Random(1))
        self._link = Initiator(self.session, self, "127.0.0.1", port, backoff)
        self._task = asyncio.create_task(self._link.run())
        await self.up()

    @property
    def is_up(self) -> bool:
        return self._up.is_set()

    async def up(self) -> None:
        await asyncio.wait_for(self._up.wait(), 20)

    async def stop(self) -> None:
        if self._link is not None and self._task is not None:
            await self._link.close()
            await self._task
            self._link = None
        self.session.close()

    async def drop(self) -> None:
        """Cut the connection and stay away."""
        assert self._link is not None
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._link = None

    async def until(self, true: Callable[[], object]) -> None:
        """Wait until something that was heard makes `true` true."""
        async with asyncio.timeout(20):
            while not true():
                self._news.clear()
                await self._news.wait()

    # --- what to say ---

    def order(self, order: VenueOrder) -> None:
        terms = DEFAULT_INSTRUMENTS[order.instrument]
        self.send(b"D", new_order(as_core_order(order), terms))

    def cancel(self, order: VenueOrder) -> None:
        terms = DEFAULT_INSTRUMENTS[order.instrument]
        self.send(b"F", build_cancel_request(as_core_order(order), terms, self._name(), 1))

    def ask(self, order: VenueOrder) -> None:
        terms = DEFAULT_INSTRUMENTS[order.instrument]
        self.send(b"H", build_status_request(as_core_order(order), terms, self._name()))

    def ask_all(self) -> None:
        self.send(b"AF", build_mass_status_request(self._name()))

    def ask_positions(self) -> None:
        self.send(b"AN", build_position_request(self._name(), "PAPER", 1))

    def subscribe(self, *symbols: str) -> None:
        self.send(b"V", build_subscription("S1", symbols))

    def send(self, kind: bytes, body: bytes) -> None:
        assert self._link is not None
        assert self._link.link is not None
        self._link.link.send(kind, body)

    def _name(self) -> str:
        self._numbers += 1
        return f"R{self._numbers}-{time.monotonic_ns()}"

    # --- fix.link.Application ---

    def on_up(self, link: Link, recovered: bool) -> None:
        if recovered:
            self._up.set()
            self._news.set()

    def on_message(self, link: Link, message: Message, replayed: bool) -> None:
        if message.msg_type == b"8":
            found = parse_execution_report(message, DEFAULT_INSTRUMENTS)
            (self.events if isinstance(found, OrderEvent) else self.statuses).append(found)
        elif message.msg_type == b"9":
            self.events.append(parse_cancel_reject(message))
        elif message.msg_type == b"AP":
            self.positions.append(parse_position_report(message, DEFAULT_INSTRUMENTS))
        elif message.msg_type in (b"W", b"X"):
            self.quotes.append(parse_quote(message, DEFAULT_INSTRUMENTS, 0))
        else:
            self.refused.append(message.get(58).decode())
        self._news.set()

    def on_reject(self, link: Link, reject: PeerReject) -> None:
        self.refused.append(reject.text)
        self._news.set()

    def on_down(self, link: Link, reason: str) -> None:
        self._up.clear()
        self._news.set()


@pytest.fixture
def client_of() -> Callable[..., Client]:
    """Make clients: of the order session, or of market data."""

    def make(*, market_data: bool = False, store: SessionStore | None = None) -> Client:
        if market_data:
            return Client("TICKPATH-MD", MemoryStore(), reset=True)
        return Client("TICKPATH", store or MemoryStore())

    return make


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run coroutine tests of this folder on an event loop of their own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
