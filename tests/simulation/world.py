"""One simulated world: two processes, a caller, faults from a seed, and what must hold."""

import asyncio
import hashlib
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from unittest import mock

from core.errors import AppError
from core.types import OrderStatus, OrderType, Side, TimeInForce, TradingState
from fix.sender import Sender
from fix.store import FileStore
from tests.simulation.disk import DISKS, Disk, Killed, simulated_disk
from tests.simulation.loop import OUTSIDE, Process, VirtualLoop, run_as, start
from tests.simulation.network import Network
from tests.simulation.processes import (
    FIX,
    OPEN_ORDERS,
    ORDER_STEPS,
    POSITION_STEPS,
    SimClock,
    Trading,
    VenueProcess,
)
from trading.events import CancelOrder, SetTradingState, SubmitOrder
from trading.ids import MODEL_STRATEGY
from trading.orders import is_open
from trading.outputs import FillUpdate, OrderUpdate, StateUpdate
from venue.faults import Fault, FaultPlan, draw_windows

FAULTS_SECS = 12.0
CALLS_SECS = 14.0  # the caller goes on a little longer than the faults
SETTLE_SECS = 60.0  # after the faults, by which all must be over
QUOTES = 100
WORKING = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)


class Violation(Exception):
    """A promise that the seed has broken."""


class Outcome(NamedTuple):
    """What became of a seed.

    Attributes
    ----------
    violation : str
        Empty when everything held.
    trace : list of str
        What happened, line by line, with virtual times; the same in every run of the seed.
    counts : Counter of str
        How much of what there was.
    """

    seed: int
    violation: str
    trace: list[str]
    counts: Counter[str]

    @property
    def digest(self) -> str:
        """A hash over the trace."""
        return hashlib.blake2b("\n".join(self.trace).encode(), digest_size=8).hexdigest()


