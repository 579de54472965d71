"""What `/metrics` shows, read from the counts that each part keeps of itself."""

from collections.abc import Iterator
from typing import NamedTuple

from models.prediction_cache import PredictionCache
from monitoring.gc_schedule import GcSchedule
from serving.admission import Admission
from serving.decider import LiveDecider
from serving.live import LiveLoop
from serving.model_watch import ModelWatch
from serving.on_demand import OnDemand
from serving.order_session import OrderSession
from serving.outlets import Outlets
from serving.projection import Projection
from serving.recorder import Recorder
from serving.skew_sentinel import SkewSentinel
from serving.streaming.hub import Hub
from serving.tasks import BackgroundTasks
from trading.engine import TradingEngine

Pairs = Iterator[tuple[str, float]]


class Measures(NamedTuple):
    """The parts that count."""

    engine: TradingEngine
    live: LiveLoop
    admission: Admission
    watch: ModelWatch
    session: OrderSession
    decider: LiveDecider
    outlets: Outlets
    hub: Hub
    recorder: Recorder
    tasks: BackgroundTasks
    on_demand: OnDemand
    copy: Projection
    predictions: PredictionCache
    sentinel: SkewSentinel
    gc_schedule: GcSchedule

    def counters(self) -> dict[str, float]:
        """Totals since the start, by name."""
        return dict(
            [*self._market(), *self._models(), *self._orders(), *self._rows(), *self._house()]
        )

    def _market(self) -> Pairs:
        feed = self.session.feed
        if feed is not None:
            counts = feed.counters
            yield "feed_received", counts.received
            yield "feed_malformed", counts.malformed
            yield "feed_gaps", counts.gaps
            yield "feed_reconnects", counts.reconnects
            yield "feed_garbled", feed.garbled
            yield "feed_repeated", feed.repeated
        yield "quotes_missed", self.admission.missed
        yield "quotes_overwritten", self.admission.overwritten
        yield "feature_rebuilds", self.admission.rebuilds
        yield "feature_rebuilds_from_nothing", self.admission.holes
        engines = list(self.admission.features.engines())
        yield "feature_quotes_late", sum(engine.late for engine in engines)
        yield "feature_quotes_malformed", sum(engine.malformed for engine in engines)
        yield "feature_resets", sum(engine.cold for engine in engines)

        yield "feature_skew_checks", self.sentinel.checks
        yield "feature_skews", self.sentinel.skews
        yield "feature_skew_watch_lost", self.sentinel.lost

    def _models(self) -> Pairs:
        yield "model_swaps", self.watch.swaps
        yield "model_refusals", self.watch.refusals
        yield "model_poll_failures", self.watch.failures
        for direction, count in self.outlets.decisions.items():
            yield f"decisions_{direction.lower()}", count
        yield "decision_requests", self.decider.answered
        yield "predictions_found", self.predictions.hits
        yield "predictions_made", self.predictions.misses

    def _orders(self) -> Pairs:
        yield "orders_denied", self.outlets.denied
        yield "fills", self.outlets.fills
        yield "fills_inferred", self.session.inferred_fills
        yield "order_session_losses", self.session.losses
        yield "reconciliation_polls", self.session.polls
        scenarios = self.engine.desk.pipeline.scenarios
        if scenarios is not None:
            yield "scenario_hits", scenarios.counts.hits
            yield "scenario_misses", scenarios.counts.misses
            yield "scenario_stale", scenarios.counts.stale
            yield "scenario_used_stale", scenarios.counts.used_stale
            yield "scenario_saved_seconds", scenarios.counts.saved_ns / 1e9

    def _rows(self) -> Pairs:
        yield "on_demand_requests", self.on_demand.answered
        yield "decisions_held_stale", self.on_demand.held_stale
        yield "shared_rows_told", self.on_demand.shared.told
        yield "shared_rows_read", self.on_demand.shared.read
        rows = self.on_demand.rows
        yield "feature_rows_computed", rows.computed
        yield "feature_rows_shared", rows.shared
        yield "feature_rows_late", rows.late
        yield "feature_rows_crowded", rows.crowded
        yield "feature_rows_stale", rows.stale
        yield "cache_l1_hits", rows.cache.hits
        yield "cache_l1_misses", rows.cache.misses
        yield "cache_l2_foreign", rows.cache.foreign
        second = rows.cache.second
        for name in second.counts.__slots__:
            yield f"cache_l2_{name}", getattr(second.counts, name)
        yield "cache_breaker_opened", second.breaker.opened
        yield "cache_breaker_closed", second.breaker.closed
        yield "cache_breaker_probes", second.breaker.probes

    def _house(self) -> Pairs:
        yield "events", self.live.events
        yield "event_failures", self.live.failures
        yield "task_failures", len(self.tasks.dead)
        yield "journal_records_in_ledger", self.copy.records
        yield "journal_records_parked", self.copy.parked
        yield "journal_copy_failures", self.copy.failures
        yield "ledger_rows_dropped", self.outlets.dropped
        yield "analysis_rows_dropped", self.outlets.analysis_dropped
        yield "ledger_rows_parked", self.outlets.parked
        yield "ledger_write_failures", self.outlets.write_failures
        yield "recording_events_lost", self.recorder.lost
        yield "stream_messages", self.hub.seq
        yield "stream_messages_conflated", self.hub.conflated
        yield "stream_clients_cut", self.hub.cut_clients
        yield "gc_windows_missed", self.gc_schedule.skipped
        yield "listener_errors", self.engine.listener_errors
