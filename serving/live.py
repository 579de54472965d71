"""The engine's turn on the event loop: reports, then commands, then quotes, drained in one go."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from core.clock import Clock
from core.errors import AppError, JournalError
from core.types import TradingState
from serving.admission import Admission
from trading.engine import TradingEngine
from trading.events import Event, OrderEventIn, QuoteIn, SetTradingState, Timer
from trading.inbox import Inbox
from trading.journal import FileJournal
from trading.pipeline import Submission

log = logging.getLogger(__name__)

BATCH = 256
TIMER_SECS = 0.1

Outcome = asyncio.Future[Submission | None]


class LiveLoop:
    """Owns the engine's turns; everything here runs on the event loop.

    Parameters
    ----------
    clock : Clock
        Read when an event is taken.
    journal : FileJournal
        Synced in a thread behind the engine, at most one sync at a time.
    """

    def __init__(self, clock: Clock, journal: FileJournal) -> None:
        self.inbox = Inbox(clock)
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._engine: TradingEngine | None = None
        self._admission: Admission | None = None
        self._outcomes: deque[Outcome | None] = deque()
        self._scheduled = False
        self._syncing: asyncio.Future[None] | None = None
        self._after_report: list[Callable[[OrderEventIn], None]] = []
        self._after_drain: list[Callable[[], None]] = []
        self._report_lost = False
        self.events = 0

    @property
    def booked(self) -> bool:
        """True while every report that was processed is in the book and in the journal."""
        return self._journal.healthy and not self._report_lost

    @property
    def journal_healthy(self) -> bool:
        """False once the journal could not be written or synced."""
        return self._journal.healthy

    def attach(self, engine: TradingEngine, admission: Admission) -> None:
        """Give the loop what it drives."""
        self._engine, self._admission = engine, admission

    def after_report(self, hear: Callable[[OrderEventIn], None]) -> None:
        """Call `hear` after the engine has booked a report of the venue."""
        self._after_report.append(hear)

    def after_drain(self, hear: Callable[[], None]) -> None:
        """Call `hear` when everything that waited was processed."""
        self._after_drain.append(hear)

    def wake(self) -> None:
        """Have the engine take its turn once the current callback is over."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    def command(self, event: Event) -> Outcome:
        """Queue a command; the future has its outcome or its error."""
        outcome: Outcome = self._loop.create_future()
        self._outcomes.append(outcome)
        self.inbox.put_command(event)
        self.wake()
        return outcome

    def tell(self, event: Event) -> None:
        """Queue a command that nobody waits for."""
        self._outcomes.append(None)
        self.inbox.put_command(event)
        self.wake()

    def drain(self) -> None:
        """Process everything that waits, now."""
        if self._admission is not None:
            self._admission.admit(BATCH)
        self.inbox.drain(self._process)
        for hear in self._after_drain:
            hear()
        self._sync_behind()

    async def run_timer(self) -> None:
        """Let time pass for the engine, until cancelled."""
        while True:
            await asyncio.sleep(TIMER_SECS)
            self.tell(Timer(0))
            self.drain()
            self._top_up()

    def _top_up(self) -> None:
        try:
            if self._engine is not None and self._journal.healthy:
                self._engine.top_up_ids()
        except JournalError as error:
            log.critical("journal: %s", error)

    async def settle(self) -> None:
        """Wait for a sync that is under way."""
        while self._syncing is not None:
            await asyncio.wait([self._syncing])

    def _turn(self) -> None:
        self._scheduled = False
        self.drain()
        if self._admission is not None and len(self._admission.ring):
            self.wake()

    def _process(self, event: Event) -> None:
        if self._engine is None:
            return
        self.events += 1
        if type(event) is QuoteIn:
            self._guarded(self._engine, event)
        elif type(event) is OrderEventIn:
            self._guarded(self._engine, event)
            for hear in self._after_report:
                hear(event)
        else:
            self._process_command(self._engine, event)

    def _guarded(self, engine: TradingEngine, event: Event) -> None:
        """Process an event that nobody waits for; whatever it breaks, trading halts."""
        try:
            engine.process(event)
        except Exception as error:
            log.critical("%s failed, trading halts", type(event).__name__, exc_info=error)
            self._report_lost |= type(event) is OrderEventIn
            if engine.account.states.state is not TradingState.HALTED:
                reason = f"{type(event).__name__} failed: {error}"
                self.tell(SetTradingState(0, TradingState.HALTED, reason, "live"))

    def _process_command(self, engine: TradingEngine, event: Event) -> None:
        outcome = self._outcomes.popleft()
        try:
            result = engine.process(event)
        except AppError as error:
            if outcome is None:
                log.error("%s was not carried out: %s", type(event).__name__, error)
            elif not outcome.cancelled():
                outcome.set_exception(error)
            return
        if outcome is not None and not outcome.cancelled():
            outcome.set_result(result)

    def _sync_behind(self) -> None:
        if self._syncing is None and self._journal.healthy and self._journal.needs_sync:
            self._syncing = self._loop.run_in_executor(None, self._journal.sync)
            self._syncing.add_done_callback(self._synced)

    def _synced(self, done: asyncio.Future[None]) -> None:
        self._syncing = None
        error = None if done.cancelled() else done.exception()
        if isinstance(error, JournalError):
            log.critical("journal: %s", error)
            self.tell(Timer(0))  # so that the engine sees it now, and halts
        elif error is not None:
            raise error
        self._sync_behind()
