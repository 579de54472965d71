"""Columns of quotes: slices, ranges and the way to quotes and back."""

import numpy as np
import pytest

from core.columns import QuoteColumns, concat, from_quotes, from_ticks
from core.types import tick


def sample(n: int = 5) -> QuoteColumns:
    ts = np.arange(n, dtype=np.int64) * 1_000
    bid = 1.1 + np.arange(n) * 1e-4
    return from_ticks(ts, bid, bid + 1e-4)


def test_quotes_and_back() -> None:
    columns = sample()
    quotes = list(columns.quotes(2, first_seq=10))
    assert quotes[0] == tick(2, 10, 0, columns.bid[0], columns.ask[0])
    back = from_quotes(quotes)
    for name in QuoteColumns.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(back, name), getattr(columns, name))
        assert getattr(back, name).dtype == getattr(columns, name).dtype


def test_between_is_half_open() -> None:
    assert sample().between(1_000, 3_000).ts.tolist() == [1_000, 2_000]
    assert len(sample().between(9_000, 10_000)) == 0


def test_concat_joins() -> None:
    columns = sample()
    joined = concat([columns[:2], columns[2:]])
    np.testing.assert_array_equal(joined.bid, columns.bid)
    assert len(from_quotes([])) == 0


def test_unequal_lengths_are_refused() -> None:
    columns = sample()
    with pytest.raises(ValueError, match="differ in length"):
        QuoteColumns(columns.ts[:1], *(getattr(columns, n) for n in columns.__slots__[1:]))
