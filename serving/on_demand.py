"""Rows and decisions that callers ask for: on the live last row, or on a history they send.

Nothing here moves live state, and the tick path never waits for it. What is decided on a history
is answered and not traded.
"""

from time import perf_counter_ns

import numpy as np

from core.clock import Clock
from core.columns import QuoteColumns
from core.config import CacheConfig, DecisionConfig
from core.costs import CostModel
from core.errors import BadInput, Unavailable
from core.instruments import Instrument, InstrumentTable
from core.types import Decision, Prediction, Quote, Signal
from features.cache import FeatureRow
from features.on_demand import Found, OnDemandRows, Source
from features.shared import SharedRows
from features.spec import FeatureSpec, spec_named
from serving.history import HistoryBody, columns_of, most_bytes
from serving.live_features import LiveFeatures
from serving.sharing import LiveRows
from serving.views import FeaturesView
from trading.decision import FEATURES_STALE, NO_MODEL, decide
from trading.engine import decision_of
from trading.ports import Predictor


class OnDemand:
    """Answers requests for features, and for decisions on a history.

    Parameters
    ----------
    live : LiveRows
        Newest rows of the symbols that this process serves.
    rows : OnDemandRows
    prefix : str
        First letters of the ids of these decisions, not used by any other run.

    Attributes
    ----------
    answered : int
        Requests that were answered, decisions and rows together.
    held_stale : int
        Decisions that are HOLD because there was only a stale row.
    """

    def __init__(
        self,
        *,
        instruments: InstrumentTable,
        features: LiveFeatures,
        live: LiveRows,
        predictor: Predictor,
        rows: OnDemandRows,
        clock: Clock,
        costs: CostModel,
        policy: DecisionConfig,
        cache: CacheConfig,
        prefix: str,
    ) -> None:
        self.rows = rows
        self.shared = SharedRows(rows.cache)
        self.most_bytes = most_bytes(cache.history_quotes)
        self._most_quotes = cache.history_quotes
        self._instruments = instruments
        self._features = features
        self._predictor = predictor
        self._live = live
        self._clock = clock
        self._costs = costs
        self._policy = policy
        self._prefix = prefix
        self.answered = self.held_stale = 0

    async def features(
        self, symbol: str, spec_name: str, history: HistoryBody | None
    ) -> FeaturesView:
        """Answer with the newest row of a history, or with the live last row; see `ports`."""
        terms = self._instruments.by_symbol(symbol)
        spec = self._wished(terms, spec_name)
        if history is None:
            view = self._view(terms, spec, await self._newest(terms, spec))
        else:
            columns = columns_of(history, self._most_quotes)
            found = await self.rows.newest(symbol, spec, terms.pip, columns)
            view = self._view(terms, spec, found)
        self.answered += 1
        return view

    async def decide(self, symbol: str, history: HistoryBody) -> Decision:
        """Score the newest row of a history at its newest quote; see `ports`."""
        started = perf_counter_ns()
        terms = self._instruments.by_symbol(symbol)
        columns = columns_of(history, self._most_quotes)
        spec = self._served(terms)
        found = None
        if spec is not None:
            window = self._window(terms)
            found = await self.rows.newest(symbol, spec, terms.pip, columns, window)
        featured = perf_counter_ns()
        prediction = None if found is None or found.stale else self._predict(terms, found.row)
        predicted = perf_counter_ns()
        signal = self._signal(terms, columns, found, prediction)
        decided = perf_counter_ns()
        stages = {
            "features": (featured - started) / 1e3,
            "predict": (predicted - featured) / 1e3,
            "decide": (decided - predicted) / 1e3,
        }
        self.answered += 1
        name = f"{self._prefix}{self.answered}"
        quote = _newest(terms, columns)
        now_ns = self._clock.now_ns()
        return decision_of(name, symbol, quote, now_ns, prediction, signal, stages)

    def _signal(
        self,
        terms: Instrument,
        columns: QuoteColumns,
        found: Found | None,
        prediction: Prediction | None,
    ) -> Signal:
        if found is None:
            return NO_MODEL
        if found.stale:
            self.held_stale += 1
            return FEATURES_STALE
        bid, ask = float(columns.bid[-1]), float(columns.ask[-1])
        return decide(prediction, bid, ask, terms.pip, 0, self._costs, self._policy)

    def _predict(self, terms: Instrument, row: FeatureRow) -> Prediction | None:
        spec = self._served(terms)
        window = 1 if row.values.ndim == 1 else len(row.values)
        if spec is None or spec.fingerprint != row.fingerprint or window != self._window(terms):
            raise Unavailable(f"{terms.symbol}: the model was changed meanwhile, try again")
        # The compiled model takes rows that may be written to, and a kept row may not.
        return self._predictor.predict(terms.id, np.array(row.values, np.float32))

    def _served(self, terms: Instrument) -> FeatureSpec | None:
        engine = self._features.engine(terms.id)
        return None if engine is None else engine.spec

    def _window(self, terms: Instrument) -> int:
        engine = self._features.engine(terms.id)
        return 1 if engine is None else engine.window(terms.id)

    def _wished(self, terms: Instrument, spec_name: str) -> FeatureSpec:
        if spec_name:
            return spec_named(spec_name)
        spec = self._served(terms)
        if spec is None:
            raise BadInput(f"no model serves {terms.symbol} now: say which spec")
        return spec

    async def _newest(self, terms: Instrument, spec: FeatureSpec) -> Found:
        """Newest live row, ours or of the process that serves the symbol; stale when old."""
        row, source = self._live.newest(terms.id), Source.LIVE
        if row is None or row.fingerprint != spec.fingerprint:
            row, source = await self.shared.newest(terms.symbol, spec, terms.pip), Source.SHARED
        if row is None and spec is self._served(terms):
            raise Unavailable(f"{terms.symbol}: no quote yet, or features are warming up")
        if row is None:
            raise BadInput(f"{spec.name!r} is not computed live for {terms.symbol}: send a history")
        age_ms = (self._clock.now_ns() - row.made_ns) / 1e6
        return Found(row, source, not 0.0 <= age_ms <= self._policy.max_quote_age_ms)

    def _view(self, terms: Instrument, spec: FeatureSpec, found: Found) -> FeaturesView:
        row = found.row
        return FeaturesView(
            symbol=terms.symbol,
            spec=spec.name,
            spec_fingerprint=row.fingerprint,
            values=dict(
                zip(spec.names, row.values.reshape(-1, spec.n_features)[-1].tolist(), strict=True)
            ),
            source=found.source,
            stale=found.stale,
            quote_seq=row.seq,
            ts_event=row.ts_event,
            age_ms=(self._clock.now_ns() - row.made_ns) / 1e6,
        )


def _newest(terms: Instrument, columns: QuoteColumns) -> Quote:
    """Return the newest quote of a history; it has no place on a tape."""
    return next(columns[len(columns) - 1 :].quotes(terms.id, first_seq=0))
