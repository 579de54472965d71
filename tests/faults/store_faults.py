"""A trading engine under load with real stores behind it, and faults of those stores.

2,000 ticks and 100 orders a second, open loop. Each quote goes to the tick store and each decision,
order and fill to the ledger, by batch writers that spill to the disk. The walk is a call of
`TradingEngine.process`, with the hand-over of its rows.
"""

import contextlib
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from core.config import DecisionConfig, RiskConfig, TradingConfig
from core.costs import CostModel
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import (
    Decision,
    Fill,
    Order,
    OrderEvent,
    OrderEventKind,
    Prediction,
    Quote,
    tick,
)
from storage.batch_writer import BatchWriter
from storage.clickhouse import ClickHouseTicks
from storage.clickhouse_connection import NativeConnection
from storage.ledger_rows import Recorded
from storage.postgres import PostgresLedger
from storage.postgres_pool import PostgresPool
from storage.query_cache import size_of
from storage.row_codec import decode_quotes, decode_rows, encode_quotes, encode_rows
from storage.servers.processes import Server
from storage.spill import SpillFolder
from storage.spilling_sink import SpillingSink
from storage.tick_sink import tick_sink
from tests.redis_server import SlowWire
from trading.engine import TradingEngine
from trading.events import OrderEventIn, QuoteIn, SessionChanged
from trading.journal import FileJournal
from trading.outputs import FillUpdate, OrderUpdate, Output
from trading.scenarios import ScenarioTable

TICKS_PER_SEC = 2_000
TICKS_PER_ORDER = 20
MONDAY_NS = 1_600_100_000_000_000_000
SEC = 1_000_000_000
TIMEOUT_SECS = 1.0
FAULTS = ("down", "hung", "slow", "flapping")
LIMITS = RiskConfig(
    symbols=("EURUSD",),
    max_order_lots=Decimal(5),
    max_order_notional=Decimal(10_000_000),
    max_position_lots=Decimal(50),
    max_gross_notional=Decimal(20_000_000),
    max_net_notional=Decimal(20_000_000),
    max_currency_notional=Decimal(20_000_000),
    max_open_orders=100,
    min_equity=Decimal(1_000),
    collar_pips=20.0,
    max_quote_age_ms=5_000.0,
    duplicate_window_ms=1.0,
)


class ConstantRow:
    row = np.zeros(32, np.float32)

    def update(self, quote: Quote) -> np.ndarray:
        return self.row


class EachTwentieth:
    """Wants to buy and to sell in turn, and nothing in between."""

    def __init__(self) -> None:
        horizon = 100_000 * SEC
        self._up = Prediction(0.9, "m", "1", "fp", horizon, 20.0, True)
        self._down = Prediction(0.1, "m", "1", "fp", horizon, 20.0, True)
        self._flat = Prediction(0.5, "m", "1", "fp", horizon, 20.0, True)
        self._calls = 0

    def predict(self, instrument: int, row: np.ndarray) -> Prediction:
        self._calls += 1
        if self._calls % TICKS_PER_ORDER:
            return self._flat
        return self._up if self._calls // TICKS_PER_ORDER % 2 else self._down


class LastOrder:
    ready = True
    order: Order | None = None

    def send(self, order: Order) -> None:
        self.order = order

    def cancel(self, order: Order) -> None: ...

    def request_status(self, order: Order) -> None: ...


