"""A live session in miniature: engine, FIX broker and FIX feed against a venue on the loopback.

Features and model are stubs that answer by the tape position, so that decisions are many and known.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import numpy as np

from backtest.arrivals import Arrivals, arrivals_of
from backtest.outcome import Collector, Outcome, outcome_from_journal
from core.clock import SystemClock
from core.columns import QuoteColumns, from_ticks
from core.config import DecisionConfig, FixConfig, RiskConfig, TradingConfig, VenueConfig
from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Prediction, Side
from fix.store import MemoryStore, SessionStore
from fix.transport import Backoff
from market.fix_feed import FixFeed
from trading.account import Account
from trading.brokers.fix import FixBroker, order_session
from trading.engine import TradingEngine
from trading.events import CancelOrder, SessionChanged, SubmitOrder, Timer
from trading.inbox import Inbox
from trading.journal import MemoryJournal
from trading.recording import SessionHeader, SessionReader, SessionWriter
from venue.server import LOG_FILE, VenueServer
from venue.store import read_log
from venue.tape import Tape

SYMBOLS = ("EURUSD", "USDJPY")
TRADING = TradingConfig(enabled_at_start=True, order_lots=Decimal("0.3"))
DECISION = DecisionConfig(max_quote_age_ms=60_000)
COSTS = CostModel(commission_pips=0.1)
RISK = RiskConfig(
    symbols=SYMBOLS, max_order_lots=Decimal(5), max_order_notional=Decimal(1_000_000),
    max_position_lots=Decimal(50), max_gross_notional=Decimal(20_000_000),
    max_net_notional=Decimal(20_000_000), max_currency_notional=Decimal(20_000_000),
    max_open_orders=1_000, min_equity=Decimal(1_000), collar_pips=20.0,
    max_quote_age_ms=60_000.0, duplicate_window_ms=0.001,
    max_instrument_notional=Decimal(20_000_000),
    day_loss_reducing=Decimal(10**9), day_loss_halted=Decimal(10**9),
    drawdown_reducing=Decimal(10**9), drawdown_halted=Decimal(10**9), max_orders_per_sec=1e6,
    order_burst=10**6, max_cancels_per_sec=1e6, cancel_burst=10**6, max_executions=10**6,
    executions_window_secs=60.0, max_decision_age_ms=60_000.0,
)  # fmt: skip
VENUE = VenueConfig(
    speed=0.0, max_quotes_per_sec=800.0, latency_ms=1.0, partial_ratio=0.5, reject_ratio=0.1
)


def quotes(count: int = 400) -> dict[int, QuoteColumns]:
    rng = np.random.default_rng(11)
    made = {}
    for symbol, base, pip in (("EURUSD", 1.1, 1e-4), ("USDJPY", 110.0, 1e-2)):
        terms = DEFAULT_INSTRUMENTS.by_symbol(symbol)
        ts = np.sort(rng.integers(1, 10**12, count)).astype(np.int64)
        bid = np.round(base + pip * np.cumsum(rng.normal(0, 2, count)), terms.digits)
        ask = np.round(bid + pip * rng.integers(1, 4, count) / 2, terms.digits)
        made[terms.id] = from_ticks(ts, bid, ask)
    return made


class StubParts:
    """Features and model of the live session and of its replay."""

    def __init__(self) -> None:
        self.features = self
        self.predictor = self
        self._row = np.zeros(2, np.float32)
        self.rebuilt: list[object] = []

    def update(self, quote):
        self._row[:] = quote.seq, quote.instrument
        return self._row

    def predict(self, instrument, row):
        seq = int(row[0])
        p = (0.9, 0.5, 0.1, 0.5)[(seq // 5 + instrument) % 4]
        return Prediction(p, "stub", "1", "fp", 10**10, 20.0, True)

    def rebuild(self, event):
        self.rebuilt.append(event)

    def swap(self, event):
        self.rebuilt.append(event)


@dataclass
class Venue:
    """A venue that can be stopped and started again on the same folder and port."""

    folder: Path
    config: VenueConfig = VENUE
    port: int = 0
    server: VenueServer | None = None

    async def start(self) -> None:
        tape = Tape(quotes())
        fix = FixConfig(port=self.port)
        self.server = VenueServer(tape, DEFAULT_INSTRUMENTS, self.config, fix, self.folder)
        self.port = await self.server.start()

    def arrivals(self) -> Arrivals:
        return arrivals_of(read_log(self.folder / LOG_FILE), quotes())

    async def stop(self) -> None:
        assert self.server is not None
        await self.server.close()


@dataclass
class Live:
    """One session of the live half; `journal` and `store` outlive it."""

    port: int
    path: Path
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    store: SessionStore = field(default_factory=MemoryStore)
    recovered: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        clock = SystemClock()
        config = FixConfig(port=self.port, reconnect_min_ms=10, reconnect_max_ms=50)
        self.inbox = Inbox(clock)
        self.collector = Collector()
        self._news = asyncio.Event()
        backoff = Backoff(0.01, 0.05, random.Random(1))
        self.broker = FixBroker(
            order_session(config, self.store, clock), config, DEFAULT_INSTRUMENTS,
            TRADING.account, clock, backoff, self,
        )  # fmt: skip
        self.feed = FixFeed(
            config, DEFAULT_INSTRUMENTS, SYMBOLS, clock, Backoff(0.01, 0.05, random.Random(2))
        )
        parts = StubParts()
        self.engine = TradingEngine(
            trading=TRADING, decision=DECISION, risk=RISK, costs=COSTS,
            instruments=DEFAULT_INSTRUMENTS, features=parts, predictor=parts,
            broker=self.broker, journal=self.journal, recorder=self._record,
        )  # fmt: skip
        now = clock.now_ns()
        self.engine.recover(self.recovered, now)
        header = SessionHeader(
            decision_base=self.engine.decision_ids.next_number, started_ns=now, trading=TRADING,
            decision=DECISION, risk=RISK, costs=COSTS, instruments=tuple(DEFAULT_INSTRUMENTS),
            recovered=self.recovered,
        )  # fmt: skip
        self.writer = SessionWriter(self.path, header)
        self.engine.subscribe(self.collector)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Live":
        self._tasks = [
            asyncio.create_task(self.broker.run()),
            asyncio.create_task(self.feed.run(self)),
            asyncio.create_task(self._timer()),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """End as a crash does: no logout, no farewell."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.drain()
        self.writer.close()

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(30):
            while not true():
                self._news.clear()
                await self._news.wait()

    def drain(self) -> None:
        self.inbox.drain(self.engine.process)
        self._news.set()

    def outcome(self, journal: list[bytes] | None = None) -> Outcome:
        """Sum up as another process would: orders and money by the journal."""
        account = Account(TRADING, RISK, COSTS, DEFAULT_INSTRUMENTS)
        kept = self.journal.records if journal is None else journal
        records = (*self.recovered, *kept)
        heard = self.collector.outcome(self.engine.account)
        last = [self.engine.account.marks.quote(instrument) for instrument in (0, 2)]
        seen = [quote for quote in last if quote is not None]
        return outcome_from_journal(records, account, heard.decisions, seen)

    async def tape(self, seq: int) -> None:
        """Wait until both instruments are past this tape position."""

        def there() -> bool:
            found = [self.engine.account.marks.quote(instrument) for instrument in (0, 2)]
            return all(quote is not None and quote.seq >= seq for quote in found)

        await self.until(there)

    def submit(self, key: str, instrument: int, side: Side, quantity: int, **fields) -> None:
        order = SubmitOrder(0, key, "PAPER", "manual", instrument, side, quantity, **fields)
        self.inbox.put_command(order)
        self.drain()

    def cancel(self, client_order_id: str) -> None:
        self.inbox.put_command(CancelOrder(0, client_order_id))
        self.drain()

    def _record(self, event) -> None:
        self.writer.write(event)

    async def _timer(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            self.inbox.put_command(Timer(0))
            self.drain()

    # --- broker and feed ---

    def on_session(self, up: bool, reason: str) -> None:
        self.drain()
        if up:
            for order in self.engine.account.book.open_orders():
                self.broker.request_status(order)
            self.broker.set_reconciled()
        self.inbox.put_command(SessionChanged(0, up, reason))
        self.drain()

    def on_event(self, event) -> None:
        self.inbox.put_report(event)
        self.drain()

    def on_status(self, report) -> None:
        self.on_event(report.event())

    def on_positions(self, steps) -> None:
        pass

    def on_mass_status(self, open_orders) -> None:
        pass

    def on_quote(self, quote) -> None:
        self.inbox.put_quote(quote)
        self.drain()

    def on_gap(self, gap) -> None:
        pass


def read(path: Path) -> SessionReader:
    return SessionReader(path)


@contextlib.asynccontextmanager
async def running(venue: Venue):
    await venue.start()
    try:
        yield venue
    finally:
        await venue.stop()
