"""Prometheus text, rendered when scraped from integers that the live path keeps."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from monitoring.latency import LatencySummary
from monitoring.prediction_ring import Spread

Numbers = Mapping[str, float]
Budgets = Mapping[str, tuple[float, int]]
QUANTILES = (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"), ("0.999", "p999"), ("1", "max"))


class PlatformCollector(Collector):
    """Reads the sources each time it is scraped.

    Parameters
    ----------
    counters, gauges : callable
        Return values by metric name (without prefix).
    latencies : callable
        Returns summaries by stage, in ns.
    budgets : callable
        Returns the budget in seconds by stage, and how often it was exceeded.
    predictions : callable
        Returns by symbol how its newest predictions are spread.
    """

    def __init__(
        self,
        counters: Callable[[], Numbers],
        gauges: Callable[[], Numbers],
        latencies: Callable[[], Mapping[str, LatencySummary]],
        budgets: Callable[[], Budgets] = dict,
        predictions: Callable[[], Mapping[str, Spread]] = dict,
    ) -> None:
        self._counters = counters
        self._gauges = gauges
        self._latencies = latencies
        self._budgets = budgets
        self._predictions = predictions

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families of this moment."""
        for name, value in self._counters().items():
            counter = CounterMetricFamily(f"tickpath_{name}", name.replace("_", " "))
            counter.add_metric((), value)
            yield counter
        for name, value in self._gauges().items():
            gauge = GaugeMetricFamily(f"tickpath_{name}", name.replace("_", " "))
            gauge.add_metric((), value)
            yield gauge
        yield from self._stages()
        yield from self._over_budget()
        yield from self._spreads()

    def _spreads(self) -> Iterator[Metric]:
        spreads = self._predictions()
        for field, text in (
            ("n", "newest predictions that the next two are of"),
            ("mean", "mean of the newest predictions"),
            ("sigma", "standard deviation of the newest predictions"),
        ):
            family = GaugeMetricFamily(f"tickpath_prediction_{field}", text, labels=("symbol",))
            for symbol, spread in spreads.items():
                family.add_metric((symbol,), getattr(spread, field))
            yield family

    def _over_budget(self) -> Iterator[Metric]:
        budgets = GaugeMetricFamily(
            "tickpath_stage_budget_seconds", "time that a stage may take", labels=("stage",)
        )
        exceeded = CounterMetricFamily(
            "tickpath_stage_over_budget", "walks of a stage that took longer", labels=("stage",)
        )
        for stage, (secs, count) in self._budgets().items():
            budgets.add_metric((stage,), secs)
            exceeded.add_metric((stage,), count)
        yield budgets
        yield exceeded

    def _stages(self) -> Iterator[Metric]:
        seconds = GaugeMetricFamily(
            "tickpath_stage_seconds", "duration of a stage", labels=("stage", "quantile")
        )
        counts = CounterMetricFamily(
            "tickpath_stage_samples", "measured walks of a stage", labels=("stage",)
        )
        for stage, summary in self._latencies().items():
            counts.add_metric((stage,), summary.samples)
            for quantile, field in QUANTILES:
                seconds.add_metric((stage, quantile), getattr(summary, field) / 1e9)
        yield counts
        yield seconds


def registry_of(collector: PlatformCollector) -> CollectorRegistry:
    """Return a registry of its own, so that two platforms in one process do not collide."""
    registry = CollectorRegistry()
    registry.register(collector)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """Prometheus text format."""
    return generate_latest(registry)
