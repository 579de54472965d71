"""One tick through all fourteen steps, over real sockets: venue and serving in one process.

The venue publishes over FIX on loopback; serving's runtime is the real composition root with the
real journal, stores and model. Each step leaves its own trace, and each trace is looked at.

Of step 6 there is the champion alone: no challenger scores beside it, so nothing is looked for.
"""

import asyncio
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from core.config import TradingConfig
from core.errors import BadInput, Unavailable
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import (
    Decision,
    Direction,
    Order,
    OrderStatus,
    OrderType,
    Quote,
    Side,
    TradingState,
)
from fix.session import FixSession
from flows.scenarios_job import scenarios
from market.ring_buffer import RingBuffer
from serving.homes import homes_of
from serving.ports import OrderRequest
from serving.runtime import Runtime
from serving.streaming.hub import Wish
from serving.streaming.messages import DEFAULT_TOPICS
from serving.wiring import open_runtime
from storage.parquet import TickStore
from storage.sqlite import Ledger
from tests.e2e.stack import EAGER, SYMBOL, config_for, make_home, with_venue
from tests.serving.server import Heard
from trading.events import FeaturesRebuilt, OrderEventIn, QuoteIn
from trading.journal import FileJournal
from trading.journal_reader import read_journal
from trading.recording import SessionReader
from trading.records import Happened, Intent, decode
from venue.server import VenueServer
from venue.tape import load_tape

NEW_ORDER = re.compile(rb"\x0135=D\x01.*?\x0111=([^\x01]+)\x01")
STAGES = {"recv", "features", "predict", "decide", "risk", "journal", "send", "ack"}


async def until(condition: object, limit_secs: float = 20.0) -> None:
    async with asyncio.timeout(limit_secs):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)


