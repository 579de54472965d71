"""The trading engine: one door, one event at a time, from a quote to an order on the wire.

Synchronous and alone with its state. The time is in the event, so that the same list of events
gives the same decisions, orders and profits again.
"""

from collections.abc import Callable, Iterable
from time import perf_counter_ns
from typing import Any

from core.config import DecisionConfig, RiskConfig, TradingConfig
from core.costs import CostModel
from core.errors import BadInput
from core.instruments import InstrumentTable
from core.types import Decision, Prediction, Quote, Signal
from monitoring.latency import StageLatencies
from trading.account import Account
from trading.account_state import Changes, read
from trading.decision import decide, held
from trading.desk import OrderDesk
from trading.events import Event, FeaturesRebuilt, HoldInstrument, ModelSwapped, QuoteIn
from trading.ids import IdBlocks, decision_prefix
from trading.outputs import Listener, Output
from trading.pipeline import Submission
from trading.ports import Broker, FeatureSource, Journal, Predictor
from trading.records import IdBlock, decode
from trading.scenarios import ScenarioTable

STAGES = (
    "recv",
    "features",
    "predict",
    "decide",
    "risk",
    "journal",
    "send",
    "tick_to_send",
    "ack",
    "confirm",
)
MAX_LISTENERS = 16
_NOTHING = Prediction(0.5, "", "", "", 0, 0.0, False)


