"""What every tick store does alike."""

import hashlib

import numpy as np
import pytest

from core.columns import QuoteColumns, from_ticks
from core.errors import BadInput
from storage.bars import MINUTE_NS
from storage.ports import Ticks
from storage.sequenced import COLUMN_NAMES
from tests.naive_bars import naive_bars

DAY_NS = 86_400_000_000_000
START_NS = 1_577_880_000_000_000_000  # 2020-01-01 12:00 UTC


def tape(seed: int = 5, n: int = 600, span_every: int = 0) -> QuoteColumns:
    """Ticks over two UTC days with repeated stamps, some of them ends of minutes with a span."""
    rng = np.random.default_rng(seed)
    ts = START_NS + np.sort(rng.integers(0, 2 * 86_400, n)) * 500_000_000
    bid = 1.1 + 1e-5 * rng.integers(-50, 50, n)
    ask = bid + 1e-5 * rng.integers(0, 20, n)
    ticks = from_ticks(ts, bid, ask, rng.integers(0, 10**7, n) / 1e6)
    if not span_every:
        return ticks
    spans = np.arange(n) % span_every == 0
    ends = np.where(spans, ts // MINUTE_NS * MINUTE_NS, ts)
    rows = QuoteColumns(
        ends,
        bid,
        ask,
        ticks.volume,
        np.where(spans, MINUTE_NS, 0),
        ticks.open,
        ticks.high + spans * 3e-5,
        ticks.low - spans * 2e-5,
    )
    return rows[np.argsort(ends, kind="stable")]


def same(left: QuoteColumns, right: QuoteColumns) -> bool:
    return all(
        getattr(left, name).tobytes() == getattr(right, name).tobytes() for name in COLUMN_NAMES
    )


def test_what_was_appended_is_read_back_to_the_bit(ticks: Ticks) -> None:
    rows = tape(span_every=7)
    assert ticks.append("EURUSD", rows) == len(rows)
    assert same(ticks.read("EURUSD"), rows)
    assert ticks.symbols() == ("EURUSD",)


def test_a_range_is_half_open(ticks: Ticks) -> None:
    rows = tape()
    ticks.append("EURUSD", rows)
    start, end = int(rows.ts[100]), int(rows.ts[400])
    assert same(ticks.read("EURUSD", start, end), rows.between(start, end))
    assert same(ticks.read("EURUSD", end_ns=end), rows.between(0, end))
    assert len(ticks.read("EURUSD", end, start)) == 0


def test_an_unknown_symbol_has_nothing(ticks: Ticks) -> None:
    ticks.append("EURUSD", tape(n=10))
    assert len(ticks.read("GBPUSD")) == 0
    assert list(ticks.scan("GBPUSD")) == []
    assert len(ticks.bars("GBPUSD", MINUTE_NS)) == 0
    assert ticks.snapshot_hash("GBPUSD") == hashlib.sha256().hexdigest()


def test_the_same_file_again_changes_nothing(ticks: Ticks) -> None:
    rows = tape()
    again = QuoteColumns(*(np.repeat(getattr(rows, name), 2) for name in COLUMN_NAMES))
    assert ticks.append("EURUSD", again) == 2 * len(rows)  # equal ticks in a row are data
    before = ticks.snapshot_hash("EURUSD")
    assert ticks.append("EURUSD", again) == 0
    assert ticks.append("EURUSD", rows[::3]) == 0
    assert ticks.snapshot_hash("EURUSD") == before


def test_the_same_key_again_is_a_duplicate_whatever_it_says(ticks: Ticks) -> None:
    rows = tape(n=50)
    numbers = np.arange(1, 51)
    assert ticks.append("EURUSD", rows, numbers) == 50
    other = from_ticks(rows.ts, rows.bid + 1, rows.ask + 1)
    assert ticks.append("EURUSD", other, numbers) == 0
    assert same(ticks.read("EURUSD"), rows)


def test_a_key_twice_in_one_batch_counts_once(ticks: Ticks) -> None:
    rows = tape(n=50)
    twice = np.repeat(np.arange(50), 2)
    assert ticks.append("EURUSD", rows[twice], twice + 1) == 50
    assert same(ticks.read("EURUSD"), rows)


def test_late_and_shuffled_quotes_find_their_place(ticks: Ticks) -> None:
    rows = tape()
    numbers = np.arange(1, len(rows) + 1)
    order = np.random.default_rng(3).permutation(len(rows))
    for part in np.array_split(order, 9):
        ticks.append("EURUSD", rows[part], numbers[part])
    assert same(ticks.read("EURUSD"), rows)
    (first, *_, last) = ticks.scan("EURUSD")
    assert first.sequence[0] == 1
    assert last.sequence[-1] == len(rows)


def test_a_quote_without_a_number_joins_those_of_its_stamp(ticks: Ticks) -> None:
    stamp = np.array([START_NS])
    prices = [np.array([1.1 + 1e-4 * k]) for k in range(4)]
    for price in prices:
        assert ticks.append("EURUSD", from_ticks(stamp, price, price)) == 1
    assert ticks.read("EURUSD").bid.tolist() == [float(price[0]) for price in prices]
    (day,) = ticks.scan("EURUSD")
    assert day.sequence.tolist() == [0, 1, 2, 3]


def test_the_scan_goes_day_by_day(ticks: Ticks) -> None:
    rows = tape()
    ticks.append("EURUSD", rows)
    days = list(ticks.scan("EURUSD"))
    assert [int(day.ts[0]) // DAY_NS for day in days] == sorted(set((rows.ts // DAY_NS).tolist()))
    assert sum(len(day) for day in days) == len(rows)


def test_the_hash_does_not_hang_on_how_rows_came(ticks: Ticks) -> None:
    rows = tape()
    ticks.append("EURUSD", rows)
    ticks.append("GBPUSD", rows[::2])
    ticks.append("GBPUSD", rows)
    sets = {name: sorted(map(tuple, np.column_stack([rows.ts, rows.bid]).tolist()))
            for name in ("EURUSD", "GBPUSD")}  # fmt: skip
    assert sets["EURUSD"] == sets["GBPUSD"]
    alone = hashlib.sha256()
    for day in ticks.scan("EURUSD"):
        for name in COLUMN_NAMES:
            alone.update(getattr(day.columns, name).tobytes())
    assert ticks.snapshot_hash("EURUSD") == alone.hexdigest()


@pytest.mark.parametrize("minutes", [1, 5, 60, 1440])
def test_bars_equal_a_loop_over_the_quotes(ticks: Ticks, minutes: int) -> None:
    rows = tape(span_every=5)
    numbers = np.arange(1, len(rows) + 1)
    order = np.random.default_rng(4).permutation(len(rows))
    for part in np.array_split(order, 7):
        ticks.append("EURUSD", rows[part], numbers[part])
        ticks.append("EURUSD", rows[part], numbers[part])
    interval = minutes * MINUTE_NS
    assert ticks.bars("EURUSD", interval).equals(naive_bars(rows, numbers, interval))


def test_bars_of_a_range_are_those_that_begin_in_it(ticks: Ticks) -> None:
    rows = tape(span_every=5)
    ticks.append("EURUSD", rows, np.arange(len(rows)))
    whole = ticks.bars("EURUSD", MINUTE_NS)
    start, end = int(whole.ts[10] - MINUTE_NS), int(whole.ts[40] - MINUTE_NS)
    part = ticks.bars("EURUSD", MINUTE_NS, start, end)
    assert part.ts.tolist() == whole.ts[10:40].tolist()
    assert part.close.tolist() == whole.close[10:40].tolist()
    assert part.n_ticks.tolist() == whole.n_ticks[10:40].tolist()
    shifted = ticks.bars("EURUSD", MINUTE_NS, start + 1, end + 1)
    assert shifted.ts.tolist() == whole.ts[11:41].tolist()


def test_bars_are_of_whole_minutes(ticks: Ticks) -> None:
    for interval in (0, -MINUTE_NS, 90_000_000_000):
        with pytest.raises(BadInput, match="whole minutes"):
            ticks.bars("EURUSD", interval)


def test_clear_forgets_one_symbol(ticks: Ticks) -> None:
    rows = tape()
    ticks.append("EURUSD", rows)
    ticks.append("GBPUSD", rows)
    ticks.clear("EURUSD")
    assert ticks.symbols() == ("GBPUSD",)
    assert len(ticks.bars("EURUSD", MINUTE_NS)) == 0
    assert ticks.append("EURUSD", rows) == len(rows)
    assert ticks.bars("EURUSD", MINUTE_NS).equals(ticks.bars("GBPUSD", MINUTE_NS))


def test_old_days_are_forgotten_whole(ticks: Ticks) -> None:
    early = tape(n=100)
    months_ago = QuoteColumns(
        early.ts - 70 * DAY_NS, *(getattr(early, n) for n in COLUMN_NAMES[1:])
    )
    rows = tape(span_every=3)
    second_day = int(rows.ts[-1]) // DAY_NS * DAY_NS
    ticks.append("EURUSD", months_ago)
    ticks.append("EURUSD", rows)
    ticks.forget_before(second_day + 5)
    kept = rows.between(second_day, 2**62)
    assert same(ticks.read("EURUSD"), kept)
    assert ticks.bars("EURUSD", MINUTE_NS).equals(naive_bars(kept, np.arange(len(kept)), MINUTE_NS))


@pytest.mark.parametrize("volume", [-1.0, float("nan"), float("inf"), 1e10])
def test_a_volume_that_cannot_be_counted_is_refused(ticks: Ticks, volume: float) -> None:
    one = np.array([1.1])
    with pytest.raises(BadInput, match="volume"):
        ticks.append("EURUSD", from_ticks(np.array([START_NS]), one, one, np.array([volume])))
    assert ticks.symbols() == ()


def test_a_name_that_is_none_is_refused(ticks: Ticks) -> None:
    for name in ("", "eurusd", "../EURUSD", "A'; DROP TABLE market_data; --", "A" * 65):
        with pytest.raises(BadInput, match="cannot be a symbol"):
            ticks.append(name, tape(n=2))
        with pytest.raises(BadInput, match="cannot be a symbol"):
            ticks.read(name)
