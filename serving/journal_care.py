"""What the journal needs beside the engine: recovery, room for its next segment, snapshots."""

import asyncio
import gc
import logging
import time
from concurrent.futures import ThreadPoolExecutor

from core.clock import Clock
from trading.account_state import chunks
from trading.engine import TradingEngine
from trading.journal import FileJournal

log = logging.getLogger(__name__)

CARE_SECS = 0.25


class JournalCare:
    """Looks after the journal until cancelled, in a thread that the syncs do not wait for.

    Parameters
    ----------
    journal : FileJournal
    engine : TradingEngine
        Its account is what a snapshot holds.
    every : int
        Records between two snapshots.

    Attributes
    ----------
    snapshots : int
        Snapshots that were written.
    """

    def __init__(self, journal: FileJournal, engine: TradingEngine, every: int) -> None:
        self._journal = journal
        self._engine = engine
        self._every = every
        self._broken = False
        self.snapshots = 0

    async def run(self) -> None:
        """Go round until cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="journal-care") as thread:
            while True:
                await loop.run_in_executor(thread, self._journal.upkeep)
                if self._due:
                    await self._snapshot(loop, thread)
                await asyncio.sleep(CARE_SECS)

    @property
    def _due(self) -> bool:
        due = self._journal.since_snapshot >= self._every
        return due and self._journal.healthy and not self._broken

    async def _snapshot(self, loop: asyncio.AbstractEventLoop, thread: ThreadPoolExecutor) -> None:
        # Both in one step of the loop: the account as it stands is what the journal's end gives.
        position, changes = self._journal.position, self._engine.take_changes()
        # What is taken and not written would be missing from the next one.
        self._broken = True
        written = await loop.run_in_executor(
            thread, self._journal.write_snapshot, position, chunks(changes)
        )
        if written is None:
            log.critical("journal: no snapshot was written: %s", self._journal.trouble)
            return
        self._broken = False
        self.snapshots += 1


def recover(engine: TradingEngine, journal: FileJournal, clock: Clock) -> None:
    """Bring the engine to where the journal ends, and tell what was found."""
    if journal.cut is not None:
        log.warning(
            "journal: %d unsynced bytes cut at %d: %s",
            journal.cut.size,
            journal.cut.offset,
            journal.cut.reason,
        )
    for name in journal.snapshots.refused:
        log.error("journal: %s; the log itself is replayed instead", name)
    started, snapshot = time.perf_counter(), journal.snapshot
    replayed, parts = len(journal.recovered), snapshot.parts if snapshot else ()
    gc.disable()  # so much comes to stay that looking for garbage would double the time
    try:
        engine.recover(journal.recovered, clock.now_ns(), parts)
    finally:
        gc.enable()
    journal.forget()
    if engine.decision_ids.next_number == 1:
        # An account that begins anew leaves its decisions in the ledger and its orders with their
        # readers: a fresh count starts at the clock's milliseconds, which no earlier one reached.
        engine.decision_ids.start_at(clock.now_ns() // 1_000_000)
    secs = time.perf_counter() - started
    log.info("journal: %d records, %d of them replayed, in %.3f s", journal.found, replayed, secs)
