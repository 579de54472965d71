"""The live feed against a small venue on the loopback, and its counting quote by quote."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from core.clock import ManualClock, SystemClock
from core.config import FixConfig
from core.instruments import DEFAULT_INSTRUMENTS as TABLE
from core.types import Quote, tick
from fix import market_data
from fix.codec import FrameDecoder, Message, frame
from fix.events import PeerReject, Role, SessionConfig
from fix.session import FixSession
from fix.store import MemoryStore
from fix.transport import Acceptor, Backoff, Link
from market.feed import FeedGap
from market.fix_feed import FixFeed

T0 = 1_700_000_000_000_000_000


class Sink:
    def __init__(self) -> None:
        self.heard: list[Quote | FeedGap] = []
        self.queue: asyncio.Queue[Quote | FeedGap] = asyncio.Queue()

    def on_quote(self, quote: Quote) -> None:
        self.heard.append(quote)
        self.queue.put_nowait(quote)

    def on_gap(self, gap: FeedGap) -> None:
        self.heard.append(gap)
        self.queue.put_nowait(gap)


class Venue:
    """Answers each subscription with one snapshot, or a refusal for XAUUSD."""

    def __init__(self) -> None:
        self.seq = 1
        self.link: Link | None = None
        agreed = SessionConfig(
            sender="VENUE", target="TICKPATH-MD", role=Role.ACCEPTOR, reset_on_logon=True
        )
        self.session = FixSession(agreed, MemoryStore(), SystemClock())
        self.acceptor = Acceptor({"TICKPATH-MD": (self.session, self)}.get)

    def on_up(self, link: Link, recovered: bool) -> None:
        self.link = link

    def on_message(self, link: Link, message: Message, replayed: bool) -> None:
        request = market_data.parse_subscription(message)
        (symbol,) = request.symbols
        if symbol == "XAUUSD":
            refusal = market_data.build_market_data_reject(request.request_id, "closed")
            link.send(b"Y", refusal)
        else:
            instrument = TABLE.by_symbol(symbol)
            quote = tick(instrument.id, self.seq, T0, 1.1, 1.2)
            link.send(b"W", market_data.build_snapshot(quote, instrument))

    def publish(self, seq: int) -> None:
        assert self.link is not None
        self.seq = seq
        quote = tick(0, seq, T0 + seq, 1.1, 1.2)
        self.link.send(b"X", market_data.build_incremental(quote, TABLE[0]))

    def on_reject(self, link: Link, reject: PeerReject) -> None: ...

    def on_down(self, link: Link, reason: str) -> None: ...


def play(
    script: Callable[[Venue, FixFeed, Sink], Awaitable[None]], symbols: tuple[str, ...]
) -> FixFeed:
    async def main() -> FixFeed:
        venue, sink = Venue(), Sink()
        port = await venue.acceptor.start("127.0.0.1", 0)
        backoff = Backoff(0.001, 0.01, random.Random(1))
        feed = FixFeed(FixConfig(port=port), TABLE, symbols, SystemClock(), backoff)
        running = asyncio.create_task(feed.run(sink))
        try:
            async with asyncio.timeout(30):
                await script(venue, feed, sink)
        finally:
            await feed.close()
            await running
            await venue.acceptor.close()
        return feed

    return asyncio.run(main())


def test_snapshot_then_updates_arrive_in_order() -> None:
    async def script(venue: Venue, feed: FixFeed, sink: Sink) -> None:
        first = await sink.queue.get()
        assert isinstance(first, Quote)
        assert (first.seq, first.bid, first.ask, first.ts_event) == (1, 1.1, 1.2, T0)
        assert first.ts_recv > T0
        for seq in (2, 3, 4):
            venue.publish(seq)
        quotes = [await sink.queue.get() for _ in range(3)]
        assert [quote.seq for quote in quotes if isinstance(quote, Quote)] == [2, 3, 4]

    feed = play(script, ("EURUSD",))
    assert (feed.counters.received, feed.counters.gaps, feed.counters.reconnects) == (4, 0, 0)


def test_quotes_missed_over_a_reconnect_are_told_as_a_gap_first() -> None:
    async def script(venue: Venue, feed: FixFeed, sink: Sink) -> None:
        await sink.queue.get()
        venue.seq = 9
        assert venue.link is not None
        venue.link.abort("test")
        gap, quote = await sink.queue.get(), await sink.queue.get()
        assert isinstance(gap, FeedGap)
        assert (gap.instrument, gap.missed, gap.reason) == (0, 7, "reconnected")
        assert isinstance(quote, Quote)
        assert quote.seq == 9

    assert play(script, ("EURUSD",)).counters.reconnects == 1


def test_each_symbol_is_asked_for_and_a_refusal_is_kept() -> None:
    async def script(venue: Venue, feed: FixFeed, sink: Sink) -> None:
        quotes = [await sink.queue.get() for _ in range(2)]
        assert {q.instrument for q in quotes} == {0, 2}

    assert play(script, ("XAUUSD", "EURUSD", "USDJPY")).refused == {"XAUUSD": "closed"}


class Direct:
    """Gives messages to a feed without a socket."""

    def __init__(self) -> None:
        self.sink = Sink()
        backoff = Backoff(1.0, 1.0, random.Random(1))
        self.feed = FixFeed(FixConfig(), TABLE, ("EURUSD",), ManualClock(T0), backoff)
        self.feed._sink = self.sink
        self.link = Silent()

    def say(self, kind: bytes, body: bytes) -> None:
        (message,) = FrameDecoder().feed(frame(b"35=%b\x01%b" % (kind, body)))
        self.feed.on_message(self.link, message, False)

    def quote(self, seq: int, bid: float = 1.1, ask: float = 1.2, instrument: int = 0) -> None:
        row = tick(instrument, seq, T0, bid, ask)
        self.say(b"X", market_data.build_incremental(row, TABLE[instrument]))

    def reconnect(self) -> None:
        self.feed.on_down(self.link, "test")
        self.feed.on_up(self.link, True)

    @property
    def heard(self) -> list[object]:
        """Numbers of quotes, and (missed, reason) of gaps."""
        kept = self.sink.heard
        return [x.seq if isinstance(x, Quote) else (x.missed, x.reason) for x in kept]


class Silent(Link):
    """A link that swallows what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bytes]] = []

    def send(self, msg_type: bytes, body: bytes) -> int:
        self.sent.append((msg_type, body))
        return len(self.sent)


