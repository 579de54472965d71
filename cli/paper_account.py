"""The paper account of ``tickpath up``: goes on where it stopped, or begins anew."""

import time
from pathlib import Path

from core.config import Config
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from flows.held_out import tape_starts
from serving.homes import homes_of
from storage.adapters import open_ticks
from venue.server import LOG_FILE, read_status
from venue.store import Opened, VenueLog
from venue.tape import read_parts


def ready_account(config: Config, symbols: tuple[str, ...]) -> str:
    """Put the account aside when its tape is over or is not what is stored now.

    Positions belong to the tape they were traded on, so a new tape needs an empty account. Nothing
    is deleted: journal, FIX session and venue state move to ``archive`` together.

    Returns
    -------
    str
        One sentence when the account begins anew, else an empty one.

    Raises
    ------
    Conflict
        When a venue of this account is running.
    """
    homes = homes_of(config)
    reason = _why_anew(config, homes.venue, symbols)
    if not reason:
        return ""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    archive = config.storage.home / "archive" / f"{config.trading.account}-{stamp}"
    archive.mkdir(parents=True)
    for folder in (homes.journal, homes.fix, homes.venue):
        if folder.exists():
            folder.rename(archive / folder.parent.name)
    return f"{reason}: account {config.trading.account} begins anew, the old one is in {archive}"


def _why_anew(config: Config, folder: Path, symbols: tuple[str, ...]) -> str:
    status = read_status(folder)
    if status is None:
        return ""
    if status.done:
        return "the tape was played to its end"
    if {part.symbol for part in status.parts} != set(symbols):
        return "other symbols are stored now"
    starts = tape_starts(config, symbols)
    if any(part.start_ns < starts[part.symbol] for part in status.parts):
        return "a model that serves now was trained on quotes of the tape"
    log = VenueLog(folder / LOG_FILE)
    log.close()
    try:
        tape = read_parts(open_ticks(config.storage), DEFAULT_INSTRUMENTS, status.parts)
    except BadInput:
        return "the tape is not stored any more"
    venue = config.venue
    now = Opened(tape.fingerprint(), venue.seed, venue.partial_ratio, venue.reject_ratio)
    return "" if log.records[:1] == [now] else "the stored tape or the venue's settings changed"
