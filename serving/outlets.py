"""Where the engine's outputs go: the stream's clients and, for decisions, the ledger.

Orders and fills reach the ledger by the journal, see `serving.projection`.
"""

from core.clock import Clock
from core.instruments import InstrumentTable
from core.types import Decision, Order, OrderStatus
from monitoring.latency import StageLatencies
from monitoring.prediction_ring import PredictionRing, Spread
from serving.streaming.hub import Hub
from serving.streaming.messages import Topic
from serving.views import fill_view, order_view
from storage.batch_writer import BatchWriter
from storage.ledger_rows import LatencySample, Recorded
from trading.marks import Marks
from trading.outputs import FillUpdate, OrderUpdate, Output

TICK_TO_ACK = "tick_to_ack"
_MOST_WATCHED = 10_000


class Outlets:
    """Listener of the engine.

    Parameters
    ----------
    hub : Hub
        Clients of the stream.
    writer : BatchWriter
        Buffer in front of the ledger.
    marks : Marks
        Newest quotes: an order of the model counts its latency from its quote's arrival.
    predictions : PredictionRing, optional
        Gets every prediction that was decided on.
    analysis : BatchWriter, optional
        Buffer in front of the store for analysis: decisions and latency samples.
    """

    def __init__(
        self,
        instruments: InstrumentTable,
        hub: Hub,
        writer: BatchWriter[Recorded],
        marks: Marks,
        clock: Clock,
        predictions: PredictionRing | None = None,
        analysis: BatchWriter[Decision | LatencySample] | None = None,
    ) -> None:
        self._analysis = analysis
        self.predictions = predictions
        self._ids = {row.symbol: row.id for row in instruments}
        self._instruments = instruments
        self._hub = hub
        self._writer = writer
        self._marks = marks
        self._clock = clock
        self._received: dict[str, int] = {}
        self.latencies = StageLatencies((TICK_TO_ACK,))
        self.decisions = {"BUY": 0, "SELL": 0, "HOLD": 0}
        self.denied = 0
        self.fills = 0

    @property
    def dropped(self) -> int:
        """Rows that did not reach the ledger because its buffer was full."""
        return self._writer.dropped

    @property
    def parked(self) -> int:
        """Rows that the ledger refuses."""
        return self._writer.parked

    @property
    def analysis_dropped(self) -> int:
        """Rows that did not reach the store for analysis because its buffer was full."""
        return 0 if self._analysis is None else self._analysis.dropped

    @property
    def write_failures(self) -> int:
        """Batches that the ledger did not take at the first try."""
        return self._writer.failures

    def hear(self, output: Output) -> None:
        """Pass one output on."""
        if isinstance(output, Decision):
            self.decisions[output.direction] += 1
            self._keep(output)
            self._writer.put(output)
            if self._analysis is not None:
                self._analysis.put(output)
            self._hub.publish(Topic.DECISIONS, output)
        elif isinstance(output, OrderUpdate):
            self._hear_order(output)
        elif isinstance(output, FillUpdate):
            self.fills += 1
            self._hub.publish(Topic.FILLS, fill_view(output.fill, self._instruments))

    def _keep(self, made: Decision) -> None:
        if self.predictions is not None and made.model_version:
            instrument = self._ids[made.symbol]
            self.predictions.push(
                made.ts_event, made.ts_decide, instrument, made.raw_score, made.edge_pips
            )

    def spreads(self) -> dict[str, Spread]:
        """Say by symbol how the newest predictions are spread; only where there are any."""
        if self.predictions is None:
            return {}
        found = {symbol: self.predictions.spread(at) for symbol, at in self._ids.items()}
        return {symbol: spread for symbol, spread in found.items() if spread.n}

    def _hear_order(self, update: OrderUpdate) -> None:
        order = update.order
        self._time(order)
        self.denied += update.refused is not None
        if len(self._hub):
            self._hub.publish(Topic.ORDERS, order_view(order, self._instruments))

    def _time(self, order: Order) -> None:
        """Measure from the arrival of the deciding quote to the first answer."""
        if order.status is OrderStatus.SUBMITTED:
            quote = self._marks.quote(order.instrument)
            if order.decision_id and quote is not None and len(self._received) < _MOST_WATCHED:
                self._received[order.client_order_id] = quote.ts_recv
            return
        received = self._received.pop(order.client_order_id, None)
        if received is not None and order.status is not OrderStatus.UNKNOWN:
            now = self._clock.now_ns()
            self.latencies.record(TICK_TO_ACK, now - received)
            if self._analysis is not None:
                self._analysis.put(LatencySample(TICK_TO_ACK, now, now - received))
