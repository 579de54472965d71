"""Columns of quotes: how history travels between loaders, stores, features and the backtest."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from core.types import Quote

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]

_CHUNK = 1 << 14  # rows turned into Python numbers at a time


@dataclass(frozen=True, slots=True, eq=False)
class QuoteColumns:
    """Quotes of one instrument, in time order, as equally long arrays.

    Attributes
    ----------
    ts : int64[n]
        `Quote.ts_event`, ns UTC.
    bid, ask, volume : float64[n]
        As in `core.types.Quote`.
    span : int64[n]
        `Quote.span_ns`: 0 for ticks, the bar length for rows of a bar file.
    open, high, low : float64[n]
        Mid prices over the span; all equal to the mid for ticks.
    """

    ts: I8
    bid: F8
    ask: F8
    volume: F8
    span: I8
    open: F8
    high: F8
    low: F8

    def __post_init__(self) -> None:
        lengths = {len(getattr(self, column.name)) for column in fields(self)}
        if len(lengths) > 1:
            raise ValueError(f"columns differ in length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.ts)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | I8) -> "QuoteColumns":
        return QuoteColumns(*(getattr(self, column.name)[rows] for column in fields(self)))

    def between(self, start_ns: int, end_ns: int) -> "QuoteColumns":
        """Rows with ``start_ns <= ts < end_ns``; the columns must be in time order."""
        first, last = np.searchsorted(self.ts, [start_ns, end_ns], side="left")
        return self[slice(int(first), int(last))]

    def quotes(self, instrument: int, first_seq: int = 1) -> Iterator[Quote]:
        """Yield the rows as quotes with ``seq`` counted from `first_seq` and ``ts_recv = ts``."""
        for first in range(0, len(self), _CHUNK):
            part = self[first : first + _CHUNK]
            lists = [getattr(part, column.name).tolist() for column in fields(self)]
            rows = zip(*lists, strict=True)
            for seq, (ts, bid, ask, volume, span, open_, high, low) in enumerate(
                rows, first_seq + first
            ):
                yield Quote(instrument, seq, ts, ts, bid, ask, volume, span, open_, high, low)


def from_ticks(ts: I8, bid: F8, ask: F8, volume: F8 | None = None) -> QuoteColumns:
    """Columns of single ticks: span 0, open = high = low = mid.

    Parameters
    ----------
    ts : int64[n]
        ns UTC, in time order.
    bid, ask : float64[n]
        Prices in quote currency.
    volume : float64[n], optional
        Zeros when absent.
    """
    mid = 0.5 * (bid + ask)
    volumes = np.zeros(len(ts)) if volume is None else volume
    return QuoteColumns(ts, bid, ask, volumes, np.zeros(len(ts), np.int64), mid, mid, mid)


def from_quotes(quotes: Iterable[Quote]) -> QuoteColumns:
    """Columns of a sequence of quotes of one instrument."""
    rows = [(q.bid, q.ask, q.volume, q.open, q.high, q.low, q.ts_event, q.span_ns) for q in quotes]
    floats = np.array([row[:6] for row in rows], np.float64).reshape(-1, 6).T.copy()
    ints = np.array([row[6:] for row in rows], np.int64).reshape(-1, 2).T.copy()
    bid, ask, volume, open_, high, low = floats
    return QuoteColumns(ints[0], bid, ask, volume, ints[1], open_, high, low)


def concat(parts: Iterable[QuoteColumns]) -> QuoteColumns:
    """Join columns end to end; at least one part."""
    kept = list(parts)
    return QuoteColumns(
        *(
            np.concatenate([getattr(part, column.name) for part in kept])
            for column in fields(QuoteColumns)
        )
    )