@pytest.fixture
def direct() -> Direct:
    made = Direct()
    made.feed.on_up(made.link, True)
    return made


def test_a_jump_is_a_gap_before_its_quote(direct: Direct) -> None:
    for seq in (5, 6, 9):
        direct.quote(seq)
    assert direct.heard == [5, 6, (2, "sequence jump"), 9]


def test_repeats_are_dropped(direct: Direct) -> None:
    for seq in (5, 5, 4, 6):
        direct.quote(seq)
    assert direct.heard == [5, 6]
    assert direct.feed.repeated == 2


def test_the_same_snapshot_after_a_reconnect_is_a_repeat(direct: Direct) -> None:
    direct.quote(5)
    direct.reconnect()
    direct.quote(5)
    direct.quote(6)
    assert direct.heard == [5, 6]


def test_a_tape_that_begins_anew_is_taken_up(direct: Direct) -> None:
    direct.quote(5)
    direct.reconnect()
    direct.quote(1)
    direct.quote(2)
    assert direct.heard == [5, (0, "tape restarted"), 1, 2]


@pytest.mark.parametrize(
    ("bid", "ask"), [(1.2, 1.1), (0.0, 1.1), (-1.0, 1.1), (float("nan"), 1.1), (1.1, float("inf"))]
)
def test_unsound_quotes_are_counted_and_the_hole_is_told(
    direct: Direct, bid: float, ask: float
) -> None:
    direct.quote(5)
    direct.quote(6, bid, ask)
    direct.quote(7)
    assert direct.heard == [5, (1, "sequence jump"), 7]
    assert direct.feed.counters.malformed == 1


def test_other_instruments_and_messages_are_counted(direct: Direct) -> None:
    direct.quote(1, instrument=1)
    direct.say(b"W", b"55=XXX\x01")
    direct.say(b"8", b"11=x\x01")
    assert direct.heard == []
    assert direct.feed.counters.malformed == 3


def test_subscribes_once_for_each_connection(direct: Direct) -> None:
    direct.feed.on_up(direct.link, True)
    assert [kind for kind, _ in direct.link.sent] == [b"V"]
    direct.reconnect()
    assert [kind for kind, _ in direct.link.sent] == [b"V", b"V"]
