"""The engine's turn: what goes first, who hears the outcome, and what a failure stops."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from core.clock import ManualClock
from core.errors import JournalError, NotFound, Unavailable
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import OrderEvent, OrderEventKind, TradingState, tick
from serving.admission import Admission as RealAdmission
from serving.live import LiveLoop
from serving.live_features import LiveFeatures
from trading.events import CancelOrder, Event, OrderEventIn, QuoteIn, SetTradingState, Timer
from trading.ids import IdBlocks
from trading.journal import FileJournal, MemoryJournal


class Engine:
    """Writes down what it is given; raises what it is told to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.failures: dict[type, Exception] = {}
        self.account = SimpleNamespace(states=SimpleNamespace(state=TradingState.ACTIVE))
        self.decision_ids = IdBlocks(MemoryJournal(), "D")

    def process(self, event: Event) -> str:
        self.events.append(event)
        if isinstance(event, SetTradingState):
            self.account.states.state = event.state
        if type(event) in self.failures:
            raise self.failures[type(event)]
        return f"did {type(event).__name__}"

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]


class Admission:
    """A tape that is already admitted."""

    ring: tuple[()] = ()

    def admit(self) -> None:
        """Do nothing."""


REPORT = OrderEvent("C1", OrderEventKind.ACCEPT, 1)
QUOTE = tick(0, 1, 1, 1.1, 1.2)


def with_loop(
    folder: Path, work: Callable[[LiveLoop, Engine, FileJournal], Coroutine[Any, Any, None]]
) -> None:
    async def run() -> None:
        journal = FileJournal(folder)
        engine = Engine()
        live = LiveLoop(ManualClock(5), journal)
        live.attach(engine, Admission())  # type: ignore[arg-type]
        try:
            await work(live, engine, journal)
            await live.settle()
        finally:
            journal.close()

    asyncio.run(run())


def test_reports_go_before_commands_before_quotes(tmp_path: Path) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        live.inbox.put_quote(QUOTE)
        outcome = live.command(CancelOrder(0, "C1"))
        live.inbox.put_report(REPORT)
        assert await outcome == "did CancelOrder"
        assert engine.kinds() == ["OrderEventIn", "CancelOrder", "QuoteIn"]
        assert {event.now_ns for event in engine.events} == {5}

    with_loop(tmp_path, work)


def test_each_caller_gets_its_own_outcome(tmp_path: Path) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        engine.failures[CancelOrder] = NotFound("no order C1")
        live.tell(Timer(0))
        first, second = live.command(CancelOrder(0, "C1")), live.command(Timer(0))
        with pytest.raises(NotFound, match="C1"):
            await first
        assert await second == "did Timer"

    with_loop(tmp_path, work)


def test_a_quote_that_breaks_halts_and_the_rest_goes_on(tmp_path: Path) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        engine.failures[QuoteIn] = ZeroDivisionError("of a kernel")
        live.inbox.put_quote(QUOTE)
        live.inbox.put_quote(QUOTE)
        live.drain()
        assert engine.account.states.state is TradingState.HALTED
        assert engine.kinds() == ["QuoteIn", "SetTradingState", "QuoteIn"]
        assert live.booked

    with_loop(tmp_path, work)


def test_a_report_that_was_not_booked_is_never_let_go_of(tmp_path: Path) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        engine.failures[OrderEventIn] = KeyError("C1")
        live.inbox.put_report(REPORT)
        live.drain()
        assert engine.account.states.state is TradingState.HALTED
        assert not live.booked

    with_loop(tmp_path, work)


def test_what_was_appended_is_synced_behind(tmp_path: Path) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        journal.append(b"one")
        assert journal.needs_sync
        live.drain()
        await live.settle()
        assert not journal.needs_sync

    with_loop(tmp_path, work)


def test_a_failed_sync_wakes_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        def fail(_: int) -> None:
            raise OSError("disk is gone")

        monkeypatch.setattr("os.fdatasync", fail)
        journal.append(b"one")
        live.drain()
        async with asyncio.timeout(10):
            while "Timer" not in engine.kinds():
                await asyncio.sleep(0.001)
        assert not live.booked
        with pytest.raises(JournalError):
            journal.append(b"two")

    with_loop(tmp_path, work)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


