import numpy as np
import pytest

from core.clock import ManualClock
from core.columns import QuoteColumns
from storage.bars import MINUTE_NS
from storage.cached_ticks import CachedTicks
from storage.parquet import TickStore
from storage.query_cache import QueryCache, size_of


class Asked:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> int:
        self.times += 1
        return self.times


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def test_an_answer_is_kept_until_it_is_too_old(clock: ManualClock) -> None:
    cache, ask = QueryCache(clock, ttl_secs=60), Asked()
    assert [cache.get("q", (1,), (), ask) for _ in range(3)] == [1, 1, 1]
    clock.advance(60_000_000_000 - 1)
    assert cache.get("q", (1,), (), ask) == 1
    clock.advance(1)
    assert cache.get("q", (1,), (), ask) == 2
    assert (cache.hits, cache.misses) == (3, 2)


def test_the_type_of_a_parameter_is_part_of_the_key(clock: ManualClock) -> None:
    cache, ask = QueryCache(clock), Asked()
    assert [cache.get("q", (value,), (), ask) for value in (1, 1.0, True, "1")] == [1, 2, 3, 4]
    assert cache.get("other", (1,), (), ask) == 5


def test_a_write_drops_what_hangs_on_it_and_nothing_else(clock: ManualClock) -> None:
    cache, ask = QueryCache(clock), Asked()
    cache.get("q", (), ("EURUSD",), ask)
    cache.get("q2", (), ("GBPUSD",), ask)
    cache.written("EURUSD")
    assert cache.get("q", (), ("EURUSD",), ask) == 3
    assert cache.get("q2", (), ("GBPUSD",), ask) == 2


def test_an_answer_that_a_write_overtook_is_not_kept(clock: ManualClock) -> None:
    cache, ask = QueryCache(clock), Asked()

    def overtaken() -> str:
        cache.written("EURUSD")
        return "old"

    assert cache.get("q", (), ("EURUSD",), overtaken) == "old"
    assert cache.get("q", (), ("EURUSD",), ask) == 1


def test_the_least_recently_used_goes_first(clock: ManualClock) -> None:
    cache, ask = QueryCache(clock, entries=1_000), Asked()
    for number in range(1_000):
        cache.get("q", (number,), (), ask)
    cache.get("q", (0,), (), ask)
    cache.get("q", (1_000,), (), ask)
    assert len(cache) == 1_000
    times = ask.times
    cache.get("q", (0,), (), ask)
    assert ask.times == times
    cache.get("q", (1,), (), ask)
    assert ask.times == times + 1


def test_bytes_are_bounded_and_counted_down_to_zero(clock: ManualClock) -> None:
    cache = QueryCache(clock, max_bytes=10_000)
    for number in range(50):
        cache.get("q", (number,), ("t",), lambda: np.zeros(100))
        assert cache.size <= 10_000
    assert 5 < len(cache) < 15
    cache.get("large", (), ("t",), lambda: np.zeros(5_000))
    assert cache.size <= 10_000
    cache.written("t")
    assert (cache.size, len(cache)) == (0, 0)


def test_a_failing_query_is_asked_again(clock: ManualClock) -> None:
    cache, ask = QueryCache(clock), Asked()
    with pytest.raises(ZeroDivisionError):
        cache.get("q", (), (), lambda: 1 // 0)
    assert cache.get("q", (), (), ask) == 1


def test_size_counts_what_is_inside() -> None:
    assert size_of([np.zeros(1_000)]) > 8_000
    assert size_of({"a": "x" * 500}) > 500


def test_bars_are_kept_until_quotes_are_added(
    clock: ManualClock, tmp_path, two_days: QuoteColumns
) -> None:
    cache = QueryCache(clock)
    store = CachedTicks(TickStore(tmp_path), cache)
    store.append("EURUSD", two_days[:200])
    first = store.bars("EURUSD", MINUTE_NS)
    assert store.bars("EURUSD", MINUTE_NS) is first
    store.append("EURUSD", two_days)
    second = store.bars("EURUSD", MINUTE_NS)
    assert int(second.n_ticks.sum()) == len(two_days)
    store.clear("EURUSD")
    assert len(store.bars("EURUSD", MINUTE_NS)) == 0
