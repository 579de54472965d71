"""What is wrong with a history is said by name."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput
from features.history import bars_of, ticks_of

GOOD: dict[str, Any] = {"ts": [1, 2, 2, 5], "bid": [1.0] * 4, "ask": [1.1] * 4, "volume": None}


def with_(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


def swapped(name: str, at: int, value: float) -> dict[str, Any]:
    column = list(GOOD[name] or [0.0] * 4)
    column[at] = value
    return with_(**{name: column})


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (swapped("ts", 2, 1), r"ts\[2\].*unsorted"),
        (swapped("ts", 0, 0), r"ts\[0\] is no time"),
        (swapped("ts", 3, 2**63), "no time in ns"),
        (swapped("ts", 3, 2**62), r"ts\[3\] is no time"),
        (swapped("bid", 1, math.nan), r"bid\[1\] is not a finite"),
        (swapped("ask", 3, math.inf), r"ask\[3\] is not a finite"),
        (swapped("bid", 2, -1.0), r"bid\[2\] is no price"),
        (swapped("bid", 2, 0.0), r"bid\[2\] is no price"),
        (swapped("ask", 2, 1e300), r"ask\[2\] is no price"),
        (swapped("ask", 1, 0.9), r"ask\[1\].*crossed"),
        (swapped("volume", 1, -1.0), r"volume\[1\]"),
        (swapped("volume", 1, math.nan), r"volume\[1\]"),
        (with_(bid=[1.0] * 3), "history.bid has 3 values and history.ts has 4"),
        (with_(volume=[]), "history.volume has 0 values"),
        (with_(ts=[], bid=[], ask=[]), "1..10 quotes, not 0"),
        (with_(ts=list(range(1, 12)), bid=[1.0] * 11, ask=[1.0] * 11), "1..10 quotes, not 11"),
    ],
)
def test_what_is_wrong_is_named(columns: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        ticks_of(**columns, most=10)


@pytest.mark.parametrize(
    ("ohl", "span", "says"),
    [
        (([1.05] * 4, [1.04] * 4, [1.0] * 4), 60, r"high\[0\] lies below"),
        (([1.05] * 4, [1.2] * 4, [1.051] * 4), 60, r"low\[0\] lies above"),
        (([1.05] * 4, [1.2] * 4, [1.0, 1.0, math.nan, 1.0]), 60, r"low\[2\] is not a finite"),
        (([1.05] * 3, [1.2] * 4, [1.0] * 4), 60, "history.open has 3"),
        (([1.05] * 4, [1.2] * 4, [1.0] * 4), 0, "span_ns"),
        (([1.05] * 4, [1.2] * 4, [1.0] * 4), 10**18, "span_ns"),
    ],
)
def test_what_is_wrong_with_bars_is_named(ohl: Any, span: int, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        bars_of(**GOOD, ohl=ohl, span_ns=span, most=10)


def test_sound_quotes_become_columns() -> None:
    ticks = ticks_of(**GOOD, most=10)
    assert ticks.ts.tolist() == [1, 2, 2, 5]
    assert np.array_equal(ticks.high, 0.5 * (ticks.bid + ticks.ask))
    assert not ticks.span.any()
    bars = bars_of(**GOOD, ohl=([1.05] * 4, [1.2] * 4, [1.0] * 4), span_ns=60, most=10)
    assert bars.span.tolist() == [60] * 4
    assert bars.low.tolist() == [1.0] * 4


numbers = st.one_of(st.floats(), st.floats(0.5, 2.0), st.integers(-(2**70), 2**70).map(float))


@given(
    st.lists(st.integers(-(2**70), 2**70), max_size=6),
    st.lists(numbers, max_size=6),
    st.lists(numbers, max_size=6),
)
def test_anything_else_is_refused_and_nothing_breaks(
    ts: list[int], bid: list[float], ask: list[float]
) -> None:
    try:
        columns = ticks_of(ts, bid, ask, None, 5)
    except BadInput:
        return
    assert np.all(columns.ask >= columns.bid)
    assert np.all(np.diff(columns.ts) >= 0)