class TradingEngine:
    """Owns the trading state of one account.

    Parameters
    ----------
    trading, decision, risk, costs
        Settings groups.
    instruments : InstrumentTable
    features : FeatureSource
    predictor : Predictor
    broker : Broker
    journal : Journal
    scenarios : ScenarioTable, optional
    rebuild, swap_model : callable, optional
        Carry out `FeaturesRebuilt` and `ModelSwapped` on the feature source and the predictor.
    recorder : callable, optional
        Gets every event after it was processed, in order; `SessionWriter.write` fits.
    """

    def __init__(
        self,
        *,
        trading: TradingConfig,
        decision: DecisionConfig,
        risk: RiskConfig,
        costs: CostModel,
        instruments: InstrumentTable,
        features: FeatureSource,
        predictor: Predictor,
        broker: Broker,
        journal: Journal,
        scenarios: ScenarioTable | None = None,
        rebuild: Callable[[FeaturesRebuilt], None] | None = None,
        swap_model: Callable[[ModelSwapped], None] | None = None,
        recorder: Callable[[Event], None] | None = None,
    ) -> None:
        self.latencies = StageLatencies(STAGES)
        self.account = Account(trading, risk, costs, instruments)
        self.decision_ids = IdBlocks(journal, decision_prefix(trading.account))
        self.listener_errors = 0
        self.holds: dict[int, str] = {}
        self._outputs: list[Output] = []
        self._listeners: list[Listener] = []
        self._policy = decision
        self._costs = costs
        self._pips = [row.pip for row in instruments]
        self._symbols = [row.symbol for row in instruments]
        self._features = features
        self._predictor = predictor
        self._recorder = recorder
        self.desk = OrderDesk(
            self.account, trading, instruments, journal, broker, self.latencies, scenarios,
            self._outputs.append,
        )  # fmt: skip
        nothing = _do_nothing
        self._doors: dict[type, Callable[[Any], Submission | None]] = {
            **self.desk.doors(),
            QuoteIn: self.on_quote,
            FeaturesRebuilt: rebuild or nothing,
            ModelSwapped: swap_model or nothing,
            HoldInstrument: self.on_hold,
        }

    def process(self, event: Event) -> Submission | None:
        """Take one event; the only door.

        What broker and journal show by themselves (a session that is down, an order that did not
        leave for sure, a failed journal) is made an event of its own, taken and recorded beside
        `event`, so that a replay with sound ports comes out the same.

        Returns
        -------
        Submission or None
            For a `SubmitOrder` its outcome, else None.

        Raises
        ------
        core.errors.NotFound
            For a `CancelOrder` or `ReplaceOrder` of an order that is not held.
        core.errors.BadInput
            For a `SetTradingState` of an unknown scope, a `ReplaceOrder` that makes no sense.
        core.errors.Conflict
            For a `ReplaceOrder` of an order that does not work.
        """
        try:
            self._take_noticed(event.now_ns)
            submission = self._take(event)
            self._take_noticed(event.now_ns)
        finally:
            if self._outputs:
                self._tell()
        return None if submission is None else self.desk.newest(submission)

    def on_quote(self, event: QuoteIn) -> None:
        """Walk one tick: features, predict, decide, size, risk, journal, send."""
        quote = event.quote
        received = perf_counter_ns()
        self.account.history.observe(quote)
        self.account.marks.update(quote)
        self.desk.on_mark(quote, event.now_ns)
        row = self._features.update(quote)
        featured = perf_counter_ns()
        if row is None or not event.act:
            return
        prediction = self._predictor.predict(quote.instrument, row)
        predicted = perf_counter_ns()
        age, pip = event.now_ns - quote.ts_recv, self._pips[quote.instrument]
        signal = decide(prediction, quote.bid, quote.ask, pip, age, self._costs, self._policy)
        if quote.instrument in self.holds:
            signal = held(signal, self.holds[quote.instrument])
        stamps = (age, received, featured, predicted, perf_counter_ns())
        decision = self._decision(event, prediction, signal, stamps)
        if self.desk.follow(event, signal, prediction, decision.decision_id):
            self.latencies.record("tick_to_send", age + perf_counter_ns() - received)

    def on_hold(self, event: HoldInstrument) -> None:
        """Decide HOLD on an instrument, or no longer."""
        if event.reason:
            self.holds[event.instrument] = event.reason
        else:
            self.holds.pop(event.instrument, None)

    def recover(
        self, records: Iterable[bytes], now_ns: int, snapshot: Iterable[bytes] = ()
    ) -> None:
        """Rebuild orders, positions, states and id counters from the journal's records.

        Orders that were on their way become UNKNOWN; reconciliation resolves them.

        Parameters
        ----------
        records : iterable of bytes
            All of the journal, or those behind `snapshot`.
        now_ns : int
        snapshot : iterable of bytes
            Parts of the newest snapshot, oldest first.
        """
        for part in snapshot:
            self._restore(part)
        self.account.restored()
        for payload in records:
            record = decode(payload)
            if isinstance(record, IdBlock):
                self.decision_ids.recover(record)
            else:
                self.account.recover(record)
        self.desk.lose_in_doubt(now_ns, "the process ended before the answer")
        self._outputs.clear()

    def take_changes(self) -> Changes:
        """Everything since the last call, for a snapshot at the journal's end."""
        ids = self.decision_ids
        return self.account.take_changes({ids.prefix: ids.journaled})

    def _restore(self, part: bytes) -> None:
        for changes in read(part):
            self.account.restore(changes)
            if changes.small is not None:
                for prefix, end in changes.small.ids.items():
                    self.decision_ids.recover(IdBlock(prefix, end))

    def top_up_ids(self) -> None:
        """Reserve decision ids ahead; call when idle, for a reservation syncs the journal."""
        self.decision_ids.top_up()

    def subscribe(self, listener: Listener) -> None:
        """Call `listener` with every output after the walk it came from.

        Raises
        ------
        BadInput
            When `MAX_LISTENERS` are subscribed already.
        """
        if len(self._listeners) >= MAX_LISTENERS:
            raise BadInput(f"{MAX_LISTENERS} listeners are subscribed already")
        self._listeners.append(listener)

    def _take_noticed(self, now_ns: int) -> None:
        for event in self.desk.noticed(now_ns):
            self._take(event)

    def _take(self, event: Event) -> Submission | None:
        try:
            return self._doors[type(event)](event)
        finally:
            if self._recorder is not None:
                self._recorder(event)

    def _decision(
        self,
        event: QuoteIn,
        prediction: Prediction | None,
        signal: Signal,
        stamps: tuple[int, int, int, int, int],
    ) -> Decision:
        waited, received, featured, predicted, decided = stamps
        stages = {
            "recv": waited,
            "features": featured - received,
            "predict": predicted - featured,
            "decide": decided - predicted,
        }
        for stage, duration in stages.items():
            self.latencies.record(stage, duration)
        decision = decision_of(
            self.decision_ids.take(), self._symbols[event.quote.instrument], event.quote,
            event.now_ns, prediction, signal, {name: ns / 1e3 for name, ns in stages.items()},
        )  # fmt: skip
        self._outputs.append(decision)
        return decision

    def _tell(self) -> None:
        outputs, self._outputs[:] = tuple(self._outputs), ()
        for listener in self._listeners:
            for output in outputs:
                try:
                    listener(output)
                except Exception:  # noqa: BLE001 - a listener must not stop the trading
                    self.listener_errors += 1


def decision_of(
    decision_id: str,
    symbol: str,
    quote: Quote,
    now_ns: int,
    prediction: Prediction | None,
    signal: Signal,
    stages_us: dict[str, float],
) -> Decision:
    """Make the record of one walk; without a model its fields are empty and the score is 0.5."""
    scored = prediction or _NOTHING
    return Decision(
        decision_id=decision_id,
        symbol=symbol,
        direction=signal.direction,
        confidence=signal.confidence,
        raw_score=scored.p,
        edge_pips=signal.edge_pips,
        reason=signal.reason,
        model=scored.model,
        model_version=scored.model_version,
        spec_fingerprint=scored.spec_fingerprint,
        quote_seq=quote.seq,
        ts_event=quote.ts_event,
        ts_decide=now_ns,
        stages_us=stages_us,
    )


def _do_nothing(_: Any) -> None:
    return None
