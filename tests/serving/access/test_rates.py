"""Token buckets: never more than declared, always again later."""

from hypothesis import given
from hypothesis import strategies as st

from serving.access.rates import Rates

SEC = 1_000_000_000


@given(st.lists(st.integers(0, SEC), max_size=200), st.integers(1, 50))
def test_no_window_lets_more_through_than_burst_and_rate(gaps: list[int], per_sec: int) -> None:
    now = [0]
    rates = Rates(per_sec, 2.0, lambda: now[0])
    let = []
    for gap in gaps:
        now[0] += gap
        if not rates.take("ann"):
            let.append(now[0])
    for first in range(len(let)):
        for last in range(first, len(let)):
            secs = (let[last] - let[first]) / SEC
            assert last - first + 1 <= per_sec * 2.0 + per_sec * secs + 1e-6


@given(st.integers(1, 1000))
def test_whoever_waits_as_told_is_let_in(per_sec: int) -> None:
    now = [0]
    rates = Rates(per_sec, 1.0, lambda: now[0])
    while not (wait := rates.take("ann")):
        pass
    now[0] += int(wait * SEC) + 1
    assert rates.take("ann") == 0.0


def test_no_rate_is_no_bound() -> None:
    rates = Rates(0, 1, lambda: 0)
    assert not any(rates.take("ann") for _ in range(10_000))