@dataclass
class Load:
    """The engine, the rows that it made, and the writers that they were handed to."""

    engine: TradingEngine
    broker: LastOrder
    ticks: BatchWriter[Quote]
    rows: BatchWriter[Recorded]
    sinks: tuple[SpillingSink[Quote], SpillingSink[Recorded]]
    sent: dict[type, int] = field(default_factory=lambda: dict.fromkeys((Quote, Decision, Fill), 0))
    order_ids: set[str] = field(default_factory=set)
    most_waiting: int = 0
    row_bytes: int = 0

    def hear(self, output: Output) -> None:
        row: Recorded
        if isinstance(output, Decision):
            row = output
            self.sent[Decision] += 1
        elif isinstance(output, OrderUpdate):
            row = output.order
            self.order_ids.add(row.client_order_id)
        elif isinstance(output, FillUpdate):
            row = output.fill
            self.sent[Fill] += 1
        else:
            return
        if self.sent[Decision] % 500 == 1:  # what a row weighs, with all that it holds
            self.row_bytes = max(self.row_bytes, size_of(row))
        self.rows.put(row)

    def run(self, secs: float) -> list[int]:
        """Drive the engine on schedule; returns the ns of each walk."""
        walks = []
        start, gap = perf_counter_ns(), SEC // TICKS_PER_SEC
        for number in range(int(secs * TICKS_PER_SEC)):
            while (left := start + number * gap - perf_counter_ns()) > 0:
                time.sleep(max(0.0, left / 1e9 - 5e-5))
            walks.append(self._walk())
            if number % 200 == 0:
                self.most_waiting = max(self.most_waiting, len(self.ticks) + len(self.rows))
        return walks

    def _walk(self) -> int:
        self.sent[Quote] += 1
        seq = self.sent[Quote]
        now = MONDAY_NS + seq * SEC // TICKS_PER_SEC
        quote = tick(0, seq, now, 1.1, 1.1001)
        event, self.broker.order = QuoteIn(now, quote), None
        started = perf_counter_ns()
        self.ticks.put(quote)
        self.engine.process(event)
        walked = perf_counter_ns() - started
        if self.broker.order is not None:
            self._fill(self.broker.order, now)
        return walked

    def _fill(self, order: Order, now: int) -> None:
        fill = Fill(
            "VENUE", f"{order.client_order_id}-1", order.client_order_id, 0, order.side,
            order.quantity, 110_005, now, 1,
        )  # fmt: skip
        kind = OrderEventKind.FILL
        self.engine.process(
            OrderEventIn(now, OrderEvent(order.client_order_id, kind, now, fill=fill))
        )

    def settled(self, timeout_secs: float) -> float:
        """Wait until all rows are stored; returns the seconds that it took."""
        started = time.monotonic()
        for writer, sink in zip((self.ticks, self.rows), self.sinks, strict=True):
            left = timeout_secs - (time.monotonic() - started)
            assert writer.flush(left), "rows wait in memory"
            assert sink.drained(left), f"{len(sink)} rows wait on the disk"
        return time.monotonic() - started


@contextmanager
def loaded(folder: Path, clickhouse_port: int, postgres_port: int) -> Iterator[Load]:
    """Join the engine with its stores; a connection that hangs is given up after a second."""
    with ExitStack() as stack:
        url = f"clickhouse://127.0.0.1:{clickhouse_port}/default"
        ticks = ClickHouseTicks(NativeConnection(url, timeout_secs=TIMEOUT_SECS))
        stack.callback(ticks.close)
        url = f"postgresql://postgres@127.0.0.1:{postgres_port}/postgres"
        ledger = PostgresLedger(PostgresPool(url, smallest=1, largest=4, timeout_secs=TIMEOUT_SECS))
        stack.callback(ledger.close)
        quotes = SpillFolder(folder / "ticks", encode_quotes, decode_quotes, 10**9)
        rows = SpillFolder(folder / "ledger", encode_rows, decode_rows, 10**9)
        ticks_sink = SpillingSink(tick_sink(ticks, DEFAULT_INSTRUMENTS), quotes, name="ticks")
        rows_sink = SpillingSink(ledger.record, rows, name="ledger")
        writers = BatchWriter(ticks_sink, name="tick writer"), BatchWriter(rows_sink, name="rows")
        for writer, sink in zip(writers, (ticks_sink, rows_sink), strict=True):
            writer.start()
            stack.callback(sink.close)
            stack.callback(writer.close)
        journal = FileJournal(folder / "journal")
        stack.callback(journal.close)
        broker = LastOrder()
        engine = TradingEngine(
            trading=TradingConfig(enabled_at_start=True),
            decision=DecisionConfig(),
            risk=LIMITS,
            costs=CostModel(),
            instruments=DEFAULT_INSTRUMENTS,
            features=ConstantRow(),
            predictor=EachTwentieth(),
            broker=broker,
            journal=journal,
            scenarios=ScenarioTable([], LIMITS, DEFAULT_INSTRUMENTS),
        )
        engine.process(SessionChanged(MONDAY_NS, True))
        load = Load(engine, broker, *writers, (ticks_sink, rows_sink))
        engine.subscribe(load.hear)
        yield load


