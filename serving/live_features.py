"""Feature rows of the live tape, and how much of the stored tape warms them."""

import numpy as np

from core.columns import QuoteColumns
from core.instruments import InstrumentTable
from core.types import Cadence, Quote
from features.blocks import F4
from features.peers import QuoteStore
from features.source import FeatureSources, empty_columns
from features.spec import FeatureSpec
from market.quote_ring import RECORD, QuoteRing
from monitoring.memory import Area, MemoryBudgets

__all__ = ["LiveFeatures", "QuoteStore", "empty_columns", "minutes", "samples", "warmup_quotes"]

_FIRST_LOOK_NS = 3_600_000_000_000


class LiveFeatures(FeatureSources):
    """The `FeatureSource` of the live engine; keeps the quotes that it was given.

    Parameters
    ----------
    instruments : InstrumentTable
    budgets : MemoryBudgets, optional
        Feature state lives in its features area. All of its market data area becomes rings of
        quotes, one per instrument and equally long; without it there are none.
    """

    def __init__(self, instruments: InstrumentTable, budgets: MemoryBudgets | None = None) -> None:
        super().__init__(instruments, None if budgets is None else budgets.features.array)
        self.rings = () if budgets is None else _rings(budgets.market_data, len(instruments))

    def update(self, quote: Quote) -> F4 | None:
        """Keep the quote and advance the instrument's engine; see `FeatureSources`."""
        if self.rings:
            self.rings[quote.instrument].push(quote)
        return super().update(quote)


def _rings(area: Area, n: int) -> tuple[QuoteRing, ...]:
    each = area.left // n // RECORD.itemsize - 1
    return tuple(QuoteRing(area.array("quotes", each, RECORD)) for _ in range(n))


def warmup_quotes(
    store: QuoteStore, symbol: str, spec: FeatureSpec, before_ns: int, window: int = 1
) -> QuoteColumns:
    """Read enough stored quotes before `before_ns` to be warm, for `window` rows at a time.

    The spec's warm-up has the washing out of recursive seeds in it; one sample more is read, since
    the first and the last bar may be cut. The stretch read grows until it holds that many samples
    or all that is stored, since nights and week-ends leave holes that no fixed stretch of time
    would bridge.
    """
    wanted = spec.warmup + window + 1
    look = max(_FIRST_LOOK_NS, wanted * spec.bar_ns if spec.cadence is Cadence.BAR else 0)
    kept = -1
    while True:
        columns = store.read(symbol, max(0, before_ns - look), before_ns)
        enough = samples(columns, spec) >= wanted and minutes(columns) >= spec.warmup_ns / 60e9
        if enough or look > before_ns:
            return columns
        if len(columns) == kept and kept > 0:
            look *= 8
        kept = len(columns)
        look *= 4


def minutes(columns: QuoteColumns) -> int:
    """Count the minutes with a quote: columns of closed bars need market time, not samples."""
    return len(np.unique(columns.ts // 60_000_000_000))


def samples(columns: QuoteColumns, spec: FeatureSpec) -> int:
    """Count the samples that the columns make: quotes, or bars that have any."""
    if spec.cadence is Cadence.TICK or not len(columns):
        return len(columns)
    return len(np.unique((columns.ts - (columns.span > 0)) // spec.bar_ns))
