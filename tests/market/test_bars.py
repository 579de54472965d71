import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.columns import QuoteColumns
from market.bars import bars_of
from tests import naive

MINUTE = 60_000_000_000


def columns_of(*rows):
    """Quotes from (ts, span, mid); high and low lie 0.2 away for spans."""
    ts, span, mid = (np.array(column) for column in zip(*rows, strict=True))
    mid = mid.astype(float)
    wick = np.where(span > 0, 0.2, 0.0)
    volume = np.arange(1.0, len(ts) + 1)
    return QuoteColumns(
        ts.astype(np.int64),
        mid - 0.1,
        mid + 0.1,
        volume,
        span.astype(np.int64),
        mid - wick / 2,
        mid + wick,
        mid - wick,
    )


def assert_bars_are_naive(columns, bar_ns):
    got, (expected, late) = bars_of(columns, bar_ns), naive.bars(columns, bar_ns)
    assert got.late == late
    fields = ("ts", "open", "high", "low", "close", "spread", "n_ticks", "index")
    for field in fields:
        assert getattr(got, field).tolist() == [getattr(bar, field) for bar in expected], field
    np.testing.assert_allclose(got.volume, [bar.volume for bar in expected], rtol=1e-12)
    assert (np.diff(got.ts) > 0).all()


quote = st.tuples(st.integers(0, 60), st.sampled_from([0, 0, 5, 10]), st.integers(1, 50))


@settings(max_examples=300, deadline=None)
@given(st.lists(quote, min_size=1, max_size=40), st.booleans(), st.sampled_from([1, 7, 10]))
def test_bars_are_those_of_the_naive_twin(rows, in_order, bar_ns):
    if in_order:
        rows = sorted(rows, key=lambda row: row[0])
    assert_bars_are_naive(columns_of(*rows), bar_ns)


def test_ticks_are_half_open():
    bars = bars_of(columns_of((0, 0, 1), (MINUTE - 1, 0, 2), (MINUTE, 0, 3), (2 * MINUTE, 0, 4)))
    assert bars.ts.tolist() == [MINUTE, 2 * MINUTE]
    assert bars.close.tolist() == [2.0, 3.0]
    assert bars.n_ticks.tolist() == [2, 1]
    # Each bar is known when the first tick of a later one comes; the last is still forming.
    assert bars.index.tolist() == [2, 3]


def test_a_minute_of_a_bar_file_closes_its_bar_at_once():
    bars = bars_of(columns_of((MINUTE, MINUTE, 1), (2 * MINUTE, MINUTE, 2)))
    assert bars.ts.tolist() == [MINUTE, 2 * MINUTE]
    assert bars.index.tolist() == [0, 1]
    assert bars.high.tolist() == [1.2, 2.2]
    assert bars.low.tolist() == [0.8, 1.8]
    assert bars.open.tolist() == [0.9, 1.9]


def test_five_minutes_from_minutes_with_the_last_one_missing():
    rows = [(i * MINUTE, MINUTE, i) for i in (1, 2, 3, 4, 6)]
    bars = bars_of(columns_of(*rows), 5 * MINUTE)
    assert bars.ts.tolist() == [5 * MINUTE]
    assert bars.close.tolist() == [4.0]
    assert bars.index.tolist() == [4]


def test_hours_on_a_minute_clock_give_a_bar_each():
    rows = [(i * 60 * MINUTE, 60 * MINUTE, i) for i in (1, 2, 3)]
    assert bars_of(columns_of(*rows)).close.tolist() == [1.0, 2.0, 3.0]


def test_one_quote_can_close_two_bars():
    bars = bars_of(columns_of((5, 0, 1), (2 * MINUTE, MINUTE, 2)))
    assert bars.ts.tolist() == [MINUTE, 2 * MINUTE]
    assert bars.index.tolist() == [1, 1]


def test_a_closed_bar_is_final():
    bars = bars_of(columns_of((MINUTE, MINUTE, 1), (MINUTE, MINUTE, 9), (2 * MINUTE, MINUTE, 2)))
    assert bars.close.tolist() == [1.0, 2.0]
    assert bars.late == 1


def test_late_quotes_are_counted_and_equal_timestamps_applied():
    bars = bars_of(columns_of((10, 0, 1), (10, 0, 2), (9, 0, 50), (MINUTE, 0, 3)))
    assert (bars.late, bars.n_ticks.tolist(), bars.high.tolist()) == (1, [2], [2.0])


def test_times_before_the_epoch_fall_into_the_right_bucket():
    bars = bars_of(columns_of((-MINUTE - 1, 0, 1), (-MINUTE, 0, 2), (0, 0, 3)))
    assert bars.ts.tolist() == [-MINUTE, 0]


@pytest.mark.parametrize("bar_ns", [0, -1])
def test_a_bar_needs_a_length(bar_ns):
    with pytest.raises(ValueError, match="positive"):
        bars_of(columns_of((0, 0, 1)), bar_ns)


def test_an_empty_tape_has_no_bars():
    assert len(bars_of(columns_of((0, 0, 1))[:0])) == 0
