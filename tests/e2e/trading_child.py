"""The trading process alone: engine, journal and FIX sessions, started by fork in milliseconds.

``python -m tests.e2e.trading_child <socket>`` imports everything once, then forks a child for every
plan that it reads from standard input. A child reports to the socket, one JSON object a line.
"""

import asyncio
import json
import os
import random
import signal
import socket
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from core.clock import SystemClock
from core.config import DecisionConfig, FixConfig, RiskConfig, TradingConfig
from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import OrderStatus, OrderType, Quote, Side, TimeInForce
from fix.store import FileStore
from fix.transport import Backoff
from market.feed import FeedGap
from market.fix_feed import FixFeed
from serving.journal_care import JournalCare, recover
from serving.live import LiveLoop
from serving.order_session import OrderSession
from tests.e2e.steps import Death, Steps
from trading.brokers.fix import FixBroker, order_session
from trading.engine import TradingEngine
from trading.events import CancelOrder, SubmitOrder
from trading.journal import FileJournal
from trading.pipeline import Submission
from trading.reconciliation import Reconciliation
from trading.transitions import IN_DOUBT

ACCOUNT, SYMBOL = "TEST", "EURUSD"
LIMITS = RiskConfig(
    symbols=(SYMBOL,), max_order_lots=Decimal(5), max_order_notional=Decimal(1_000_000),
    max_position_lots=Decimal(500), max_gross_notional=Decimal(200_000_000),
    max_net_notional=Decimal(200_000_000), max_currency_notional=Decimal(200_000_000),
    max_open_orders=100_000, min_equity=Decimal(1_000), collar_pips=2,
    max_quote_age_ms=60_000, duplicate_window_ms=0.001,
    max_instrument_notional=Decimal(200_000_000),
    day_loss_reducing=Decimal(10**9), day_loss_halted=Decimal(10**9),
    drawdown_reducing=Decimal(10**9), drawdown_halted=Decimal(10**9), max_orders_per_sec=1e6,
    order_burst=10**6, max_cancels_per_sec=1e6, cancel_burst=10**6, max_executions=10**7,
    executions_window_secs=60.0, max_decision_age_ms=60_000.0,
)  # fmt: skip
TRADING = TradingConfig(
    account=ACCOUNT, enabled_at_start=True, ack_timeout_ms=300.0, balance=Decimal(100_000_000)
)
WORKING = (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)


class NoModel:
    """No features and no model: orders come from the script."""

    def update(self, quote: Quote) -> None:
        return None

    def predict(self, instrument: int, row: object) -> None:
        return None


