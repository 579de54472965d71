"""The tape: order, numbering, position, pace."""

import numpy as np
import pytest

from core.columns import QuoteColumns, from_ticks
from core.config import VenueConfig
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from venue.tape import LONGEST_SILENCE_NS, Pacer, Tape, load_tape, read_parts


def columns(times: list[int], base: float = 1.1) -> QuoteColumns:
    ts = np.array(times, np.int64)
    bid = base + np.arange(len(ts)) * 1e-5
    return from_ticks(ts, bid, bid + 1e-4)


class Shelf:
    """A tick store of columns held in memory."""

    def __init__(self, rows: dict[str, QuoteColumns]) -> None:
        self._rows = rows

    def read(self, symbol, start_ns=None, end_ns=None):
        return self._rows[symbol].between(start_ns or 0, end_ns or 2**62)


def drain(tape: Tape) -> list:
    quotes = []
    while (quote := tape.take()) is not None:
        quotes.append(quote)
    return quotes


def test_quotes_come_in_time_order_with_a_number_per_instrument():
    tape = Tape({1: columns([20, 30, 40]), 0: columns([10, 30])})
    quotes = drain(tape)
    assert [(q.instrument, q.seq, q.ts_event) for q in quotes] == [
        (0, 1, 10), (1, 1, 20), (0, 2, 30), (1, 2, 30), (1, 3, 40),
    ]  # fmt: skip
    assert [tape.is_last(q) for q in quotes] == [False, False, True, False, True]
    assert tape.position == len(tape) == 5


def test_a_sought_position_goes_on_with_the_same_quotes():
    rng = np.random.default_rng(3)
    sides = {i: columns(sorted(rng.integers(1, 10**6, 6_000).tolist())) for i in range(3)}
    whole = drain(Tape(sides))
    for position in (0, 1, 4_095, 4_096, 9_999, 18_000):
        tape = Tape(sides)
        tape.seek(position)
        assert drain(tape) == whole[position:]
    with pytest.raises(ValueError, match="position 18001"):
        Tape(sides).seek(18_001)


def test_limit_counts_quotes_of_all_instruments():
    tape = Tape({0: columns([10, 20, 30]), 1: columns([15, 25])}, limit=3)
    assert len(tape) == 3
    assert (tape.count(0), tape.count(1), tape.count(2)) == (2, 1, 0)
    assert tape.is_last(drain(tape)[-1])


def test_a_described_tape_is_read_again_the_same():
    shelf = Shelf({"EURUSD": columns(list(range(0, 900, 9))), "GBPUSD": columns([5, 400, 850])})
    start = {"EURUSD": 100, "GBPUSD": 300}
    tape = load_tape(shelf, DEFAULT_INSTRUMENTS, ["EURUSD", "GBPUSD"], start, 880, limit=50)
    again = read_parts(shelf, DEFAULT_INSTRUMENTS, tape.parts(DEFAULT_INSTRUMENTS))
    assert again.fingerprint() == tape.fingerprint()
    assert drain(again) == drain(tape)
    other = load_tape(shelf, DEFAULT_INSTRUMENTS, ["EURUSD"], start)
    assert other.fingerprint() != tape.fingerprint()


def test_an_empty_range_is_refused_by_name():
    shelf = Shelf({"EURUSD": columns([1, 2])})
    with pytest.raises(BadInput, match="no stored quotes of EURUSD"):
        load_tape(shelf, DEFAULT_INSTRUMENTS, ["EURUSD"], 10)


def test_pace_follows_tape_time_and_cuts_silence():
    pacer = Pacer(VenueConfig(speed=10.0, max_quotes_per_sec=0.0))
    now, ts = 100.0, 10**12
    assert pacer.due(ts, now) == now
    pacer.left(ts, now)
    assert pacer.due(ts + 5 * 10**9, now) == pytest.approx(100.5)
    weekend = pacer.due(ts + 48 * 3600 * 10**9, now)
    assert weekend == pytest.approx(100.0 + LONGEST_SILENCE_NS / 1e9 / 10)


def test_pace_is_bounded_by_the_rate_and_never_bursts_after_a_pause():
    pacer = Pacer(VenueConfig(speed=0.0, max_quotes_per_sec=100.0))
    pacer.left(10**12, 50.0)
    assert pacer.due(10**12 + 1, 50.0) == pytest.approx(50.01)
    late = pacer.due(10**12 + 1, 60.0)
    assert late == pytest.approx(59.9)
    flat_out = Pacer(VenueConfig(speed=0.0, max_quotes_per_sec=0.0))
    flat_out.left(10**12, 50.0)
    assert flat_out.due(2 * 10**12, 50.0) <= 50.0