class World:
    """Owns everything of one seed."""

    def __init__(self, seed: int, folder: Path, *, per_min: float = 40.0) -> None:
        self.seed = seed
        self.folder = folder
        self.rng = Random(f"world/{seed}")
        self.loop = VirtualLoop(seed)
        self.network = Network(self.loop, seed)
        self.trace: list[str] = []
        self.counts: Counter[str] = Counter()
        self.clock = SimClock(self.loop)
        self.venue_clock = SimClock(self.loop)
        kinds = self.rng.sample(list(Fault), self.rng.randint(1, len(Fault)))
        calm = self.rng.random() < 0.1
        windows = draw_windows(seed, 0.0 if calm else per_min, FAULTS_SECS, kinds)
        self.faults = FaultPlan(windows, seed, begin=0.0)
        self.trading: Trading | None = None
        self.venue: VenueProcess | None = None
        self.starts: Counter[str] = Counter()
        self.wanted: dict[str, SubmitOrder] = {}
        self.acknowledged: dict[str, str] = {}
        self.sent: dict[str, Any] = {}
        self.halted = self.pausing = False
        self.violation = ""

    # --- processes ---

    def start_venue(self) -> None:
        self.starts["venue"] += 1
        process = Process("venue")
        venue = run_as(
            process, VenueProcess, self.folder / "venue", self.venue_clock, process, self.seed,
            QUOTES, self.faults,
        )  # fmt: skip
        self.venue = venue
        self._watch_matching(venue)
        start(self.loop, process, self._run_venue(venue))
        self.note("venue starts")

    async def _run_venue(self, venue: VenueProcess) -> None:
        await venue.server.start()
        venue.server.port = FIX.port

    def start_trading(self) -> None:
        self.starts["trading"] += 1
        process = Process("trading")
        seed = f"{self.seed}/{self.starts['trading']}"
        trading: Trading = run_as(
            process, Trading, self.folder / "trading", self.clock, process, seed
        )
        self.trading = trading
        trading.listen(self._hear)
        trading.on_send(self._on_send)
        for work in run_as(process, trading.tasks):
            start(self.loop, process, work)
        self.note("trading starts")

    def kill(self, name: str) -> None:
        found = self.trading if name == "trading" else self.venue
        if found is not None and found.process.alive:
            self.note(f"kill {name}")
            found.process.kill()

    # --- what is seen ---

    def note(self, text: str) -> None:
        self.trace.append(f"{self.loop.time():10.6f} {text}")

    def fail(self, text: str) -> None:
        if not self.violation:
            self.violation = text
            self.note(f"VIOLATION {text}")

    def _hear(self, output: object) -> None:
        if isinstance(output, OrderUpdate):
            order = output.order
            self.counts[f"order {order.status}"] += 1
            self.note(f"  {order.client_order_id} {order.status} {order.filled}/{order.quantity}")
        elif isinstance(output, FillUpdate):
            self.counts["fills"] += 1
        elif isinstance(output, StateUpdate):
            self.note(f"  state {output.state}: {output.reason}")
            self._judge_halt(output)

    def _judge_halt(self, update: StateUpdate) -> None:
        """Only a failed disk and the caller may halt."""
        excused = update.who == "caller" or "journal" in update.reason
        if update.state is TradingState.HALTED and not excused:
            self.fail(f"trading halted itself: {update.reason}")

    def _on_send(self, order: Any) -> None:
        """See an order right before it goes to the wire."""
        self.counts["sent"] += 1
        if self.halted and order.strategy == MODEL_STRATEGY:
            self.fail(f"the model sent {order.client_order_id} though trading was halted")
        known = self.sent.setdefault(order.key, order)
        if known.client_order_id != order.client_order_id:
            self.fail(f"key {order.key} was sent under two ids")
        elif known is not order:
            self.fail(f"order {order.client_order_id} was sent twice")

    def _watch_matching(self, venue: VenueProcess) -> None:
        """Look at the venue's truth after everything that changes it."""
        state, matching = venue.server.venue, venue.server.venue.matching
        for owner, name in ((state, "submit"), (state, "advance")):
            act = getattr(owner, name)

            def watched(*args: Any, act: Callable[..., Any] = act) -> Any:
                done = act(*args)
                self._check_limits(matching)
                return done

            setattr(owner, name, watched)

    def _check_limits(self, matching: Any) -> None:
        entries = matching._entries.values()
        open_entries = [entry for entry in entries if entry.is_open]
        position = matching.position(0)
        buys = sum(e.leaves for e in open_entries if e.order.side is Side.BUY)
        sells = sum(e.leaves for e in open_entries if e.order.side is Side.SELL)
        if position + buys > POSITION_STEPS or position - sells < -POSITION_STEPS:
            self.fail(f"limit breached at the venue: {position} +{buys} -{sells} lot steps")
        if len(open_entries) > OPEN_ORDERS:
            self.fail(f"{len(open_entries)} open orders at the venue")
        models = [e for e in entries if self._is_model(e.order.client_order_id)]
        held = sum(e.order.side.sign * e.filled for e in models)
        coming = [e.order.side.sign * e.leaves for e in models if e.is_open]
        worst = max(held + sum(c for c in coming if c > 0), -held - sum(c for c in coming if c < 0))
        if worst > ORDER_STEPS:
            self.fail(f"the model has {held} lot steps and {coming} on the way, wants 10 at most")

    def _is_model(self, client_order_id: str) -> bool:
        found = next((o for o in self.sent.values() if o.client_order_id == client_order_id), None)
        return found is not None and found.strategy == MODEL_STRATEGY

    def watch_numbers(self) -> Any:
        """Look at every number that a durable session gives out: none may be given twice."""
        send, fail = Sender.send, self.fail
        used: set[tuple[str, int]] = set()

        def watched(sender: Sender, msg_type: bytes, body: bytes) -> int:
            seq = send(sender, msg_type, body)
            if isinstance(sender._store, FileStore):
                number = (sender._address.decode("latin-1"), seq)
                if number in used:
                    fail(f"number {seq} was given out twice: {number[0]!r}")
                used.add(number)
            return seq

        return mock.patch.object(Sender, "send", watched)

    # --- the caller ---

    async def call(self) -> None:
        """Send orders, repeat some, cancel some, until the faults are over."""
        rng = self.rng
        while self.loop.time() < CALLS_SECS:
            await asyncio.sleep(rng.expovariate(3.0))
            draw = rng.random()
            if draw < 0.55:
                await self._submit(self._new_order())
            elif draw < 0.7 and self.wanted:
                await self._submit(rng.choice(list(self.wanted.values())))
            elif draw < 0.95:
                await self._cancel_one()
            else:
                await self._pause(rng.uniform(0.1, 3.0))

    async def _pause(self, secs: float) -> None:
        """Halt; from the answer on the model sends nothing, over any restart."""
        self.pausing = True
        if await self._set_state(TradingState.HALTED, "a pause"):
            self.halted = True
            await asyncio.sleep(secs)
        self.halted = self.pausing = False
        await self._set_state(TradingState.ACTIVE, "go on")

    async def _set_state(self, state: TradingState, reason: str) -> bool:
        """Return whether the engine took it."""
        event = SetTradingState(0, state, reason, "caller")
        return await self._ask(event, self) is not self

    def _new_order(self) -> SubmitOrder:
        rng = self.rng
        kind = rng.choice((OrderType.MARKET, OrderType.LIMIT))
        tif = rng.choice((TimeInForce.IOC, TimeInForce.FOK, TimeInForce.GTC))
        order = SubmitOrder(
            0, f"key-{len(self.wanted)}", "SIM", "manual", 0, rng.choice((Side.BUY, Side.SELL)),
            rng.choice((1, 5, 10, 20)), kind,
            110_000 + rng.randint(-60, 60) if kind is OrderType.LIMIT else 0,
            tif if kind is OrderType.LIMIT else TimeInForce.IOC,
        )  # fmt: skip
        self.wanted[order.key] = order
        return order

    async def _submit(self, order: SubmitOrder) -> None:
        done = await self._ask(order)
        if done is None:
            return
        self.counts["answered"] += 1
        if done.conflict:
            self.fail(f"{order.key} repeated is called a conflict")
        elif done.refused is None:
            name = done.order.client_order_id
            if self.acknowledged.setdefault(order.key, name) != name:
                self.fail(f"{order.key} was acknowledged under two ids")

    async def _cancel_one(self) -> None:
        trading = self.trading
        if trading is None or not trading.process.alive:
            return
        working = [o for o in trading.engine.account.book.open_orders() if o.strategy == "manual"]
        if working:
            await self._ask(CancelOrder(0, self.rng.choice(working).client_order_id))

    async def _ask(self, event: Any, refused: Any = None) -> Any:
        """Give a command to the trading process; `refused` when it says no or does not answer."""
        trading = self.trading
        if trading is None or not trading.process.alive:
            return refused
        outcome = run_as(trading.process, trading.live.command, event)
        try:
            async with asyncio.timeout(1.0):
                return await outcome
        except (AppError, TimeoutError, Killed):
            return refused

    # --- who keeps it running ---

    async def tend(self) -> None:
        """Start what died, restart what has a broken disk, let trading go on after a halt."""
        while True:
            await asyncio.sleep(0.25)
            if self.venue is None or not self.venue.process.alive:
                await asyncio.sleep(self.rng.uniform(0.05, 1.5))
                self.start_venue()
            if self.trading is None or not self.trading.process.alive:
                await asyncio.sleep(self.rng.uniform(0.05, 1.5))
                self.start_trading()
            elif self.trading.broken:
                self.note("disk is broken")
                await asyncio.sleep(self.rng.uniform(0.1, 1.0))
                self.kill("trading")
            elif not self.pausing and self._is_halted():
                await asyncio.sleep(1.0)
                if not self.pausing:
                    await self._set_state(TradingState.ACTIVE, "tended")

    def _is_halted(self) -> bool:
        trading = self.trading
        return trading is not None and trading.engine.account.states.state is TradingState.HALTED

    async def disturb(self) -> None:
        """Faults of disk, clock and processes; those of the wire are the venue's plan."""
        rng = self.rng
        often = rng.choice((0.0, 0.2, 0.6))
        while often:
            await asyncio.sleep(rng.expovariate(often))
            if self.loop.time() > FAULTS_SECS:
                return
            rng.choice((self._kill_trading, self._kill_trading, self._kill_at_a_write,
                        self._kill_at_a_write, self._kill_venue, self._fail_disk,
                        self._jump))()  # fmt: skip

    def _kill_trading(self) -> None:
        self.counts["kills"] += 1
        self.kill("trading")

    def _kill_venue(self) -> None:
        self.counts["venue kills"] += 1
        self.kill("venue")

    def _kill_at_a_write(self) -> None:
        disk = self._disk()
        if disk is not None:
            self.counts["kills at a write"] += 1
            disk.kill_in, disk.kill_after = self.rng.randint(1, 12), self.rng.random() < 0.5

    def _fail_disk(self) -> None:
        disk = self._disk()
        if disk is not None:
            self.counts["disk faults"] += 1
            field = self.rng.choice(("fail_writes", "cut_writes", "fail_syncs"))
            setattr(disk, field, 1)
            self.note(f"disk: {field}")

    def _jump(self) -> None:
        self.counts["clock jumps"] += 1
        clock = self.rng.choice((self.clock, self.venue_clock))
        clock.skew_ns = int(self.rng.choice((-200, -10, -1, 1, 10, 200)) * 1e9)
        self.note(f"clock jumps to {clock.skew_ns / 1e9:+g} s")

    def _disk(self) -> Disk | None:
        return DISKS.get(self.trading.process) if self.trading is not None else None

    # --- the end ---

    async def settle(self) -> None:
        """Wait for the end of the faults, cancel what rests, and wait for everything to be over."""
        await asyncio.sleep(FAULTS_SECS)
        self.clock.skew_ns = self.venue_clock.skew_ns = 0
        for disk in DISKS.values():
            disk.kill_in = disk.fail_writes = disk.cut_writes = disk.fail_syncs = 0
        self.note("faults are over")
        await asyncio.sleep(CALLS_SECS - FAULTS_SECS + 3.0)
        while self.loop.time() < FAULTS_SECS + SETTLE_SECS and not self.violation:
            await self._wind_down()
            await asyncio.sleep(0.5)
            if not self._unsettled():
                return
        if not self.violation:
            self.fail(f"not over {SETTLE_SECS:g} s after the faults: {self._unsettled()}")

    async def _wind_down(self) -> None:
        trading = self.trading
        if trading is None or not trading.process.alive:
            return
        self.tended.cancel()
        await self._set_state(TradingState.HALTED, "closing time")
        for order in trading.engine.account.book.open_orders():
            if order.status in WORKING:
                await self._ask(CancelOrder(0, order.client_order_id))

    def _unsettled(self) -> str:
        trading, venue = self.trading, self.venue
        if trading is None or not trading.process.alive or venue is None:
            return "trading is not up"
        if not trading.session.ready:
            return f"not reconciled: {trading.session.state} {trading.reconciliation.waiting_for}"
        open_orders = [o for o in trading.engine.account.book.orders() if is_open(o)]
        if open_orders:
            return f"open: {[(o.client_order_id, o.status.value) for o in open_orders]}"
        state = venue.server.venue
        if state.matching.open_orders():
            return "open at the venue"
        if state.pending(FIX.sender):
            return "reports are not delivered"
        return ""

    def check_end(self) -> None:
        """Compare the books of both sides, order by order."""
        trading, venue = self.trading, self.venue
        assert trading is not None
        assert venue is not None
        if trading.live.failures:
            self.fail(f"{trading.live.failures} unforeseen failures")
        book, matching = trading.engine.account.book, venue.server.venue.matching
        self._compare(book, matching)
        for key, name in self.acknowledged.items():
            if book.get(name) is None:
                self.fail(f"{key} was acknowledged and is lost")
        before = _state(trading)
        self.kill("trading")
        self.start_trading()
        assert self.trading is not None
        if _state(self.trading) != before:
            self.fail("the journal's replay gives another account")

    def _compare(self, book: Any, matching: Any) -> None:
        ours = {o.client_order_id: o for o in book.orders() if o.status is not OrderStatus.DENIED}
        for name, entry in matching._entries.items():
            order = ours.get(name)
            if order is None:
                self.fail(f"{name} is at the venue and not in the book")
            elif (order.filled, order.filled_value) != (entry.filled, entry.value):
                self.fail(f"{name}: {order.filled} filled in the book, {entry.filled} at the venue")
            elif order.status != entry.status:
                self.fail(f"{name}: {order.status} in the book, {entry.status} at the venue")
        for name, order in ours.items():
            if name not in matching._entries and order.filled:
                self.fail(f"{name} is filled and never came to the venue")
        assert self.trading is not None
        steps = self.trading.engine.account.portfolio.steps().get(0, 0)
        if steps != matching.position(0):
            self.fail(f"position {steps} in the book, {matching.position(0)} at the venue")

    async def run(self) -> None:
        self.start_venue()
        self.start_trading()
        self.tended = start(self.loop, OUTSIDE, self.tend())
        others = [start(self.loop, OUTSIDE, work) for work in (self.call(), self.disturb())]
        try:
            await self.settle()
            if not self.violation:
                self.check_end()
        finally:
            for task in (self.tended, *others):
                task.cancel()
            await asyncio.gather(self.tended, *others, return_exceptions=True)

    def end(self) -> None:
        """Kill what lives and let nothing linger."""
        for found in (self.trading, self.venue):
            if found is not None and found.process.alive:
                found.process.kill()
        for task in asyncio.all_tasks(self.loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]


