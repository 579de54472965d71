"""Feature rows in recorded time: one engine per spec, as the live half has them."""

from core.columns import QuoteColumns
from core.instruments import InstrumentTable
from core.types import Quote
from features.engine import FeatureEngine
from features.spec import FeatureSpec
from trading.ports import Row


class RecordedFeatures:
    """A `trading.ports.FeatureSource` whose instruments compute the spec of their model.

    Parameters
    ----------
    instruments : InstrumentTable
        Their pips scale the rows.
    """

    def __init__(self, instruments: InstrumentTable) -> None:
        self._pips = [row.pip for row in instruments]
        self._engines: dict[str, FeatureEngine] = {}
        self._in_use: list[FeatureEngine | None] = [None] * len(self._pips)

    def update(self, quote: Quote) -> Row | None:
        """Advance the instrument's engine; None without one, or when it gives no row."""
        engine = self._in_use[quote.instrument]
        return None if engine is None else engine.update(quote)

    def use(self, instrument: int, spec: FeatureSpec) -> None:
        """Compute `spec` for the instrument, cold when it is another one than before."""
        engine = self._engines.get(spec.name)
        if engine is None:
            engine = self._engines[spec.name] = FeatureEngine(spec, self._pips)
        if self._in_use[instrument] is not engine:
            engine.make_cold(instrument)
            self._in_use[instrument] = engine

    def rebuild(self, instrument: int, columns: QuoteColumns) -> None:
        """Start afresh from stored quotes."""
        engine = self._in_use[instrument]
        if engine is not None:
            engine.rebuild(instrument, columns)
