"""READY after SIGKILL with a journal of a million records.

A journal of that size is made once (about two minutes), a venue and serving are started on it, and
serving is killed and started again. The figure is the time from the start of the process to its
first ``/readyz`` that says yes; the control beside it is the same with an empty journal. Part of
the whole are the journal's own shares: opening it and bringing the account back.
"""

import gc
import shutil
import tempfile
import time
from pathlib import Path

from tests.e2e.long_journal import MONDAY_NS, make_engine, make_journal
from tests.e2e.stack import platform, with_venue
from trading.journal import FileJournal

RECORDS = 1_000_000
STARTS = 3
BAR_SECS = 5.0


def starts(home: Path, made: Path, journal: Path | None) -> list[float]:
    """Seconds from the start of serving to READY, each after a SIGKILL."""
    if journal is not None:
        shutil.copytree(journal, home / "journal" / "TEST")
    found = []
    with platform(made, home, venue=with_venue(max_quotes_per_sec=50.0)) as running:
        for _ in range(STARTS):
            running.serving.kill()
            started = time.perf_counter()
            running.serving.start()
            running.await_ready()
            found.append(round(time.perf_counter() - started, 2))
    return found


def shares(folder: Path) -> dict[str, float]:
    """Seconds to open the journal, and to bring the account back from it."""
    started = time.perf_counter()
    journal = FileJournal(folder)
    opened = time.perf_counter()
    engine = make_engine(journal, "TEST")
    gc.disable()
    engine.recover(journal.recovered, MONDAY_NS, journal.snapshot.parts if journal.snapshot else ())
    gc.enable()
    recovered = time.perf_counter()
    journal.close()
    return {
        "open_secs": round(opened - started, 2),
        "recover_secs": round(recovered - opened, 2),
        "orders": len(engine.account.book),
    }


def run() -> dict[str, object]:
    """Measure; return the figures by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made, journal = folder / "made", folder / "journal"
        made.mkdir()
        records = make_journal(journal, RECORDS)
        return {
            "records": records,
            "bar_secs": BAR_SECS,
            "ready_secs": starts(folder / "full", made, journal),
            "ready_secs_empty_journal": starts(folder / "empty", made, None),
            "journal": shares(journal),
        }
