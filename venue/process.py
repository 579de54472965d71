"""The venue as a process of its own: `tickpath venue` ends here."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from core.config import Config
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from storage.adapters import open_ticks
from venue.server import VenueServer, VenueStatus
from venue.tape import Tape, load_tape

try:
    import uvloop
except ImportError:  # not on every platform
    uvloop = None  # type: ignore[assignment]


def run_venue(
    config: Config,
    symbols: Sequence[str],
    start_ns: int | Mapping[str, int],
    *,
    end_ns: int | None = None,
    limit: int = 0,
    folder: Path | None = None,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
    on_ready: Callable[[VenueStatus], None] | None = None,
) -> VenueStatus:
    """Serve the stored quotes of `symbols` over FIX until SIGTERM or SIGINT.

    Parameters
    ----------
    start_ns : int or mapping of symbol to int
        Where the tape begins, ns UTC: the hold-out of each symbol's model.
    end_ns, limit
        As for `venue.tape.load_tape`.
    folder : Path, optional
        State of the venue; ``<home>/venue`` by default. It belongs to one tape: begin another tape
        in an empty folder.
    on_ready : callable, optional
        Gets the status, with the port, once the venue listens.

    Returns
    -------
    VenueStatus
        How far it came.

    Raises
    ------
    BadInput
        When a symbol has no stored quotes on the tape.
    Conflict
        When another venue has the folder, or it belongs to another tape.
    Unavailable
        When the port is taken, or the folder cannot be written.
    """
    store = open_ticks(config.storage)
    tape = load_tape(store, instruments, symbols, start_ns, end_ns, limit)
    home = folder or config.storage.home / "venue"
    factory = asyncio.new_event_loop if uvloop is None else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_serve(tape, config, home, instruments, on_ready))


async def _serve(
    tape: Tape,
    config: Config,
    folder: Path,
    instruments: InstrumentTable,
    on_ready: Callable[[VenueStatus], None] | None,
) -> VenueStatus:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = VenueServer(tape, instruments, config.venue, config.fix, folder)
    try:
        await server.start()
        if on_ready is not None:
            on_ready(server.status())
        broken = asyncio.ensure_future(server.wait())
        stopped = asyncio.ensure_future(stop.wait())
        await asyncio.wait({broken, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if broken.done():
            broken.result()
    finally:
        await server.close()
    return server.status()
