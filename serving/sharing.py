"""Tells this process's live rows to the others, beside the tick path and never in its way."""

import asyncio
import logging
from typing import Protocol

import numpy as np

from core.instruments import InstrumentTable
from features.cache import FeatureRow
from features.engine import FeatureEngine
from features.shared import SharedRows
from trading.marks import Marks

log = logging.getLogger(__name__)


class Engines(Protocol):
    """The live engines, see `serving.live_features`."""

    def engine(self, instrument: int) -> FeatureEngine | None:
        """Engine of the instrument, None while no model serves it."""
        ...


class Rebuilds(Protocol):
    """Says what is cold, see `serving.admission`."""

    def is_rebuilding(self, instrument: int) -> bool:
        """Tell whether the instrument is cold until its rebuild is in."""
        ...


class LiveRows:
    """Newest rows of the live tape, as the event loop sees them between two turns."""

    def __init__(
        self, instruments: InstrumentTable, features: Engines, admission: Rebuilds, marks: Marks
    ) -> None:
        self._instruments = instruments
        self._features = features
        self._admission = admission
        self._marks = marks

    def newest(self, instrument: int) -> FeatureRow | None:
        """Copy of the last row with the quote it is of; None without a model, quote or warmth."""
        engine, quote = self._features.engine(instrument), self._marks.quote(instrument)
        if engine is None or quote is None or self._admission.is_rebuilding(instrument):
            return None
        values = engine.last_row(instrument)
        if values is None:
            return None
        newest = np.reshape(values, (-1, engine.spec.n_features))[-1]
        fingerprint = engine.spec.fingerprint
        return FeatureRow(newest, fingerprint, quote.seq, quote.ts_event, quote.ts_recv)

    def tell(self, shared: SharedRows) -> None:
        """Tell the newest row of every symbol that has a new one."""
        for terms in self._instruments:
            engine, row = self._features.engine(terms.id), self.newest(terms.id)
            if engine is not None and row is not None:
                shared.tell(terms.symbol, engine.spec, terms.pip, row)

    async def tell_forever(self, shared: SharedRows, every_secs: float) -> None:
        """Tell until cancelled; what goes wrong is logged, for nothing hangs on it."""
        while True:
            await asyncio.sleep(every_secs)
            try:
                self.tell(shared)
            except Exception as error:
                log.error("live rows were not told to other processes: %s", error, exc_info=error)
