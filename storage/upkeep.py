"""What stores need now and then: indexes moved forward, old rows forgotten, segments merged."""

from contextlib import ExitStack
from typing import NamedTuple

from core.config import StorageConfig
from storage.adapters import open_analysis, open_ledger, open_ticks
from storage.parquet import TickStore
from storage.ports import Ticks
from storage.snapshot import DAY_NS


class Upkeep(NamedTuple):
    """What was done.

    Attributes
    ----------
    forgotten_before_ns : int or None
        Rows before it are gone, ns UTC; None when all are kept.
    merged_days : int
        Days of symbols whose segments were merged.
    """

    forgotten_before_ns: int | None
    merged_days: int


def maintain_ticks(ticks: Ticks, keep_days: int, now_ns: int) -> Upkeep:
    """Forget days that are too old, then merge the segments of the others.

    Parameters
    ----------
    keep_days : int
        Whole UTC days to keep before today; 0 keeps all.
    """
    before = (now_ns // DAY_NS - keep_days) * DAY_NS if keep_days else None
    if before is not None:
        ticks.forget_before(before)
    merged = 0
    if isinstance(ticks, TickStore):  # servers merge by themselves
        merged = sum(ticks.compact(symbol) for symbol in ticks.symbols())
    return Upkeep(before, merged)


def maintain_all(config: StorageConfig, now_ns: int) -> Upkeep:
    """Look after every store that the settings name.

    Raises
    ------
    Unavailable
        When a server does not answer, or the role may not do what is needed.
    """
    with ExitStack() as stack:
        ledger = open_ledger(config)
        stack.callback(ledger.close)
        ledger.maintain(now_ns)
        ticks = open_ticks(config)
        stack.callback(ticks.close)
        done = maintain_ticks(ticks, config.keep_days, now_ns)
        analysis = open_analysis(config)
        if analysis is not None:
            stack.callback(analysis.close)
            if done.forgotten_before_ns is not None:
                analysis.forget_before(done.forgotten_before_ns)
        return done
