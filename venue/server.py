"""The venue on a socket: doors, tape and a status file, on one event loop."""

import asyncio
import os
from pathlib import Path

import msgspec

from core.clock import Clock, SystemClock
from core.config import FixConfig, VenueConfig
from core.errors import Unavailable
from core.instruments import InstrumentTable
from fix.events import Role, SessionConfig
from fix.link import Application
from fix.session import FixSession
from fix.store import FileStore, MemoryStore
from fix.transport import Acceptor
from venue.faults import FaultPlan, FaultyWire, draw_windows
from venue.latency import DelayQueue, delay_of
from venue.market_door import MarketDoor
from venue.order_door import REPLAYABLE, OrderDoor
from venue.state import Venue
from venue.store import VenueLog
from venue.tape import Pacer, Tape, TapePart

LOG_FILE = "venue.log"
STATUS_FILE = "status.json"
MARKET_DATA_SUFFIX = "-MD"
STATUS_SECS = 0.25
SLOW_CONSUMER_SECS = 5.0
# A client subscribes symbol by symbol; the first quotes wait for the last of its requests.
SUBSCRIBE_SECS = 0.05
_YIELD_EVERY = 64


class VenueStatus(msgspec.Struct, frozen=True):
    """What the status file says; written whole at each change, at most a few times a second.

    Attributes
    ----------
    position, length : int
        Quotes published so far and quotes on the whole tape.
    done : bool
        The tape is at its end; orders are still taken.
    seqs : dict of str to int
        Tape position of each symbol.
    parts : tuple of TapePart
        What is on the tape, for `venue.tape.read_parts`.
    positions : dict of str to str
        Signed lots of each symbol, as the venue counts its executions; flat ones are left out.
    faults : dict of str to int
        How often each kind of fault was carried out.
    """

    pid: int
    port: int
    position: int
    length: int
    done: bool
    orders: int
    executions: int
    seqs: dict[str, int]
    parts: tuple[TapePart, ...]
    venue: VenueConfig
    positions: dict[str, str] = {}
    faults: dict[str, int] = {}


def read_status(folder: Path) -> VenueStatus | None:
    """Read the status that a venue left in `folder`; None when there is none."""
    try:
        return msgspec.json.decode((folder / STATUS_FILE).read_bytes(), type=VenueStatus)
    except FileNotFoundError:
        return None


