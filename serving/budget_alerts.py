"""Says in the log which stage of an order took longer than its budget; `/metrics` counts them."""

import asyncio
import logging

from trading.budgets import BUDGETS_NS, StageBudgets

log = logging.getLogger(__name__)

LOOK_SECS = 1.0


async def alert(budgets: StageBudgets) -> None:
    """Look once a second, so that a bad moment is one line, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECS)
        tell(budgets)


def tell(budgets: StageBudgets) -> None:
    """Log what is new."""
    for stage, count in budgets.news().items():
        log.warning("stage %s: %d over its budget of %g ms", stage, count, BUDGETS_NS[stage] / 1e6)
