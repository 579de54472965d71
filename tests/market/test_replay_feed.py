import asyncio
from dataclasses import fields

import numpy as np
import pytest

from core.clock import ManualClock
from core.columns import QuoteColumns, from_ticks
from core.quotes import is_sound
from core.types import Quote
from market.feed import FeedGap
from market.replay_feed import ReplayFeed

SEC = 1_000_000_000


class Recorder:
    def __init__(self) -> None:
        self.quotes: list[Quote] = []

    def on_quote(self, quote: Quote) -> None:
        self.quotes.append(quote)

    def on_gap(self, gap: FeedGap) -> None:
        raise AssertionError(gap)


class SteppedTime(ManualClock):
    def __init__(self) -> None:
        super().__init__(5 * SEC)
        self.slept: list[float] = []

    async def sleep(self, secs: float) -> None:
        self.slept.append(secs)
        self.advance(round(secs * 1e9))


def tape(*secs: float, bid: float = 1.1) -> QuoteColumns:
    ts = np.array([round(s * SEC) for s in secs], np.int64)
    return from_ticks(ts, np.full(len(ts), bid), np.full(len(ts), bid + 0.1))


def play(feed: ReplayFeed) -> list[Quote]:
    sink = Recorder()
    asyncio.run(feed.run(sink))
    return sink.quotes


def test_tapes_are_merged_in_time_with_a_sequence_each() -> None:
    quotes = play(ReplayFeed({1: tape(1, 3, 5), 0: tape(2, 3)}))
    assert [(q.instrument, q.seq, q.ts_event // SEC) for q in quotes] == [
        (1, 1, 1),
        (0, 1, 2),
        (0, 2, 3),
        (1, 2, 3),
        (1, 3, 5),
    ]


def test_tape_time_passes_at_the_chosen_speed() -> None:
    time = SteppedTime()
    feed = ReplayFeed({0: tape(10, 11, 11, 14)}, speed=2.0, clock=time, sleep=time.sleep)
    quotes = play(feed)
    assert time.slept == pytest.approx([0.5, 1.5])
    assert [q.ts_recv for q in quotes] == [5 * SEC, 5.5 * SEC, 5.5 * SEC, 7 * SEC]


def test_a_slow_consumer_is_caught_up_with() -> None:
    time = SteppedTime()

    class Slow(Recorder):
        def on_quote(self, quote: Quote) -> None:
            super().on_quote(quote)
            time.advance(3 * SEC)

    feed = ReplayFeed(
        {0: tape(0, 1, 2, 20)}, speed=1.0, clock=time, sleep=time.sleep, max_pause_secs=60
    )
    asyncio.run(feed.run(Slow()))
    assert time.slept == pytest.approx([11.0])


def test_week_ends_are_cut_short() -> None:
    time = SteppedTime()
    feed = ReplayFeed(
        {0: tape(0, 172_800)}, speed=1.0, clock=time, sleep=time.sleep, max_pause_secs=2.0
    )
    play(feed)
    assert time.slept == [2.0]


def test_without_pause_the_loop_still_gets_its_turn() -> None:
    time = SteppedTime()
    play(ReplayFeed({0: tape(*range(1_000))}, clock=time, sleep=time.sleep))
    assert time.slept == [0.0] * 3


@pytest.mark.parametrize(
    ("bid", "ask"),
    [
        (float("nan"), 1.1),
        (1.1, float("nan")),
        (1.1, float("inf")),
        (0.0, 1.1),
        (-1.0, 1.1),
        (1.2, 1.1),
    ],
)
def test_unsound_quotes_are_counted_and_leave_no_hole(bid: float, ask: float) -> None:
    columns = tape(1, 2, 3)
    columns.bid[1], columns.ask[1] = bid, ask
    feed = ReplayFeed({0: columns})
    assert [q.seq for q in play(feed)] == [1, 2]
    assert (feed.counters.received, feed.counters.malformed) == (3, 1)
    assert not is_sound(bid, ask)


def test_rows_of_bars_keep_their_span_and_prices() -> None:
    columns = tape(60, 120)
    bars = QuoteColumns(
        **{f.name: getattr(columns, f.name) for f in fields(columns)}
        | {"span": np.full(2, 60 * SEC), "high": np.full(2, 1.3)}
    )
    quotes = play(ReplayFeed({0: bars}))
    assert [(q.span_ns, q.high) for q in quotes] == [(60 * SEC, 1.3)] * 2


def test_it_can_run_again_and_refuses_a_senseless_speed() -> None:
    feed = ReplayFeed({0: tape(1, 2)})
    assert [q.seq for q in play(feed)] == [q.seq for q in play(feed)] == [1, 2]
    with pytest.raises(ValueError, match="speed"):
        ReplayFeed({}, speed=-1.0)