@dataclass
class Traces:
    """What passed the buffer, and what was journaled and written to the wire, in this order."""

    pushed: list[int] = field(default_factory=list)
    popped: list[int] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)

    def spy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Look over the shoulder of the buffer, the journal and everything written to a socket."""
        traces, append, outgoing = self, FileJournal.append, FixSession.take_outgoing

        class SeenBuffer(RingBuffer):
            def push(self, quote: Quote) -> None:
                traces.pushed.append(quote.seq)
                super().push(quote)

            def pop(self) -> Quote | None:
                quote = super().pop()
                if quote is not None:
                    traces.popped.append(quote.seq)
                return quote

        def seen_append(journal: FileJournal, payload: bytes) -> None:
            append(journal, payload)
            record = decode(payload)
            if isinstance(record, Intent):
                traces.left.append(("journal", record.order.client_order_id))

        def seen_outgoing(session: FixSession) -> bytes:
            data = outgoing(session)
            traces.left += [("wire", name.decode()) for name in NEW_ORDER.findall(data)]
            return data

        monkeypatch.setattr("serving.admission.RingBuffer", SeenBuffer)
        monkeypatch.setattr(FileJournal, "append", seen_append)
        monkeypatch.setattr(FixSession, "take_outgoing", seen_outgoing)


def filled(runtime: Runtime) -> list[Order]:
    return [o for o in runtime.engine.account.book.orders() if o.status is OrderStatus.FILLED]


@pytest.mark.timeout(120)
def test_one_tick_walks_all_fourteen_steps(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = make_home(made, tmp_path / "home", version=EAGER)
    config = config_for(
        home,
        trading=TradingConfig(account="WALK", enabled_at_start=True),
        venue=with_venue(max_quotes_per_sec=100.0, partial_ratio=0.0, latency_ms=0.0),
    )
    assert any(row.passed for row in scenarios(config))
    heard: list[Decision] = []
    traces = Traces()
    traces.spy(monkeypatch)
    asyncio.run(_walk(config, heard))
    _check_records(config, heard)
    _check_traces(config, traces)


async def _walk(config, heard: list[Decision]) -> None:  # type: ignore[no-untyped-def]
    ts = TickStore(config.storage.ticks).read(SYMBOL).ts
    start_ns = int(ts[len(ts) // 2])
    tape = load_tape(TickStore(config.storage.ticks), DEFAULT_INSTRUMENTS, [SYMBOL], start_ns)
    folder = homes_of(config).venue
    server = VenueServer(tape, DEFAULT_INSTRUMENTS, config.venue, config.fix, folder)
    await server.start()
    try:
        async with open_runtime(config) as runtime:
            wire = Heard()
            runtime.hub.open(wire, Wish(DEFAULT_TOPICS))
            runtime.engine.subscribe(lambda o: heard.append(o) if isinstance(o, Decision) else None)
            await until(lambda: filled(runtime) and runtime.session.ready)
            _check_live(runtime, heard)
            assert {"decisions", "orders", "fills"} <= wire.topics  # 12: told to the stream
            await until(lambda: server.venue.executions == runtime.outlets.fills)
            instrument = DEFAULT_INSTRUMENTS.by_symbol(SYMBOL).id
            await until(lambda: not runtime.engine.account.book.open_orders())
            held = runtime.engine.account.portfolio.position(instrument).steps
            assert server.venue.matching.position(instrument) == held
            await _check_doors(runtime)
    finally:
        await server.close()


def _check_live(runtime: Runtime, heard: list[Decision]) -> None:
    order = filled(runtime)[0]
    quote = runtime.engine.account.marks.quote(order.instrument)
    assert quote is not None
    assert quote.ts_recv > quote.ts_event  # 1: our own stamp, years after the tape's
    assert quote.instrument == DEFAULT_INSTRUMENTS.by_symbol(SYMBOL).id  # 2
    assert runtime.admission.ring.overwritten == 0  # 3
    assert runtime.admission.rebuilds == 1  # 4, 5: cold until rebuilt from the stored tape
    decision = next(d for d in heard if d.decision_id == order.decision_id)
    assert decision.model_version == EAGER  # 6: the champion of the local copy
    assert decision.direction is not Direction.HOLD  # 7
    assert order.quantity == 10  # 8: order_lots 0.10 in steps of 0.01
    assert order.strategy == "model"
    table = runtime.engine.desk.pipeline.scenarios
    assert table is not None
    assert len(table) > 0
    assert table.counts.hits >= 1  # 8: judged ahead
    assert order.quote_seq == decision.quote_seq
    summaries = runtime.latencies()  # 14
    assert set(summaries) >= STAGES | {"tick_to_send", "tick_to_ack"}
    assert all(summaries[stage].samples > 0 for stage in STAGES)


async def _check_doors(runtime: Runtime) -> None:
    assert runtime.readiness().ready
    assert runtime.admission.is_warm(DEFAULT_INSTRUMENTS.by_symbol(SYMBOL).id)
    counts = {
        line.split()[0]: float(line.split()[1])
        for line in runtime.metrics().decode().splitlines()
        if not line.startswith("#") and "{" not in line
    }
    assert counts["tickpath_feed_received_total"] > 0
    assert counts["tickpath_task_failures_total"] == counts["tickpath_event_failures_total"] == 0
    assert counts["tickpath_scenario_hits_total"] > 0
    assert counts["tickpath_recording"] == 1
    newest, *older = runtime.orders(1_000)
    assert runtime.orders(2, newest.client_order_id) == older[:2]
    request = OrderRequest(
        key="odd", symbol=SYMBOL, side=Side.BUY, lots=Decimal("0.10"), type=OrderType.LIMIT,
        limit=Decimal("1.100006"),
    )  # fmt: skip
    with pytest.raises(BadInput, match=r"1\.100006 is not a multiple"):
        await runtime.submit(request)

    async def fails() -> None:
        raise OSError(28, "no space")

    runtime.tasks.run("models", fails())
    await until(lambda: runtime.trading_state().state is TradingState.HALTED)
    ready = runtime.readiness()
    assert not ready.ready
    assert ready.waiting_for == ["task models: [Errno 28] no space"]
    with pytest.raises(Unavailable, match="models"):
        await runtime.set_trading_state(TradingState.ACTIVE, "hoping")


def _check_traces(config, traces: Traces) -> None:  # type: ignore[no-untyped-def]
    (recording,) = homes_of(config).sessions.glob("WALK-*.events")
    events = SessionReader(recording).events()
    processed = [event.quote.seq for event in events if isinstance(event, QuoteIn)]
    assert processed  # 3: every quote that the engine took went through the buffer, in order
    assert traces.popped[: len(processed)] == processed
    assert traces.pushed[: len(traces.popped)] == traces.popped
    sent = [name for where, name in traces.left if where == "wire"]
    assert sent
    for name in sent:  # 10: the intent was in the journal before the bytes left
        assert traces.left.index(("journal", name)) < traces.left.index(("wire", name))


def _check_records(config, heard: list[Decision]) -> None:  # type: ignore[no-untyped-def]
    homes = homes_of(config)
    records = [decode(entry.payload) for entry in read_journal(homes.journal)]
    intents = [at for at, r in enumerate(records) if isinstance(r, Intent)]
    events = [at for at, r in enumerate(records) if isinstance(r, Happened)]
    assert intents  # 9 passed risk, 10 journaled
    assert intents[0] < events[0]  # 10 before 12
    with Ledger(config.storage.ledger) as ledger:  # 13
        assert ledger.scenarios("WALK")
        assert {d.decision_id for d in ledger.decisions()} == {d.decision_id for d in heard}
        assert ledger.fills()
        assert {o.status for o in ledger.orders(account="WALK")} >= {OrderStatus.FILLED}
    (recording,) = homes.sessions.glob("WALK-*.events")
    kinds = {type(event) for event in SessionReader(recording).events()}
    assert {QuoteIn, OrderEventIn, FeaturesRebuilt} <= kinds
