"""A session over real sockets and its replay come to the same, and a changed one does not."""

import asyncio
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from backtest.replay import Replay, replay_recording
from core.types import OrderStatus, OrderType, Side, TimeInForce
from fix.store import MemoryStore
from tests.backtest.live import VENUE, Live, StubParts, Venue, quotes, read, running
from trading.events import OrderEventIn, QuoteIn
from trading.journal import MemoryJournal
from trading.recording import SessionReader

S = OrderStatus


async def trade_by_hand(live: Live, round_number: int) -> None:
    """Send limit orders that rest near the market, and cancel some of them."""
    for instrument in (0, 2):
        mark = live.engine.account.marks.mark(instrument)
        for offset, side in ((-8, Side.BUY), (8, Side.SELL)):
            price = mark.bid_ticks + offset
            key = f"{round_number}-{instrument}-{side}"
            live.submit(
                key, instrument, side, 7, type=OrderType.LIMIT, limit_ticks=price,
                time_in_force=TimeInForce.GTC,
            )  # fmt: skip
    before = live.engine.account.marks.quote(0).seq
    await live.tape(before + 3)
    for order in live.engine.account.book.open_orders()[::2]:
        live.cancel(order.client_order_id)


async def one_session(folder: Path) -> Live:
    async with running(Venue(folder / "venue")) as venue:
        async with Live(venue.port, folder / "one.events") as live:
            for number in range(12):
                await live.tape(1 + 20 * number)
                await trade_by_hand(live, number)
            await asyncio.wait_for(venue.server.done.wait(), 30)
            live.submit("last", 0, Side.BUY, 3)
            await live.until(lambda: all(o.status in (S.ACCEPTED, S.PARTIALLY_FILLED)
                             for o in live.engine.account.book.open_orders()))  # fmt: skip
        return live


@pytest.fixture(scope="module")
def session():
    with TemporaryDirectory() as folder:
        live = asyncio.run(one_session(Path(folder)))
        yield live, read(live.path)


def test_a_replayed_session_is_equal_to_the_cent(session):
    live, recording = session
    comparison, outcome = replay_recording(recording, live.outcome(), quotes(), VENUE, StubParts())
    assert comparison.first_difference == ""
    assert comparison.equal
    assert comparison.decisions
    assert comparison.profit
    statuses = {order.status for order in outcome.orders}
    assert {S.FILLED, S.CANCELED, S.REJECTED} <= statuses
    assert comparison.counts["fills"] > 30
    assert comparison.counts["decisions"] == 800
    assert any(e.fill.exec_id.endswith("-2") for e in outcome.executions)
    assert outcome.realised != 0


def changed(recording: SessionReader, change) -> tuple:
    return tuple(change(event) for event in recording.events())


def test_another_venue_seed_is_told_apart(session):
    live, recording = session
    other = replace(VENUE, seed=VENUE.seed + 1)
    comparison, _ = replay_recording(recording, live.outcome(), quotes(), other, StubParts())
    assert not comparison.equal
    assert "venue report" in comparison.first_difference


def test_a_forged_fill_does_not_survive(session):
    _, recording = session
    done = False

    def forge(event):
        nonlocal done
        if done or not isinstance(event, OrderEventIn) or event.event.fill is None:
            return event
        done = True
        fill = msgspec.structs.replace(
            event.event.fill, price_ticks=event.event.fill.price_ticks - 1
        )
        return OrderEventIn(event.now_ns, msgspec.structs.replace(event.event, fill=fill))

    replay = Replay(recording.header, changed(recording, forge), quotes(), VENUE, StubParts())
    replay.run()
    assert done
    assert "the twin has" in replay.twin.differences[0]


def test_a_forged_quote_is_told(session):
    _, recording = session

    def forge(event):
        if isinstance(event, QuoteIn) and event.quote.seq == 100:
            return QuoteIn(event.now_ns, msgspec.structs.replace(event.quote, bid=1.0), event.act)
        return event

    replay = Replay(recording.header, changed(recording, forge), quotes(), VENUE, StubParts())
    replay.run()
    assert any("the tape has" in text for text in replay.twin.differences)


def test_another_model_gives_other_decisions_and_orders(session):
    live, recording = session

    class Contrary(StubParts):
        def predict(self, instrument, row):
            prediction = super().predict(instrument, row)
            return msgspec.structs.replace(prediction, p=1.0 - prediction.p)

    comparison, _ = replay_recording(recording, live.outcome(), quotes(), VENUE, Contrary())
    assert not comparison.decisions
    assert not comparison.orders
    assert "decision 0: session" in "".join(comparison.differences)


async def two_sessions(folder: Path) -> tuple[Live, Live]:
    """Two sessions on one journal and one venue; the first one dies with orders under way."""
    async with running(Venue(folder / "venue")) as venue:
        store, journal = MemoryStore(), MemoryJournal()
        async with Live(venue.port, folder / "one.events", journal, store) as first:
            for number in range(4):
                await first.tape(1 + 10 * number)
                await trade_by_hand(first, number)
            first.submit("under-way", 0, Side.BUY, 5)
        recovered = tuple(journal.records)
        again = MemoryJournal()
        async with Live(venue.port, folder / "two.events", again, store, recovered) as second:
            await second.until(lambda: second.broker.ready)
            for number in range(4, 8):
                await second.tape(50 + 10 * number)
                await trade_by_hand(second, number)
            await venue.stop()
            await second.until(lambda: not second.broker.ready)
            await venue.start()
            await second.until(lambda: second.broker.ready)
            for number in range(8, 10):
                await second.tape(60 + 20 * number)
                await trade_by_hand(second, number)
    return first, second


@lru_cache(maxsize=1)
def _two(folder: str) -> tuple[Live, Live]:
    return asyncio.run(two_sessions(Path(folder)))


@pytest.mark.parametrize("which", [0, 1])
def test_sessions_with_a_crash_and_a_venue_restart_replay_the_same(tmp_path_factory, which):
    live = _two(str(tmp_path_factory.getbasetemp() / "two"))[which]
    comparison, _ = replay_recording(read(live.path), live.outcome(), quotes(), VENUE, StubParts())
    assert comparison.first_difference == ""
    assert comparison.counts["fills"] > 5
