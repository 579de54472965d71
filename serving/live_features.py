"""Feature rows of the live tape: one engine per spec in use, warmed from the stored tape.

An instrument computes the spec of the model that serves it, so an instrument without a model
computes nothing. Its engine starts cold and is rebuilt from stored quotes when the model comes, at
the first live quote, and after a gap of the tape.
"""

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from core.columns import QuoteColumns, from_ticks
from core.instruments import InstrumentTable
from core.types import Cadence, Quote
from features.engine import FeatureEngine
from features.spec import FeatureSpec
from trading.ports import Row

_FIRST_LOOK_NS = 3_600_000_000_000


class QuoteStore(Protocol):
    """Stored quotes by symbol, see `storage.parquet.TickStore`."""

    def read(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> QuoteColumns:
        """Return quotes with ``start_ns <= ts < end_ns``."""
        ...


class LiveFeatures:
    """The `FeatureSource` of the live engine.

    Parameters
    ----------
    instruments : InstrumentTable
        Their pips scale the rows.
    """

    def __init__(self, instruments: InstrumentTable) -> None:
        self._pips = [row.pip for row in instruments]
        self._engines: dict[str, FeatureEngine] = {}
        self._serving: list[FeatureEngine | None] = [None] * len(self._pips)

    def update(self, quote: Quote) -> Row | None:
        """Advance the instrument's engine; None without one, or when it gives no row."""
        engine = self._serving[quote.instrument]
        return None if engine is None else engine.update(quote)

    def use(self, instrument: int, spec: FeatureSpec) -> bool:
        """Compute `spec` for `instrument`; True when it changed, so that a rebuild is due."""
        engine = self._engines.get(spec.name)
        if engine is None:
            engine = self._engines[spec.name] = FeatureEngine(spec, self._pips)
        if self._serving[instrument] is engine:
            return False
        engine.make_cold(instrument)
        self._serving[instrument] = engine
        return True

    def is_warm(self, instrument: int) -> bool:
        """Say whether the instrument has an engine with enough samples."""
        engine = self._serving[instrument]
        return engine is not None and engine.is_warm(instrument)

    def engine(self, instrument: int) -> FeatureEngine | None:
        """Engine of the instrument, None while no model serves it."""
        return self._serving[instrument]

    def engines(self) -> Iterable[FeatureEngine]:
        """All engines in use."""
        return self._engines.values()

    def make_cold(self, instrument: int) -> None:
        """Drop the instrument's state: no row until it is rebuilt."""
        engine = self._serving[instrument]
        if engine is not None:
            engine.make_cold(instrument)

    def rebuild(self, instrument: int, columns: QuoteColumns) -> None:
        """Start afresh from stored quotes."""
        engine = self._serving[instrument]
        if engine is not None:
            engine.rebuild(instrument, columns)


def warmup_quotes(
    store: QuoteStore, symbol: str, spec: FeatureSpec, before_ns: int
) -> QuoteColumns:
    """Read enough stored quotes before `before_ns` to be warm.

    The spec's warm-up has the washing out of recursive seeds in it; one sample more is read, since
    the first and the last bar may be cut. The stretch read grows until it holds that many samples
    or all that is stored, since nights and week-ends leave holes that no fixed stretch of time
    would bridge.
    """
    wanted = spec.warmup + 2
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


def empty_columns() -> QuoteColumns:
    """Return columns without a row."""
    return from_ticks(np.empty(0, np.int64), np.empty(0), np.empty(0))
