"""The live engine on recorded quotes, without a recording: what the model would have traded.

Time is that of the tape. An order that was decided at `t` meets the market as it stands at
``t + latency``: the newest quote that is not later than that. Its reports come back at once and
before the next quote, as live, where reports go first. With a bar file and a latency below the bar
length an order so executes on the quote it was decided on, as in the labels.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from backtest.outcome import Collector, Outcome
from core.columns import QuoteColumns
from core.config import Config
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from core.types import Amendment, Order, OrderEvent, Quote, TradingState
from features.source import ColumnsStore, FeatureSources
from features.spec import spec_named
from models.inference.artifact import LoadedModel
from models.pool import ModelPool
from trading.engine import TradingEngine
from trading.events import OrderEventIn, QuoteIn, SessionChanged, SetTradingState
from trading.journal import MemoryJournal
from trading.ports import FeatureSource, Predictor
from venue.matching import MatchingEngine
from venue.orders import venue_order
from venue.tape import Tape

CURVE_POINTS = 2_000


@dataclass(frozen=True, slots=True)
class EquityCurve:
    """Equity over time.

    Attributes
    ----------
    ts : int64[n]
        Tape time, ns UTC.
    equity : float64[n]
        Balance, closed and open profit, account currency.
    """

    ts: NDArray[np.int64]
    equity: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """What a backtest came to: the outcome, its equity over time, and the tape it ran on."""

    outcome: Outcome
    curve: EquityCurve
    tape: dict[int, QuoteColumns]
    instruments: InstrumentTable
    quotes: int


class ChosenModel(NamedTuple):
    """A model of the backtest; `approved` is False for one that may only be watched."""

    model: LoadedModel
    version: str
    approved: bool = True


class _Waiting(NamedTuple):
    due_ns: int
    order: Order
    what: str


class RecordedVenue:
    """A broker whose orders reach the matching after a latency in tape time.

    Parameters
    ----------
    matching : MatchingEngine
    latency_ns : int
    """

    def __init__(self, matching: MatchingEngine, latency_ns: int) -> None:
        self.matching = matching
        self._latency_ns = latency_ns
        self._waiting: deque[_Waiting] = deque()
        self.now_ns = 0

    @property
    def ready(self) -> bool:
        """Always."""
        return True

    def send(self, order: Order) -> None:
        """Let the order arrive after the latency."""
        self._waiting.append(_Waiting(self.now_ns + self._latency_ns, order, "order"))

    def cancel(self, order: Order) -> None:
        """Let the cancel arrive after the latency."""
        self._waiting.append(_Waiting(self.now_ns + self._latency_ns, order, "cancel"))

    def replace(self, order: Order) -> None:
        """Let the new terms arrive after the latency."""
        self._waiting.append(_Waiting(self.now_ns + self._latency_ns, order, "replace"))

    def request_status(self, order: Order) -> None:
        """Do nothing: no report is ever lost here."""

    def arrivals(self, until_ns: int) -> list[tuple[int, OrderEvent]] | None:
        """Match the next order or cancel that is due before `until_ns`.

        Returns the time and the report of each report; None when nothing is due.
        """
        if not self._waiting or self._waiting[0].due_ns >= until_ns:
            return None
        due_ns, order, what = self._waiting.popleft()
        if what == "cancel":
            events = self.matching.cancel(order.client_order_id)
        elif what == "replace":
            events = self.matching.replace(order.client_order_id, order.pending or Amendment())
        else:
            events = self.matching.submit(venue_order(order))
        return [(due_ns, event) for event in events]


def run_backtest(
    columns: Mapping[str, QuoteColumns],
    models: Mapping[str, ChosenModel],
    config: Config,
    from_ns: int,
    to_ns: int,
    *,
    latency_ns: int | None = None,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
) -> BacktestResult:
    """Trade the models on recorded quotes.

    Parameters
    ----------
    columns : mapping of symbol to QuoteColumns
        Quotes in time order, those of the models' peers too; what is before `from_ns` warms the
        features up.
    models : mapping of symbol to ChosenModel
        Symbols without a model are marked to market and never traded.
    config : Config
        Trading starts ACTIVE, whatever `trading.enabled_at_start` says.
    from_ns, to_ns : int
        First time traded and first time not traded, ns UTC.
    latency_ns : int, optional
        Time of an order to the venue; `venue.latency_ms` by default.
    """
    features = FeatureSources(instruments)
    pool = ModelPool([row.symbol for row in instruments])
    traded: dict[int, QuoteColumns] = {}
    for symbol, rows in columns.items():
        instrument = instruments.by_symbol(symbol).id
        traded[instrument] = rows.between(from_ns, to_ns)
        chosen = models.get(symbol)
        if chosen is not None:
            pool.swap(instrument, chosen.model, chosen.version, chosen.approved)
            manifest = chosen.model.manifest
            features.use(
                instrument, spec_named(manifest.spec_name), manifest.peers, manifest.window
            )
            before = rows.between(0, from_ns)
            features.rebuild(instrument, before, ColumnsStore(columns), from_ns)
    latency = int(config.venue.latency_ms * 1e6) if latency_ns is None else latency_ns
    return trade(traded, features, pool, config, latency, instruments)


def trade(
    tape: Mapping[int, QuoteColumns],
    features: FeatureSource,
    predictor: Predictor,
    config: Config,
    latency_ns: int,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
) -> BacktestResult:
    """Trade whatever `features` and `predictor` are on a tape; `run_backtest` with its parts."""
    merged = Tape(tape)
    session = _Session(merged, features, predictor, config, latency_ns, instruments)
    session.run()
    account = session.engine.account
    return BacktestResult(
        session.collector.outcome(account),
        session.curve(),
        merged.columns,
        instruments,
        len(merged),
    )


class _Session:
    """One backtest: the loop over the tape."""

    def __init__(
        self,
        tape: Tape,
        features: FeatureSource,
        predictor: Predictor,
        config: Config,
        latency_ns: int,
        instruments: InstrumentTable,
    ) -> None:
        self._tape = tape
        self._venue = RecordedVenue(MatchingEngine(instruments, config.venue), latency_ns)
        self.collector = Collector()
        self.engine = TradingEngine(
            trading=config.trading,
            decision=config.decision,
            risk=config.risk,
            costs=config.costs,
            instruments=instruments,
            features=features,
            predictor=predictor,
            broker=self._venue,
            journal=MemoryJournal(),
        )
        self.engine.subscribe(self.collector)
        self._points: list[tuple[int, Decimal]] = []
        self._every = max(1, len(tape) // CURVE_POINTS)

    def run(self) -> None:
        """Go over the tape, with the reports of each order between the quotes they fall between."""
        first = self._tape.upcoming
        start_ns = 0 if first is None else first.ts_event
        self.engine.process(SessionChanged(start_ns, True))
        self.engine.process(SetTradingState(start_ns, TradingState.ACTIVE, "backtest"))
        last_ns = start_ns
        while (quote := self._tape.take()) is not None:
            self._let_arrive(quote.ts_event)
            self._take(quote)
            last_ns = quote.ts_event
        self._let_arrive(1 << 62)
        self._mark(last_ns)

    def curve(self) -> EquityCurve:
        """Return the points marked so far."""
        ts = np.array([point[0] for point in self._points], np.int64)
        equity = np.array([float(point[1]) for point in self._points])
        return EquityCurve(ts, equity)

    def _let_arrive(self, until_ns: int) -> None:
        while (reports := self._venue.arrivals(until_ns)) is not None:
            for at_ns, event in reports:
                self._report(at_ns, event)

    def _take(self, quote: Quote) -> None:
        self._venue.now_ns = quote.ts_event
        events = self._venue.matching.on_quote(quote)
        if self._tape.is_last(quote):
            events += self._venue.matching.end_of_tape(quote.instrument)
        for event in events:
            self._report(quote.ts_event, event)
        self.engine.process(QuoteIn(quote.ts_event, quote))
        if self._tape.position % self._every == 0:
            self._mark(quote.ts_event)

    def _report(self, at_ns: int, event: OrderEvent) -> None:
        self._venue.now_ns = at_ns
        self.engine.process(OrderEventIn(at_ns, event))
        if event.fill is not None:
            self._mark(at_ns)

    def _mark(self, ts_ns: int) -> None:
        equity = self.engine.account.portfolio.equity()
        if equity is not None:
            self._points.append((ts_ns, equity))
