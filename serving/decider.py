"""Answers to decision requests: the live row or a copy of the state, and never a change to it."""

from collections.abc import Mapping
from math import isfinite
from time import perf_counter_ns

from core.clock import Clock
from core.config import DecisionConfig
from core.costs import CostModel
from core.errors import BadInput, Unavailable
from core.instruments import InstrumentTable
from core.types import Decision, Quote, Signal, tick
from features.engine import FeatureEngine
from serving.admission import Admission
from serving.live_features import LiveFeatures
from trading.decision import WARMING_UP, decide, held
from trading.engine import decision_of
from trading.marks import Marks
from trading.ports import Predictor, Row

MOST_AWAY = 0.1
MOST_AHEAD_NS = 7 * 86_400 * 10**9


class LiveDecider:
    """Scores what callers ask for with the model, features and quotes of the live engine.

    Parameters
    ----------
    prefix : str
        First letters of the ids of these decisions, not used by any other run.
    holds : mapping of int to str, optional
        Instruments that are held, and why: the engine's.
    """

    def __init__(
        self,
        *,
        instruments: InstrumentTable,
        features: LiveFeatures,
        predictor: Predictor,
        marks: Marks,
        admission: Admission,
        clock: Clock,
        costs: CostModel,
        policy: DecisionConfig,
        prefix: str,
        holds: Mapping[int, str] | None = None,
    ) -> None:
        self._instruments = instruments
        self._features = features
        self._predictor = predictor
        self._marks = marks
        self._admission = admission
        self._clock = clock
        self._costs = costs
        self._policy = policy
        self._prefix = prefix
        self._holds = {} if holds is None else holds
        self.answered = 0

    def decide(self, symbol: str) -> Decision:
        """Score the live row at the live quote; raises UnknownInstrument or Unavailable."""
        started = perf_counter_ns()
        quote = self._live(symbol)
        engine = self._engine(quote.instrument)
        row = None if engine is None else engine.last_row(quote.instrument)
        return self._answer(symbol, quote, engine, row, started)

    def decide_on(self, symbol: str, bid: float, ask: float, ts: int | None) -> Decision:
        """Score a copy of the state advanced by the caller's quote; raises also BadInput."""
        started = perf_counter_ns()
        _refuse_unsound(bid, ask)
        live = self._live(symbol)
        _refuse_foreign(bid, ask, ts, live)
        now_ns = self._clock.now_ns()
        tape_ns = live.ts_event + max(0, now_ns - live.ts_recv)
        wished = tick(live.instrument, live.seq, ts or tape_ns, bid, ask, ts_recv=now_ns)
        engine = self._engine(live.instrument)
        row = None if engine is None else self._row_after(engine, wished)
        return self._answer(symbol, wished, engine, row, started)

    def _row_after(self, engine: FeatureEngine, quote: Quote) -> Row | None:
        """Row that the quote would make; one that closes no bar leaves the last row in force."""
        row = engine.preview(quote)
        if row is None and engine.is_warm(quote.instrument):
            return engine.last_row(quote.instrument)
        return row

    def _live(self, symbol: str) -> Quote:
        terms = self._instruments.by_symbol(symbol)
        quote = self._marks.quote(terms.id)
        if quote is None:
            raise Unavailable(f"{symbol} has had no quote yet")
        return quote

    def _engine(self, instrument: int) -> FeatureEngine | None:
        if self._admission.is_rebuilding(instrument):
            return None
        return self._features.engine(instrument)

    def _answer(
        self, symbol: str, quote: Quote, engine: FeatureEngine | None, row: Row | None, started: int
    ) -> Decision:
        featured = perf_counter_ns()
        now_ns = self._clock.now_ns()
        prediction = None if row is None else self._predictor.predict(quote.instrument, row)
        predicted = perf_counter_ns()
        signal: Signal = WARMING_UP
        if row is not None or engine is None:
            pip = self._instruments[quote.instrument].pip
            age = now_ns - quote.ts_recv
            signal = decide(prediction, quote.bid, quote.ask, pip, age, self._costs, self._policy)
        if self._admission.is_rebuilding(quote.instrument):
            signal = WARMING_UP
        if quote.instrument in self._holds:
            signal = held(signal, self._holds[quote.instrument])
        decided = perf_counter_ns()
        stages = {
            "features": (featured - started) / 1e3,
            "predict": (predicted - featured) / 1e3,
            "decide": (decided - predicted) / 1e3,
        }
        self.answered += 1
        name = f"{self._prefix}{self.answered}"
        return decision_of(name, symbol, quote, now_ns, prediction, signal, stages)


def _refuse_unsound(bid: float, ask: float) -> None:
    for name, price in (("bid", bid), ("ask", ask)):
        if not isfinite(price) or price <= 0.0:
            raise BadInput(f"quote.{name} must be a finite price above zero, not {price}")
    if ask < bid:
        raise BadInput(f"quote is crossed: ask {ask} is below bid {bid}")


def _refuse_foreign(bid: float, ask: float, ts: int | None, live: Quote) -> None:
    """Refuse a quote that no next quote of this tape could be."""
    far = max(abs(bid / live.bid - 1.0), abs(ask / live.ask - 1.0))
    if far > MOST_AWAY:
        raise BadInput(
            f"quote {bid}/{ask} is more than {MOST_AWAY:.0%} away from the live one, "
            f"{live.bid}/{live.ask}"
        )
    if ts is not None and not 0 <= ts - live.ts_event <= MOST_AHEAD_NS:
        raise BadInput(
            f"quote.ts {ts} lies before the live quote of {live.ts_event} or over a week after it"
        )