@contextmanager
def fault(kind: str, server: Server, wire: SlowWire) -> Iterator[None]:
    """Have the server fail for as long as the block lasts."""
    begin: dict[str, Callable[[], object]] = {
        "down": server.kill,
        "hung": server.freeze,
        "slow": lambda: setattr(wire, "delay_secs", 2.0),
    }
    end: dict[str, Callable[[], object]] = {
        "down": server.start,
        "hung": server.thaw,
        "slow": lambda: setattr(wire, "delay_secs", 0.0),
    }
    if kind != "flapping":
        begin[kind]()
        yield
        end[kind]()
        return
    over = threading.Event()

    def flap() -> None:
        while not over.is_set():
            server.freeze()
            over.wait(1.0)
            server.thaw()
            over.wait(1.0)

    thread = threading.Thread(target=flap)
    thread.start()
    yield
    over.set()
    thread.join()


def stored(load: Load, clickhouse: Server, postgres: Server) -> dict[str, int]:
    """Rows of each kind that the stores hold, asked past the proxies."""
    connection = NativeConnection(f"clickhouse://127.0.0.1:{clickhouse.port}/default")
    ask = "SELECT count(), uniqExact((ts, sequence)) FROM market_data"
    quotes, distinct = (int(column[0]) for column in connection.select(ask))
    (bars,) = connection.select("SELECT toInt64(countMerge(ticks)) FROM bars_minute")
    connection.close()
    pool = PostgresPool(f"postgresql://postgres@127.0.0.1:{postgres.port}/postgres", smallest=1)
    counts = {
        table: pool.call(lambda one, t=table: one.fetchval(f"SELECT count(*) FROM {t}"))
        for table in ("decisions", "fills", "orders")
    }
    pool.close()
    return {"quotes": quotes, "distinct": distinct, "in_bars": int(bars[0]), **counts}


def expected(load: Load) -> dict[str, int]:
    """Rows of each kind that were handed over."""
    quotes = load.sent[Quote]
    return {
        "quotes": quotes,
        "distinct": quotes,
        "in_bars": quotes,
        "decisions": load.sent[Decision],
        "fills": load.sent[Fill],
        "orders": len(load.order_ids),
    }


def p99_us(walks: list[int]) -> float:
    return round(float(np.percentile(walks, 99)) / 1e3, 1)


def rss_mb() -> float:
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6
    return 0.0


def strike(
    load: Load, kind: str, server: Server, wire: SlowWire, *, calm_secs: float, secs: float
) -> dict[str, object]:
    """Measure a calm stretch, then one with the fault, then the return of the store."""
    calm = load.run(calm_secs)
    load.settled(60)
    memory, load.most_waiting = rss_mb(), 0
    with fault(kind, server, wire):
        during = load.run(secs)
        waiting = sum(len(sink) for sink in load.sinks) + len(load.ticks) + len(load.rows)
        grown = rss_mb() - memory
    recovery = load.settled(120)
    control, struck = p99_us(calm), p99_us(during)
    return {
        "control_p99_us": control,
        "during_p99_us": struck,
        "bar_us": round(1.25 * control + 1_000, 1),
        "p99_met": struck <= 1.25 * control + 1_000,
        "walks": len(during),
        "rows_waiting_at_return": waiting,
        "most_rows_in_memory": load.most_waiting,
        "queue_memory_mb": round(load.most_waiting * load.row_bytes / 1e6, 1),
        "process_grown_mb": round(grown, 1),
        "recovery_secs": round(recovery, 2),
        "recovery_met": recovery <= 10.0,
        "dropped": load.ticks.dropped + load.rows.dropped,
    }
