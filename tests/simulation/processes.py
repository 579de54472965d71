"""The two processes of a simulation, put together from the real parts as the live ones are."""

import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from core.columns import from_ticks
from core.config import DecisionConfig, FixConfig, RiskConfig, TradingConfig, VenueConfig
from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Order, Prediction, Quote
from fix.store import FileStore
from fix.transport import Backoff
from market.feed import FeedGap
from market.fix_feed import FixFeed
from serving.journal_care import recover
from serving.live import LiveLoop
from serving.order_session import OrderSession
from tests.simulation.disk import DISKS, Disk
from tests.simulation.loop import Process, VirtualLoop
from trading.brokers.fix import FixBroker, order_session
from trading.engine import TradingEngine
from trading.journal import FileJournal
from trading.reconciliation import Reconciliation
from venue.faults import FaultPlan
from venue.server import VenueServer
from venue.tape import Tape

SYMBOL = "EURUSD"
EPOCH_NS = 1_600_100_000_000_000_000  # a Monday
SECOND = 1_000_000_000
ORDER_STEPS = 10  # the model's size
POSITION_STEPS = 40
OPEN_ORDERS = 6
FIX = FixConfig(port=9_878, heartbeat_secs=2, reconnect_min_ms=20, reconnect_max_ms=500)
LIMITS = RiskConfig(
    symbols=(SYMBOL,), max_order_lots=Decimal("0.30"), max_order_notional=Decimal(1_000_000),
    max_position_lots=Decimal("0.40"), max_gross_notional=Decimal(20_000_000),
    max_net_notional=Decimal(20_000_000), max_currency_notional=Decimal(20_000_000),
    max_open_orders=OPEN_ORDERS, min_equity=Decimal(1), collar_pips=50,
    max_quote_age_ms=5_000, duplicate_window_ms=0.001, max_instrument_notional=Decimal(20_000_000),
    day_loss_reducing=Decimal(10**9), day_loss_halted=Decimal(10**9),
    drawdown_reducing=Decimal(10**9), drawdown_halted=Decimal(10**9), max_orders_per_sec=1e6,
    order_burst=10**6, max_cancels_per_sec=1e6, cancel_burst=10**6, max_executions=10**6,
    executions_window_secs=60.0, max_decision_age_ms=60_000.0,
)  # fmt: skip
TRADING = TradingConfig(
    account="SIM", enabled_at_start=True, ack_timeout_ms=400.0, order_lots=Decimal("0.10")
)
VENUE = VenueConfig(
    speed=0.0, max_quotes_per_sec=8.0, latency_ms=5.0, partial_ratio=0.5, reject_ratio=0.1
)


class SimClock:
    """Wall time that faults shift, and a monotonic clock that they cannot."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.skew_ns = 0

    def now_ns(self) -> int:
        return EPOCH_NS + int(self._loop.time() * 1e9) + self.skew_ns

    def monotonic_ns(self) -> int:
        return int(self._loop.time() * 1e9) + 1


class ConstantRow:
    """Features of no interest."""

    row = np.zeros(4, np.float32)

    def update(self, quote: Quote) -> np.ndarray:
        return self.row


class Whim:
    """A model that buys, sells or holds by the seed."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self.calls = 0

    def predict(self, instrument: int, row: np.ndarray) -> Prediction:
        self.calls += 1
        p = self._rng.choice((0.05, 0.5, 0.5, 0.95))
        return Prediction(p, "whim", "1", "fp", 2 * SECOND, 50.0, True)


class Quotes:
    """Lets quotes straight to the engine; what the feed lost is lost."""

    ring: tuple[()] = ()

    def __init__(self, live: LiveLoop) -> None:
        self._live = live

    def admit(self) -> None:
        """Nothing waits here."""

    def on_quote(self, quote: Quote) -> None:
        self._live.inbox.put_quote(quote)
        self._live.wake()

    def on_gap(self, gap: FeedGap) -> None:
        """A hole in the tape is no matter of orders."""