def _state(trading: Trading) -> tuple[Any, ...]:
    account = trading.engine.account
    orders = [
        (o.client_order_id, o.status.value, o.filled, o.filled_value) for o in account.book.orders()
    ]
    return sorted(orders), account.portfolio.steps(), account.portfolio.balance


def simulate(seed: int, **settings: Any) -> Outcome:
    """Play one seed from the beginning to the end."""
    shared = Path("/dev/shm")  # nothing here need survive the machine
    folder = Path(tempfile.mkdtemp(prefix="sim-", dir=shared if shared.is_dir() else None))
    logging.disable(logging.CRITICAL)
    world = World(seed, folder, **settings)
    asyncio.set_event_loop(world.loop)
    try:
        with simulated_disk(), world.watch_numbers():
            try:
                world.loop.run_until_complete(world.run())
            except Exception as error:  # noqa: BLE001 - the seed has found something
                world.fail(f"{type(error).__name__}: {error}")
            finally:
                world.end()
        errors = [text for text in world.loop.errors if "Killed" not in text]
        if errors:
            world.fail(f"unhandled on the loop: {errors[0]}")
    finally:
        logging.disable(logging.NOTSET)
        asyncio.set_event_loop(None)
        world.loop.close()
        shutil.rmtree(folder, ignore_errors=True)
    world.counts.update({f"fault {fault.value}": n for fault, n in world.faults.met.items()})
    return Outcome(seed, world.violation, world.trace, world.counts)