class VenueServer:
    """Serves one tape to one client with an order and a market data session.

    Parameters
    ----------
    tape : Tape
        At position 0.
    instruments : InstrumentTable
    config : VenueConfig
    fix : FixConfig
        `host`, `port` (0: any free one) and the CompIDs, as the client has them.
    folder : Path
        Where the venue keeps what must survive it.
    faults : FaultPlan, optional
        What goes wrong on the way to its clients; by default drawn as `config` says.

    Attributes
    ----------
    venue : Venue
    done : asyncio.Event
        Set when the tape is at its end.
    """

    def __init__(
        self,
        tape: Tape,
        instruments: InstrumentTable,
        config: VenueConfig,
        fix: FixConfig,
        folder: Path,
        clock: Clock | None = None,
        faults: FaultPlan | None = None,
    ) -> None:
        self.done = asyncio.Event()
        self._instruments = instruments
        self._config = config
        self._fix = fix
        self._folder = folder
        self._clock = clock or SystemClock()
        self.venue = Venue(tape, VenueLog(folder / LOG_FILE), instruments, config)
        self._delay = DelayQueue(delay_of(config))
        self._started = asyncio.Event()
        self._parts = tape.parts(instruments)
        self._tasks: list[asyncio.Task[None]] = []
        self._sessions: dict[str, tuple[FixSession, Application]] = {}
        self._orders = self._open_orders_door()
        self._market = self._open_market_door()
        self.faults = faults or FaultPlan(
            draw_windows(config.seed, config.faults_per_min, config.faults_secs), config.seed
        )
        faulty = faults is not None or config.faults_per_min > 0
        self._acceptor = Acceptor(self._sessions.get, wrap=self._wrap if faulty else None)
        self.port = 0

    async def start(self) -> int:
        """Listen and wait for the first subscriber; return the port.

        Raises
        ------
        Unavailable
            When the port is taken.
        """
        try:
            self.port = await self._acceptor.start(self._fix.host, self._fix.port)
        except OSError as error:
            raise Unavailable(f"cannot listen on {self._fix.host}:{self._fix.port}") from error
        self._write_status()
        self._tasks = [asyncio.create_task(self._run_tape()), asyncio.create_task(self._report())]
        return self.port

    async def wait(self) -> None:
        """Return only by raising what broke the venue, if something does."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Log everyone out and let go of all files; harmless when repeated."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._acceptor.close()
        self._delay.drop()
        self._write_status()
        self.venue.close()
        for session, _ in self._sessions.values():
            session.close()

    def status(self) -> VenueStatus:
        """Say how far the venue is."""
        tape = self.venue.tape
        last = {row.symbol: self.venue.last_quote(row.id) for row in self._instruments}
        return VenueStatus(
            os.getpid(),
            self.port,
            tape.position,
            len(tape),
            tape.upcoming is None,
            self.venue.order_count,
            self.venue.executions,
            {symbol: quote.seq for symbol, quote in last.items() if quote is not None},
            self._parts,
            self._config,
            self._positions(),
            {fault.value: count for fault, count in self.faults.met.items()},
        )

    def _wrap(self, link: asyncio.Protocol) -> asyncio.Protocol:
        return FaultyWire(link, self.faults)

    def _positions(self) -> dict[str, str]:
        held = ((row, self.venue.matching.position(row.id)) for row in self._instruments)
        return {row.symbol: str(row.to_lots(steps)) for row, steps in held if steps}

    def _open_orders_door(self) -> OrderDoor:
        owner = self._fix.sender
        door = OrderDoor(owner, self.venue, self._instruments, self._delay, self._clock)
        store = FileStore(self._folder / f"fix-{owner}.store")
        config = SessionConfig(sender=self._fix.target, target=owner, role=Role.ACCEPTOR)
        session = FixSession(config, store, self._clock, lambda kind: kind in REPLAYABLE)
        self._sessions[owner] = (session, door)
        return door

    def _open_market_door(self) -> MarketDoor:
        owner = self._fix.sender + MARKET_DATA_SUFFIX
        door = MarketDoor(self.venue, self._instruments, self._started.set)
        config = SessionConfig(
            sender=self._fix.target, target=owner, role=Role.ACCEPTOR, reset_on_logon=True
        )
        self._sessions[owner] = (FixSession(config, MemoryStore(keep=1), self._clock), door)
        return door

    async def _run_tape(self) -> None:
        """Publish and match quote by quote, once somebody listens; also after a restart."""
        await self._started.wait()
        await asyncio.sleep(SUBSCRIBE_SECS)
        loop = asyncio.get_running_loop()
        pacer = Pacer(self._config)
        while (upcoming := self.venue.tape.upcoming) is not None:
            now = loop.time()
            due = pacer.due(upcoming.ts_event, now)
            if due > now or upcoming.seq % _YIELD_EVERY == 0:
                await asyncio.sleep(max(due - now, 0.0))
            await self._wait_for_reader(loop)
            self._step()
            pacer.left(upcoming.ts_event, due)
        self.done.set()

    def _step(self) -> None:
        quote = self.venue.advance()
        self._orders.flush()
        if quote is not None:
            self._market.publish(quote)

    async def _wait_for_reader(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hold the tape for a subscriber that is behind, but hang up on one that stands still."""
        give_up = loop.time() + SLOW_CONSUMER_SECS
        while (link := self._market.link) is not None and not link.writable:
            if loop.time() > give_up:
                link.abort("slow consumer")
            await asyncio.sleep(0.001)

    async def _report(self) -> None:
        last = self.status()
        while True:
            await asyncio.sleep(STATUS_SECS)
            status = self.status()
            if status != last:
                self._write_status()
                last = status

    def _write_status(self) -> None:
        path = self._folder / STATUS_FILE
        fresh = path.with_suffix(".tmp")
        fresh.write_bytes(msgspec.json.encode(self.status()))
        fresh.replace(path)