class Trading:
    """The trading process: journal, engine, FIX sessions, reconciliation, timers."""

    def __init__(self, folder: Path, clock: SimClock, process: Process, seed: str) -> None:
        self.process = process
        DISKS[process] = Disk()
        self.journal = FileJournal(
            folder / "journal", segment_bytes=1 << 15, stall_ms=1e12, min_free_bytes=0
        )
        process.on_kill(self.journal._let_go)
        self.live = LiveLoop(clock, self.journal)
        self.session = OrderSession(self.live)
        self.store = FileStore(folder / "orders.store")
        process.on_kill(lambda: _drop_store(self.store))
        rng = Random(f"trading/{seed}")
        self.broker = FixBroker(
            order_session(FIX, self.store, clock), FIX, DEFAULT_INSTRUMENTS, TRADING.account,
            clock, _backoff(rng), self.session, commit_on_return=False,
        )  # fmt: skip
        self.engine = TradingEngine(
            trading=TRADING, decision=DecisionConfig(margin_pips=0.0, max_spread_pips=50),
            risk=LIMITS, costs=CostModel(slippage_pips=0.0), instruments=DEFAULT_INSTRUMENTS,
            features=ConstantRow(), predictor=Whim(rng), broker=self.broker, journal=self.journal,
        )  # fmt: skip
        self.quotes = Quotes(self.live)
        self.live.attach(self.engine, self.quotes)  # type: ignore[arg-type]
        recover(self.engine, self.journal, clock)
        self.feed = FixFeed(FIX, DEFAULT_INSTRUMENTS, (SYMBOL,), clock, _backoff(rng))
        account = self.engine.account
        self.reconciliation = Reconciliation(account.book, account.portfolio)
        self.session.attach(self.broker, self.feed, self.reconciliation)

    def tasks(self) -> list[Any]:
        """What runs side by side."""
        return [
            self.live.run_timer(),
            self.session.ask_again(),
            self.broker.run(),
            self.feed.run(self.quotes),
        ]

    @property
    def broken(self) -> bool:
        """True when a disk fault has been latched: only a restart helps."""
        return not self.journal.healthy or bool(self.store._failed)

    def listen(self, hear: Any) -> None:
        self.engine.subscribe(hear)

    def on_send(self, hear: Any) -> None:
        """Call `hear` with every order right before it goes to the wire."""
        send = self.broker.send

        def heard(order: Order) -> None:
            hear(order)
            send(order)

        self.broker.send = heard  # type: ignore[method-assign]


def tape_of(seed: int, quotes: int) -> Tape:
    """A seeded walk of EURUSD, a quote each eighth of a second."""
    rng = np.random.default_rng(seed)
    bid = 1.1 + 1e-5 * np.cumsum(rng.integers(-15, 16, quotes))
    ask = bid + 1e-5 * rng.integers(2, 12, quotes)
    ts = EPOCH_NS + np.arange(1, quotes + 1, dtype=np.int64) * (SECOND // 8)
    return Tape({DEFAULT_INSTRUMENTS.by_symbol(SYMBOL).id: from_ticks(ts, bid, ask)})


class VenueProcess:
    """The venue process."""

    def __init__(
        self, folder: Path, clock: SimClock, process: Process, seed: int, quotes: int,
        faults: FaultPlan,
    ) -> None:  # fmt: skip
        self.process = process
        config = replace(VENUE, seed=seed)
        self.server = VenueServer(
            tape_of(seed, quotes), DEFAULT_INSTRUMENTS, config, FIX, folder, clock, faults
        )
        process.on_kill(self._drop)

    def _drop(self) -> None:
        self.server.venue.close()
        for session, _ in self.server._sessions.values():
            if isinstance(session._store, FileStore):
                _drop_store(session._store)


def _drop_store(store: FileStore) -> None:
    """Close the files of a killed process without writing anything."""
    if store._file >= 0:
        os.close(store._file)
        os.close(store._lock)
        store._file = -1


def _backoff(rng: Random) -> Backoff:
    return Backoff(FIX.reconnect_min_ms / 1e3, FIX.reconnect_max_ms / 1e3, rng)
