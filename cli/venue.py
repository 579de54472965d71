"""``tickpath venue``."""

import logging
from collections.abc import Sequence

from core.errors import BadInput
from core.settings import load_config
from flows.held_out import tape_starts
from serving.homes import homes_of
from serving.logs import set_up_logging
from storage.adapters import open_ticks
from venue.process import run_venue as run
from venue.server import VenueStatus, read_status

log = logging.getLogger(__name__)


def run_venue(symbols: Sequence[str], quotes: int) -> None:
    """Play the held-out quotes over FIX until Ctrl-C.

    A tape that was begun is gone on with; another one needs an account of its own, since positions
    belong to the tape they were traded on. `quotes` limits the length of a new tape; 0 is all.
    """
    set_up_logging()
    config = load_config()
    folder = homes_of(config).venue
    chosen = tuple(symbols) or open_ticks(config.storage).symbols()
    if not chosen:
        raise BadInput("there are no stored quotes to play; `tickpath ingest` brings some")
    begun = read_status(folder)
    limit = quotes
    if begun is not None and {part.symbol for part in begun.parts} == set(chosen):
        starts = {part.symbol: part.start_ns for part in begun.parts}
        limit = begun.length
    else:
        starts = tape_starts(config, chosen)
    run(config, chosen, starts, limit=limit, folder=folder, on_ready=_tell)


def _tell(status: VenueStatus) -> None:
    log.info("venue on port %d, tape at %d of %d", status.port, status.position, status.length)
