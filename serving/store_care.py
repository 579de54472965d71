"""Upkeep of the ledger while serving runs; that of ticks is the work of who writes them."""

import asyncio
import logging

from core.clock import Clock
from core.errors import AppError
from storage.ports import LedgerStore

log = logging.getLogger(__name__)


async def care_for_ledger(ledger: LedgerStore, clock: Clock, every_secs: float) -> None:
    """Maintain the ledger until cancelled; what goes wrong is told and tried again next time."""
    while True:
        try:
            await asyncio.to_thread(ledger.maintain, clock.now_ns())
        except (AppError, OSError) as error:
            log.error("ledger: upkeep did not finish: %s", error)
        await asyncio.sleep(every_secs)
