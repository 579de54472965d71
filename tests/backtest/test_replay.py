"""A session over real sockets and its replay come to the same, and a changed one does not."""

import asyncio
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from backtest.arrivals import Arrivals
from backtest.outcome import Comparison
from backtest.replay import Replay, replay_recording
from core.types import (
    OrderEvent,
    OrderEventKind,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from fix.store import MemoryStore
from tests.backtest.live import VENUE, Live, StubParts, Venue, quotes, read, running
from trading.events import OrderEventIn, QuoteIn
from trading.journal import MemoryJournal
from trading.recording import SessionReader
from trading.records import Happened, decode, encode

S = OrderStatus
K = OrderEventKind


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


async def one_session(folder: Path) -> tuple[Live, Arrivals]:
    async with running(Venue(folder / "venue")) as venue:
        async with Live(venue.port, folder / "one.events") as live:
            for number in range(12):
                await live.tape(1 + 20 * number)
                await trade_by_hand(live, number)
            await asyncio.wait_for(venue.server.done.wait(), 30)
            live.submit("last", 0, Side.BUY, 3)
            await live.until(lambda: all(o.status in (S.ACCEPTED, S.PARTIALLY_FILLED)
                             for o in live.engine.account.book.open_orders()))  # fmt: skip
        return live, venue.arrivals()


@pytest.fixture(scope="module")
def session():
    with TemporaryDirectory() as folder:
        live, arrivals = asyncio.run(one_session(Path(folder)))
        yield live, read(live.path), arrivals


def test_a_replayed_session_is_equal_to_the_cent(session):
    live, recording, arrivals = session
    comparison, outcome = replay_recording(
        recording, live.outcome(), quotes(), VENUE, arrivals, StubParts()
    )
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
    live, recording, arrivals = session
    other = replace(VENUE, seed=VENUE.seed + 1)
    comparison, _ = replay_recording(
        recording, live.outcome(), quotes(), other, arrivals, StubParts()
    )
    assert not comparison.equal
    assert "venue report" in comparison.first_difference


def test_a_forged_fill_does_not_survive(session):
    _, recording, arrivals = session
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

    replay = Replay(
        recording.header, changed(recording, forge), quotes(), VENUE, arrivals, StubParts()
    )
    replay.run()
    assert done
    assert "the twin has" in replay.twin.differences[0]


def test_a_forged_quote_is_told(session):
    _, recording, arrivals = session

    def forge(event):
        if isinstance(event, QuoteIn) and event.quote.seq == 100:
            return QuoteIn(event.now_ns, msgspec.structs.replace(event.quote, bid=1.0), event.act)
        return event

    replay = Replay(
        recording.header, changed(recording, forge), quotes(), VENUE, arrivals, StubParts()
    )
    replay.run()
    assert any("the tape has" in text for text in replay.twin.differences)


class Told:
    """The session, had the venue's reports come as `change` has them, or not at all for None.

    Recording and journal agree on it, as they do when a report is lost on its way.
    """

    def __init__(self, session, change) -> None:
        self._live, recording, self._arrivals = session
        self._change = change
        self.header = recording.header
        self._recorded = list(recording.events())

    def events(self):
        for event in self._recorded:
            if not isinstance(event, OrderEventIn):
                yield event
            elif (told := self._change(event.event)) is not None:
                yield OrderEventIn(event.now_ns, told)

    def compared(self) -> Comparison:
        expected = self._live.outcome(list(self._journal()))
        return replay_recording(
            self, expected, quotes(), VENUE, self._arrivals, StubParts(), decisions=False
        )[0]

    def _journal(self):
        for payload in self._live.journal.records:
            record = decode(payload)
            if not isinstance(record, Happened):
                yield payload
            elif (told := self._change(record.event)) is not None:
                yield encode(msgspec.structs.replace(record, event=told))


def by_hand(live: Live, kind: OrderEventKind) -> list[OrderEvent]:
    """Last reports of orders that were sent by hand, where they are of this kind."""
    book = live.engine.account.book
    last = {
        event.client_order_id: event
        for event in read(live.path).events()
        if isinstance(event, OrderEventIn)
        for event in (event.event,)
    }
    return [e for n, e in last.items() if e.kind is kind and book.get(n).strategy == "manual"]


def unreached(found: Comparison) -> list[str]:
    """Differences that name a lost report; what the loss led to may be named before it."""
    return [text for text in found.differences if "it never reached the session" in text]


@pytest.mark.parametrize("kind", [K.FILL, K.CANCEL])
def test_a_report_that_never_came_is_missed(session, kind):
    lost = by_hand(session[0], kind)[0]
    found = Told(session, lambda event: None if event == lost else event).compared()
    assert any(lost.client_order_id in text for text in unreached(found))


def test_an_order_of_which_nothing_was_heard_is_missed(session):
    name = by_hand(session[0], K.FILL)[0].client_order_id
    silent = Told(session, lambda event: None if event.client_order_id == name else event)
    assert unreached(silent.compared())


def test_a_rejection_that_the_venue_never_made_is_told(session):
    filled = by_hand(session[0], K.FILL)[0]
    first = True

    def forge(event):
        nonlocal first
        if event.client_order_id != filled.client_order_id or event.kind is K.SUBMIT:
            return event
        told, first = first, False
        return OrderEvent(event.client_order_id, K.REJECT, 0, reason="made up") if told else None

    events = Told(session, forge)
    replay = Replay(events.header, events.events(), quotes(), VENUE, session[2], StubParts())
    replay.run()
    assert "made up" in replay.twin.differences[0]
    assert "the twin has" in replay.twin.differences[0]


def test_an_order_that_the_venue_took_otherwise_is_told(session):
    live, recording, arrivals = session
    name, arrival = next(iter(arrivals.orders.items()))
    other = msgspec.structs.replace(arrival.order, quantity=arrival.order.quantity + 1)
    taken = Arrivals({**arrivals.orders, name: arrival._replace(order=other)}, arrivals.cancels)
    found, _ = replay_recording(recording, live.outcome(), quotes(), VENUE, taken, StubParts())
    assert "the venue took" in found.first_difference


def test_another_model_gives_other_decisions_and_orders(session):
    live, recording, arrivals = session

    class Contrary(StubParts):
        def predict(self, instrument, row):
            prediction = super().predict(instrument, row)
            return msgspec.structs.replace(prediction, p=1.0 - prediction.p)

    comparison, _ = replay_recording(
        recording, live.outcome(), quotes(), VENUE, arrivals, Contrary()
    )
    assert not comparison.decisions
    assert not comparison.orders
    assert "decision 0: session" in "".join(comparison.differences)


async def two_sessions(folder: Path) -> tuple[tuple[Live, Live], Arrivals]:
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
    return (first, second), venue.arrivals()


@lru_cache(maxsize=1)
def _two(folder: str) -> tuple[tuple[Live, Live], Arrivals]:
    return asyncio.run(two_sessions(Path(folder)))


@pytest.mark.parametrize("which", [0, 1])
def test_sessions_with_a_crash_and_a_venue_restart_replay_the_same(tmp_path_factory, which):
    lives, arrivals = _two(str(tmp_path_factory.getbasetemp() / "two"))
    live = lives[which]
    comparison, _ = replay_recording(
        read(live.path), live.outcome(), quotes(), VENUE, arrivals, StubParts()
    )
    assert comparison.first_difference == ""
    assert comparison.counts["fills"] > 5
