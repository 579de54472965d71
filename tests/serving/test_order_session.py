"""Broker, engine and reconciliation joined: what is asked, what is booked first, what halts."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from core.clock import ManualClock
from core.errors import Unavailable
from core.types import OrderEvent, OrderEventKind, OrderStatus, TradingState
from fix.reports import StatusReport
from serving.live import LiveLoop
from serving.order_session import OrderSession
from tests.trading.conftest import House
from trading.events import Event, OrderEventIn, SessionChanged, SetTradingState
from trading.journal import FileJournal
from trading.reconciliation import Reconciliation
from trading.reconciliation import ReconciliationState as R

SILENCE = "the venue does not answer, though the session is up"


class Broker:
    """Writes down what it is asked; down when told to be."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.down = self.ready = False
        self.commits = 0

    def _ask(self, what: str) -> None:
        if self.down:
            raise Unavailable("the order session is down")
        self.asked.append(what)

    def request_status(self, order: Any) -> None:
        self._ask(order.client_order_id)

    def request_mass_status(self) -> None:
        self._ask("open orders")

    def request_positions(self) -> None:
        self._ask("positions")

    def set_reconciled(self) -> None:
        self.ready = True

    def commit(self) -> None:
        self.commits += 1


class Desk:
    """The session over a real engine."""

    def __init__(self, live: LiveLoop, house: House) -> None:
        self.live, self.house, self.broker = live, house, Broker()
        self.events: list[Event] = []
        process = house.engine.process

        def noting(event: Event) -> Any:
            self.events.append(event)
            return process(event)

        engine = SimpleNamespace(process=noting, account=house.engine.account)
        live.attach(engine, SimpleNamespace(ring=(), admit=lambda: None))  # type: ignore[arg-type]
        self.session = OrderSession(live)
        account = house.engine.account
        self.reconciliation = Reconciliation(account.book, account.portfolio)
        self.session.attach(self.broker, None, self.reconciliation)  # type: ignore[arg-type]

    def state(self) -> TradingState:
        self.live.drain()
        return self.house.engine.account.states.state


def with_desk(folder: Path, work: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        before = House()
        before.quote()
        house = House(recovered=before.journal.records, ready=False)
        journal = FileJournal(folder)
        try:
            await work(Desk(LiveLoop(ManualClock(house.now), journal), house))
        finally:
            journal.close()

    asyncio.run(run())


def test_ready_after_open_orders_and_positions_agree(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        desk.session.on_session(True, "")
        desk.session.on_mass_status([])
        assert desk.broker.asked == ["open orders", "positions"]
        assert not desk.session.ready
        desk.session.on_positions({})
        desk.live.drain()
        assert desk.session.ready
        assert desk.events == [SessionChanged(desk.events[0].now_ns, True, "reconciled")]

    with_desk(tmp_path, work)


def test_an_unknown_order_at_the_venue_halts_until_it_is_gone(tmp_path: Path) -> None:
    def working(name: str) -> StatusReport:
        return StatusReport(name, "V1", OrderStatus.ACCEPTED, 0, "", 1, 1, mass_id="M1", total=1)

    async def work(desk: Desk) -> None:
        desk.session.on_session(True, "")
        desk.session.on_mass_status([working("NOBODYS")])
        assert desk.state() is TradingState.HALTED
        assert "NOBODYS" in desk.house.engine.account.states.reason
        assert not desk.session.ready
        desk.session.recheck()
        desk.live.tell(SetTradingState(0, TradingState.ACTIVE, "mended"))
        desk.session.on_mass_status([])
        desk.session.on_positions({})
        assert desk.state() is TradingState.ACTIVE
        assert desk.session.ready
        assert desk.session.state == R.READY

    with_desk(tmp_path, work)


def test_enabling_without_mending_halts_again(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        desk.session.on_session(True, "")
        desk.session.on_mass_status([])
        desk.session.on_positions({0: 5})
        assert desk.state() is TradingState.HALTED
        desk.session.recheck()
        desk.live.tell(SetTradingState(0, TradingState.ACTIVE, "hoping"))
        desk.session.on_mass_status([])
        desk.session.on_positions({0: 5})
        assert desk.state() is TradingState.HALTED
        assert not desk.session.ready

    with_desk(tmp_path, work)


def test_reports_before_an_answer_are_booked_first(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        desk.session.on_session(True, "")
        desk.session.on_event(OrderEvent("NOBODYS", OrderEventKind.ACCEPT, 1))
        desk.session.on_mass_status([])
        assert [type(event) for event in desk.events[:1]] == [OrderEventIn]
        assert desk.state() is TradingState.HALTED  # a report about an order of nobody

    with_desk(tmp_path, work)


def test_a_link_that_goes_down_in_between_waits_for_the_next_logon(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        desk.broker.down = True
        desk.session.on_session(True, "")
        desk.session.on_session(False, "gone")
        desk.broker.down = False
        desk.session.on_session(True, "")
        assert desk.broker.asked == ["open orders"]
        assert desk.session.losses == 1

    with_desk(tmp_path, work)


def test_while_ready_the_venue_is_polled_and_a_difference_halts(tmp_path: Path) -> None:
    async def work(desk: Desk) -> None:
        desk.session.on_session(True, "")
        desk.session.on_mass_status([])
        desk.session.on_positions({})
        desk.broker.asked.clear()
        desk.session.look_again()
        desk.session.on_mass_status([])
        desk.session.on_positions({})
        assert desk.broker.asked == ["open orders", "positions"]
        assert desk.state() is TradingState.ACTIVE
        desk.session.look_again()
        desk.session.on_mass_status([])
        desk.session.on_positions({0: 3})
        assert desk.state() is TradingState.HALTED
        assert not desk.session.ready

    with_desk(tmp_path, work)


def test_a_venue_that_only_beats_its_heart_ends_the_readiness(tmp_path: Path) -> None:
    """The session stays up all the time; orders wait until the venue answers again."""

    async def work(desk: Desk) -> None:
        desk.session.on_session(True, "")
        desk.session.on_mass_status([])
        desk.session.on_positions({})
        for _ in range(5):
            desk.session.look_again()
        desk.live.drain()
        assert not desk.session.ready
        assert desk.broker.ready
        assert desk.events[-1] == SessionChanged(desk.events[-1].now_ns, False, SILENCE)
        desk.session.on_mass_status([])
        desk.session.on_positions({})
        desk.live.drain()
        assert desk.session.ready
        assert isinstance(desk.events[-1], SessionChanged)
        assert desk.events[-1].ready

    with_desk(tmp_path, work)
