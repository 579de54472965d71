"""Histograms: percentiles within their stated error of the exact ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitoring.latency import LatencyHistogram, StageLatencies


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_percentile_is_within_a_bucket(values: list[int], fraction: float) -> None:
    histogram = LatencyHistogram()
    for value in values:
        histogram.record(value)
    exact = int(np.sort(values)[max(int(np.ceil(fraction * len(values))) - 1, 0)])
    assert exact <= histogram.percentile(fraction) <= exact + exact // 64 + 1


def test_summary_counts_and_keeps_the_exact_maximum() -> None:
    histogram = LatencyHistogram()
    for value in (1, 2, 3, 123_456_789, -5):
        histogram.record(value)
    summary = histogram.summary()
    assert (summary.samples, summary.max) == (5, 123_456_789)
    assert summary.p50 == 2


def test_stages_without_samples_are_left_out() -> None:
    stages = StageLatencies(("features", "predict"))
    stages.record("predict", 10)
    assert list(stages.summaries()) == ["predict"]


def test_a_summary_says_the_same_as_its_percentiles() -> None:
    histogram = LatencyHistogram()
    assert histogram.summary() == (0, 0, 0, 0, 0, 0)
    for value in range(0, 5_000_000, 997):
        histogram.record(value)
    found = [histogram.percentile(fraction) for fraction in (0.5, 0.95, 0.99, 0.999)]
    assert list(histogram.summary()) == [histogram.count, *found, histogram.max]


def test_samples_above_a_limit_are_counted_to_the_resolution_of_the_buckets() -> None:
    stages = StageLatencies(("a",))
    for value in (5, 999_000, 1_000_000, 1_030_000, 1_000_000_000):
        stages.record("a", value)
    assert stages.above("a", 1_000_000) == 2
    assert stages.above("a", 0) == 5
    assert stages.above("a", 2_000_000_000) == 0
