"""Bars of stored quotes, a whole range at once.

Unlike `market.bars`, which closes a bar for good while the tape runs, a store sees late quotes in
their place: the order is that of (ts, sequence), whenever a quote came. A bar of the range that is
still forming is part of the answer.
"""

from dataclasses import dataclass, fields

import numpy as np

from core.columns import F8, I8
from core.errors import BadInput
from storage.sequenced import Sequenced, volume_of, volume_units

MINUTE_NS = 60_000_000_000
_FAR_NS = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class StoredBars:
    """Bars in time order, as equally long arrays; spans without a quote have none.

    Attributes
    ----------
    ts : int64[m]
        End of each bar, ns UTC.
    open : float64[m]
        Opening mid of the first quote by (ts, sequence).
    high, low : float64[m]
        Largest and smallest mid.
    close, spread : float64[m]
        Mid, and ask minus bid, of the last quote by (ts, sequence).
    volume : float64[m]
        Exact sum, in whole `storage.sequenced.VOLUME_UNIT`.
    n_ticks : int64[m]
        Quotes in the bar.
    """

    ts: I8
    open: F8
    high: F8
    low: F8
    close: F8
    spread: F8
    volume: F8
    n_ticks: I8

    def __len__(self) -> int:
        return len(self.ts)

    def equals(self, other: "StoredBars") -> bool:
        """Whether all columns are the same, bit for bit."""
        return all(
            getattr(self, column.name).tobytes() == getattr(other, column.name).tobytes()
            for column in fields(self)
        )


def bucket_range(interval_ns: int, start_ns: int | None, end_ns: int | None) -> tuple[int, int]:
    """Numbers of the first bar that begins in the range, and of the first after it.

    Raises
    ------
    BadInput
        When the interval is no whole number of minutes.
    """
    if interval_ns <= 0 or interval_ns % MINUTE_NS:
        raise BadInput(f"bars are of whole minutes, not of {interval_ns} ns")
    first = 0 if start_ns is None else -(-start_ns // interval_ns)
    last = _FAR_NS // interval_ns if end_ns is None else -(-end_ns // interval_ns)
    return first, last


def bars_of(rows: Sequenced, interval_ns: int, first: int, last: int) -> StoredBars:
    """Collect the bars with numbers from `first` to before `last`.

    Parameters
    ----------
    rows : Sequenced
        Every stored quote with ``first * interval <= ts <= last * interval``, more do no harm.
    """
    quotes = rows.columns
    # The last ns of a span decides which bar it belongs to, not the ns after it.
    bucket = (quotes.ts - (quotes.span > 0)) // interval_ns
    order = np.argsort(bucket, kind="stable")
    order = order[(bucket[order] >= first) & (bucket[order] < last)]
    bucket, quotes = bucket[order], quotes[order]
    begins = np.flatnonzero(np.diff(bucket, prepend=-1))
    if len(begins) == 0:
        empty, none = np.empty(0), np.empty(0, np.int64)
        return StoredBars(none, empty, empty, empty, empty, empty, empty, none)
    counts = np.diff(begins, append=len(bucket))
    ends = begins + counts - 1
    bid, ask = quotes.bid[ends], quotes.ask[ends]
    return StoredBars(
        ts=(bucket[begins] + 1) * interval_ns,
        open=quotes.open[begins],
        high=np.maximum.reduceat(quotes.high, begins),
        low=np.minimum.reduceat(quotes.low, begins),
        close=0.5 * (bid + ask),
        spread=ask - bid,
        volume=volume_of(np.add.reduceat(volume_units(quotes.volume), begins)),
        n_ticks=counts.astype(np.int64),
    )
