"""The engine's turn on the event loop: reports, then commands, then quotes.

Reports and commands are drained in one go. Quotes are taken in batches, so that the loop is not
held by a burst; since all that wait are known to the inbox, only the newest of each instrument
walks to a decision.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter_ns

from core.clock import Clock
from core.errors import AppError, JournalError
from core.types import TradingState
from monitoring.latency import StageLatencies
from serving.admission import Admission
from trading.engine import TradingEngine
from trading.events import Event, OrderEventIn, QuoteIn, SetTradingState, Timer
from trading.inbox import Inbox
from trading.journal import FileJournal
from trading.pipeline import Submission

log = logging.getLogger(__name__)

BATCH = 256
TIMER_SECS = 0.1
JOURNAL_BEHIND = "journal_behind"
# A sync waits this long for company, since each costs a hand-over to a thread and back; with the
# sync itself (6-9 ms at the 99th percentile) a record is on the disk within about 10 ms.
GROUP_SECS = 0.002

Outcome = asyncio.Future[Submission | None]


class LiveLoop:
    """Owns the engine's turns; everything here runs on the event loop.

    Parameters
    ----------
    clock : Clock
        Read when an event is taken.
    journal : FileJournal
        Synced in a thread behind the engine, at most one sync at a time.

    Attributes
    ----------
    events : int
        Events given to the engine.
    active_ns : int
        When something was last processed, by `time.perf_counter_ns`.
    failures : int
        Events and turns that broke in a way nobody foresaw.
    latencies : StageLatencies
        How long records waited for the disk.
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
        self._gathering: asyncio.TimerHandle | None = None
        self._after_report: list[Callable[[OrderEventIn], None]] = []
        self._after_drain: list[Callable[[], None]] = []
        self._report_lost = False
        # A thread of its own: nothing else that is slow may stand before the disk.
        self._settled = False
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="journal-sync")
        self.latencies = StageLatencies((JOURNAL_BEHIND,))
        self.events = 0
        self.failures = 0
        self.active_ns = perf_counter_ns()

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

    def at_once(self, event: Event) -> Outcome:
        """Take the turn with a command now, behind what waits already; as `command`.

        An order waits for no round of the loop then, and under a flood of requests each of them is
        as long as all that came in with it.
        """
        outcome: Outcome = self._loop.create_future()
        self._outcomes.append(outcome)
        self.inbox.put_command(event)
        self.drain()
        if not outcome.done():
            self.wake()
        return outcome

    def command_first(self, event: Event) -> Outcome:
        """Queue a command before all that wait; as `command`."""
        outcome: Outcome = self._loop.create_future()
        self._outcomes.appendleft(outcome)
        self.inbox.put_first(event)
        self.wake()
        return outcome

    def tell_first(self, event: Event) -> None:
        """Queue a command that nobody waits for before all that wait."""
        self._outcomes.appendleft(None)
        self.inbox.put_first(event)
        self.wake()

    def tell(self, event: Event) -> None:
        """Queue a command that nobody waits for."""
        self._outcomes.append(None)
        self.inbox.put_command(event)
        self.wake()

    def halt(self, reason: str) -> None:
        """Have trading halted, unless it is already."""
        engine = self._engine
        if engine is None or engine.account.states.state is not TradingState.HALTED:
            self.tell(SetTradingState(0, TradingState.HALTED, reason, "live"))

    def drain(self) -> None:
        """Process all reports and commands that wait and a batch of quotes, now; never raises."""
        if self._admission is not None:
            self._admission.admit()
        if self.inbox.drain(self._process, BATCH):
            self.active_ns = perf_counter_ns()
        while self.inbox.urgent:
            self.inbox.drain(self._process, BATCH)
        self._sync_behind()
        for hear in self._after_drain:
            self._call(hear)
        if len(self.inbox) or (self._admission is not None and len(self._admission.ring)):
            self.wake()

    async def run_timer(self) -> None:
        """Let time pass for the engine, until cancelled."""
        while True:
            await asyncio.sleep(TIMER_SECS)
            self.tell(Timer(0))
            self.drain()
            self._journal.check_disk()
            await self._top_up()

    async def _top_up(self) -> None:
        """Reserve decision ids ahead; the sync runs in a thread, and only then are they used."""
        if self._engine is None or not self._journal.healthy:
            return
        ids = self._engine.decision_ids
        end = ids.reserve_ahead()
        if not end:
            return
        try:
            await self._loop.run_in_executor(self._disk, self._journal.sync)
        except JournalError as error:
            log.critical("journal: %s", error)
        else:
            ids.granted(end)

    async def settle(self) -> None:
        """Sync what was appended, and wait for a sync that is under way."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._sync_now()
        while self._syncing is not None:
            await asyncio.wait([self._syncing])
        self._settled = True
        self._disk.shutdown()

    def _turn(self) -> None:
        self._scheduled = False
        self.drain()

    def _process(self, event: Event) -> None:
        if self._engine is None:
            return
        self.events += 1
        if type(event) is QuoteIn:
            self._guarded(self._engine, event)
        elif type(event) is OrderEventIn:
            self._guarded(self._engine, event)
            for hear in self._after_report:
                self._call(hear, event)
        else:
            self._process_command(self._engine, event)

    def _call(self, hear: Callable[..., None], *arguments: object) -> None:
        """Tell a listener; what it raises must not end the turn, nor the timer's task with it."""
        try:
            hear(*arguments)
        except Exception as error:
            self.failures += 1
            log.critical("a listener of the turn failed: %s", error, exc_info=error)

    def _guarded(self, engine: TradingEngine, event: Event) -> None:
        """Process an event that nobody waits for; whatever it breaks, trading halts."""
        try:
            engine.process(event)
        except Exception as error:  # noqa: BLE001 - told with its trace by `_broke`
            self._report_lost |= type(event) is OrderEventIn
            self._broke(engine, event, error)

    def _broke(self, engine: TradingEngine, event: Event, error: Exception) -> None:
        self.failures += 1
        log.critical("%s failed, trading halts", type(event).__name__, exc_info=error)
        if type(event) is not SetTradingState:
            self.halt(f"{type(event).__name__} failed: {error}")

    def _process_command(self, engine: TradingEngine, event: Event) -> None:
        outcome = self._outcomes.popleft()
        try:
            result = engine.process(event)
        except Exception as error:  # noqa: BLE001 - the caller hears of it
            if not isinstance(error, AppError):
                self._broke(engine, event, error)
            elif outcome is None:
                log.error("%s was not carried out: %s", type(event).__name__, error)
            if outcome is not None and not outcome.done():
                outcome.set_exception(error)
            return
        if outcome is not None and not outcome.done():
            outcome.set_result(result)

    def _sync_behind(self) -> None:
        if self._settled:
            return  # closing the journal syncs what is left
        idle = self._syncing is None and self._gathering is None
        if idle and self._journal.healthy and self._journal.needs_sync:
            self._gathering = self._loop.call_later(GROUP_SECS, self._sync_now)

    def _sync_now(self) -> None:
        self._gathering = None
        if self._journal.healthy and self._syncing is None:
            self._syncing = self._loop.run_in_executor(self._disk, self._sync)
            self._syncing.add_done_callback(self._synced)

    def _sync(self) -> None:
        behind = self._journal.behind_ns
        started = perf_counter_ns()
        self._journal.sync()
        self.latencies.record(JOURNAL_BEHIND, behind + perf_counter_ns() - started)

    def _synced(self, done: asyncio.Future[None]) -> None:
        self._syncing = None
        error = None if done.cancelled() else done.exception()
        if isinstance(error, JournalError):
            log.critical("journal: %s", error)
            self.tell(Timer(0))  # so that the engine sees it now, and halts
        elif error is not None:
            log.critical("journal: the sync failed: %s", error, exc_info=error)
            return  # the next turn tries again
        self._sync_behind()