class Trading:
    """One life of the trading process."""

    def __init__(self, plan: dict[str, Any], report: socket.socket) -> None:
        self._plan = plan
        self._report = report
        self._home = Path(plan["home"])
        self._news = asyncio.Event()
        clock, fix = SystemClock(), FixConfig(port=plan["port"], reconnect_min_ms=5)
        self.journal = FileJournal(
            self._home / "journal", strict=plan["strict"], segment_bytes=8 << 10,
            min_free_bytes=0,
        )  # fmt: skip
        self.live = LiveLoop(clock, self.journal)
        self.session = OrderSession(self.live)
        rng = random.Random(os.getpid())
        self.store = FileStore(self._home / "orders.store", compact_bytes=1 << 20)
        self.broker = FixBroker(
            order_session(fix, self.store, clock), fix, DEFAULT_INSTRUMENTS, ACCOUNT, clock,
            Backoff(0.005, 0.05, rng), self.session, commit_on_return=False,
        )  # fmt: skip
        nothing: Any = NoModel()
        self.engine = TradingEngine(
            trading=TRADING, decision=DecisionConfig(), risk=LIMITS,
            costs=CostModel(slippage_pips=0.0), instruments=DEFAULT_INSTRUMENTS,
            features=nothing, predictor=nothing, broker=self.broker, journal=self.journal,
        )  # fmt: skip
        self.live.attach(self.engine, None)  # type: ignore[arg-type]
        recover(self.engine, self.journal, clock)
        self.feed = FixFeed(fix, DEFAULT_INSTRUMENTS, (SYMBOL,), clock, Backoff(0.005, 0.05, rng))
        account = self.engine.account
        self.session.attach(self.broker, self.feed, Reconciliation(account.book, account.portfolio))
        self.live.after_drain(self._news.set)
        self.care = JournalCare(self.journal, self.engine, 25)

    # --- market.feed.QuoteSink ---

    def on_quote(self, quote: Quote) -> None:
        self.live.inbox.put_quote(quote)
        self.live.wake()

    def on_gap(self, gap: FeedGap) -> None:
        pass

    # --- the script ---

    async def run(self, started: float) -> None:
        work = (
            self.broker.run(), self.feed.run(self), self.live.run_timer(),
            self.session.ask_again(), self.care.run(),
        )  # fmt: skip
        tasks = [asyncio.create_task(one) for one in work]
        await self._until(lambda: self.session.ready and self._quoted)
        self.tell(what="ready", secs=time.monotonic() - started)
        await self._until(lambda: not self._in_doubt)
        self.tell(what="settled", secs=time.monotonic() - started, **self._state())
        self.tell(what="id", id=self.engine.decision_ids.take())
        if self._plan["orders"]:
            await self._trade()
        else:
            await self._close_all()
        self.tell(what="done", **self._state())
        await asyncio.gather(*tasks)

    async def _trade(self) -> None:
        rng = random.Random(self._plan["cycle"])
        for number in range(self._plan["orders"]):
            key = f"{self._plan['cycle']}-{number}"
            submission = await self.live.command(some_order(rng, key, self._mid))
            assert isinstance(submission, Submission)
            if submission.refused is None:
                name = submission.order.client_order_id
                self.tell(what="acknowledged", key=key, id=name)
                if submission.order.time_in_force is TimeInForce.GTC and rng.random() < 0.6:
                    await self.live.command(CancelOrder(0, name))
            else:
                self.tell(what="refused", check=submission.refused.check)
            await asyncio.sleep(0.005)
        await self._until(lambda: not self._in_doubt)

    async def _close_all(self) -> None:
        for order in self.engine.account.book.open_orders():
            await self.live.command(CancelOrder(0, order.client_order_id))
        await self._until(lambda: not self.engine.account.book.open_count)

    async def _until(self, true: Any) -> None:
        while not true():
            self._news.clear()
            await self._news.wait()

    @property
    def _quoted(self) -> bool:
        return self.engine.account.marks.quote(0) is not None

    @property
    def _mid(self) -> int:
        mark = self.engine.account.marks.mark(0)
        assert mark is not None
        return (mark.bid_ticks + mark.ask_ticks) // 2

    @property
    def _in_doubt(self) -> bool:
        return any(o.status in IN_DOUBT for o in self.engine.account.book.open_orders())

    def _state(self) -> dict[str, Any]:
        book, account = self.engine.account.book, self.engine.account
        return {
            "keys": {order.key: order.client_order_id for order in book.orders()},
            "filled": {order.client_order_id: order.filled for order in book.orders()},
            "open": [order.client_order_id for order in book.open_orders()],
            "position": account.portfolio.position(0).steps,
            "state": account.states.state,
            "reason": account.states.reason,
            "inferred": self.session.inferred_fills,
        }

    def tell(self, **what: Any) -> None:
        self._report.sendall(json.dumps({"cycle": self._plan["cycle"], **what}).encode() + b"\n")


def some_order(rng: random.Random, key: str, mid: int) -> SubmitOrder:
    """An IOC at the market, or a limit order that rests close to the market or far from it.

    The collar, which is where an IOC at the market goes out, ends before those that rest far away:
    else it would meet one of ours, and be refused.
    """
    side = rng.choice((Side.BUY, Side.SELL))
    quantity = rng.randint(2, 11)
    if rng.random() < 0.5:
        return SubmitOrder(
            0, key, ACCOUNT, "manual", 0, side, quantity, time_in_force=TimeInForce.IOC
        )
    limit = mid - side.sign * rng.choice((3, 300, 300, 300))
    return SubmitOrder(
        0, key, ACCOUNT, "manual", 0, side, quantity, OrderType.LIMIT, limit, TimeInForce.GTC
    )


def live_once(plan: dict[str, Any], address: str) -> None:
    """Be the child: trade by the plan until killed."""
    started = time.monotonic()
    with socket.socket(socket.AF_UNIX) as report:
        report.connect(address)
        death = None if plan["death"] is None else Death(*plan["death"])
        steps = Steps(death)
        steps.install()

        async def main() -> None:
            trading = Trading(plan, report)
            if plan["count"]:
                asyncio.get_running_loop().add_signal_handler(
                    signal.SIGUSR1, lambda: trading.tell(what="steps", counts=dict(steps.counts))
                )
            await trading.run(started)

        asyncio.run(main())


def main() -> None:
    """Fork a child for each line of standard input; tell its pid, and how it ended."""
    address = sys.argv[1]
    for line in sys.stdin:
        plan = json.loads(line)
        pid = os.fork()
        if pid == 0:
            live_once(plan, address)
            os._exit(0)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"ended": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
