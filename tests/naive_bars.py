"""Bars of quotes by the slow, obvious loop."""

import numpy as np

from core.columns import QuoteColumns
from storage.bars import StoredBars


def naive_bars(rows: QuoteColumns, sequence: np.ndarray, interval_ns: int) -> StoredBars:
    """Collect bars, quote by quote in the order of (ts, sequence)."""
    found: dict[int, list[float]] = {}
    for at in sorted(range(len(rows)), key=lambda k: (int(rows.ts[k]), int(sequence[k]))):
        ts, span = int(rows.ts[at]), int(rows.span[at])
        bid, ask = float(rows.bid[at]), float(rows.ask[at])
        high, low = float(rows.high[at]), float(rows.low[at])
        end = ((ts - (1 if span else 0)) // interval_ns + 1) * interval_ns
        bar = found.setdefault(end, [float(rows.open[at]), high, low, 0.0, 0.0, 0, 0])
        bar[1], bar[2] = max(bar[1], high), min(bar[2], low)
        bar[3], bar[4] = (bid + ask) / 2, ask - bid
        bar[5] += round(float(rows.volume[at]) * 1_000_000)
        bar[6] += 1
    ends = sorted(found)
    columns = np.array([found[end] for end in ends], np.float64).reshape(-1, 7).T
    *prices, units, counts = (column.copy() for column in columns)
    return StoredBars(
        np.array(ends, np.int64), *prices, volume=units / 1e6, n_ticks=counts.astype(np.int64)
    )