def test_what_fails_after_a_turn_neither_ends_the_timer_nor_keeps_the_sync(tmp_path: Path) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        def commit() -> None:
            raise Unavailable("session store: no space left on device")

        live.after_drain(commit)
        timer = asyncio.create_task(live.run_timer())
        journal.append(b"one")
        await until(lambda: engine.kinds().count("Timer") >= 2)
        assert not timer.done()
        await live.settle()
        assert not journal.needs_sync
        assert live.failures >= 2
        timer.cancel()

    with_loop(tmp_path, work)


def test_a_listener_of_reports_that_fails_ends_nothing(tmp_path: Path) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        live.after_report(lambda _: 1 / 0)  # type: ignore[arg-type]
        live.inbox.put_report(REPORT)
        live.inbox.put_report(REPORT)
        live.drain()
        assert engine.kinds() == ["OrderEventIn"] * 2

    with_loop(tmp_path, work)


def test_a_caller_hears_also_of_what_nobody_foresaw(tmp_path: Path) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        engine.failures[CancelOrder] = OSError(28, "no space left on device")
        with pytest.raises(OSError, match="no space"):
            await asyncio.wait_for(live.command(CancelOrder(0, "C1")), 10)
        live.drain()
        assert engine.account.states.state is TradingState.HALTED

    with_loop(tmp_path, work)


def test_a_failing_halt_is_not_repeated_for_ever(tmp_path: Path) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        engine.failures = {QuoteIn: KeyError("a"), SetTradingState: KeyError("b")}
        engine.account.states = SimpleNamespace(state=TradingState.ACTIVE)
        live.inbox.put_quote(QUOTE)
        live.drain()
        assert engine.kinds() == ["QuoteIn", "SetTradingState"]

    with_loop(tmp_path, work)


def test_of_many_waiting_quotes_only_the_newest_of_each_instrument_walks(tmp_path: Path) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        features = LiveFeatures(DEFAULT_INSTRUMENTS)
        admission = RealAdmission(
            DEFAULT_INSTRUMENTS, features, None, live.inbox, 4_096,  # type: ignore[arg-type]
            live.wake, live.tell,
        )  # fmt: skip
        live.attach(engine, admission)  # type: ignore[arg-type]
        for seq in range(1, 1_001):
            for instrument in (0, 2):
                admission.on_quote(tick(instrument, seq, seq, 1.1, 1.2))
        await until(lambda: len(engine.events) == 2_000)
        walked = [e.quote for e in engine.events if isinstance(e, QuoteIn) and e.act]
        assert [(quote.instrument, quote.seq) for quote in walked] == [(0, 1_000), (2, 1_000)]

    with_loop(tmp_path, work)


def test_ids_are_reserved_without_a_sync_on_the_loop(tmp_path: Path) -> None:
    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        threads: list[int] = []
        sync = journal.sync

        def noting_sync() -> None:
            threads.append(threading.get_ident())
            sync()

        journal.sync = noting_sync  # type: ignore[method-assign]
        engine.decision_ids = ids = IdBlocks(journal, "D", size=4)
        timer = asyncio.create_task(live.run_timer())
        await until(lambda: engine.kinds().count("Timer") >= 2)
        assert [ids.take() for _ in range(4)] == ["D1", "D2", "D3", "D4"]
        await live.settle()
        assert threads
        assert threading.get_ident() not in threads
        timer.cancel()

    with_loop(tmp_path, work)


def test_appends_are_synced_in_groups_and_all_of_them_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs = 0
    sync = FileJournal.sync

    def counted(journal: FileJournal) -> None:
        nonlocal syncs
        syncs += 1
        sync(journal)

    monkeypatch.setattr(FileJournal, "sync", counted)
    monkeypatch.setattr("serving.live.GROUP_SECS", 60.0)

    async def work(live: LiveLoop, engine: Engine, journal: FileJournal) -> None:
        for _ in range(20):
            journal.append(b"record")
            live.tell(Timer(0))
            live.drain()
            await asyncio.sleep(0)
        assert journal.needs_sync
        await live.settle()
        assert not journal.needs_sync
        assert syncs == 1

    with_loop(tmp_path, work)
