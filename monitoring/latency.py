"""Stage stamps and log-linear histograms of durations, all in integers, rendered when asked.

The histogram has 64 linear buckets in every power of two (relative error under 1/64), as in HDR
histograms (https://hdrhistogram.org), so that recording is two shifts and one addition.
"""

from array import array
from typing import NamedTuple

import numpy as np

_SUB_BITS = 6
_SUB = 1 << _SUB_BITS
_BUCKETS = (64 - _SUB_BITS) * _SUB


class LatencySummary(NamedTuple):
    """Percentiles in ns, the exact maximum, and the number of samples."""

    samples: int
    p50: int
    p95: int
    p99: int
    p999: int
    max: int


class LatencyHistogram:
    """Counts of durations in ns, from 0 to 2**63."""

    __slots__ = ("_counts", "max", "total")

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * _BUCKETS))
        self.max = 0
        self.total = 0

    def record(self, duration_ns: int) -> None:
        """Count one duration; a negative one counts as zero."""
        value = duration_ns if duration_ns > 0 else 0
        shift = value.bit_length() - _SUB_BITS - 1
        index = value if shift <= 0 else shift * _SUB + (value >> shift)
        self._counts[index] += 1
        self.total += value
        if value > self.max:
            self.max = value

    @property
    def count(self) -> int:
        """Number of recorded durations."""
        return int(np.frombuffer(self._counts, np.uint64).sum())

    def percentile(self, fraction: float) -> int:
        """Smallest bucket bound under which `fraction` of the samples lie, ns; 0 when empty."""
        return self._percentiles((fraction,))[1][0]

    def above(self, limit_ns: int) -> int:
        """Count the samples above `limit_ns`, to the resolution of the buckets."""
        counts = np.frombuffer(self._counts, np.uint64)
        return int(counts[_index(limit_ns) + 1 :].sum())

    def summary(self) -> LatencySummary:
        """Return the percentiles of what was recorded so far."""
        samples, (p50, p95, p99, p999) = self._percentiles((0.5, 0.95, 0.99, 0.999))
        return LatencySummary(samples, p50, p95, p99, p999, self.max)

    def _percentiles(self, fractions: tuple[float, ...]) -> tuple[int, list[int]]:
        """Count the samples and find the percentiles over one running sum."""
        cumulative = np.cumsum(np.frombuffer(self._counts, np.uint64), dtype=np.int64)
        samples = int(cumulative[-1])
        if samples == 0:
            return 0, [0] * len(fractions)
        wanted = np.array(fractions) * samples
        indices = np.searchsorted(cumulative, wanted, side="left").tolist()
        return samples, [min(_upper_bound(index), self.max) for index in indices]


def _index(value: int) -> int:
    shift = value.bit_length() - _SUB_BITS - 1
    return value if shift <= 0 else shift * _SUB + (value >> shift)


def _upper_bound(index: int) -> int:
    if index < 2 * _SUB:
        return index
    shift = index // _SUB - 1
    return (index - shift * _SUB + 1 << shift) - 1


class StageLatencies:
    """One histogram per named stage."""

    def __init__(self, stages: tuple[str, ...]) -> None:
        self.stages = stages
        self._histograms = {stage: LatencyHistogram() for stage in stages}

    def record(self, stage: str, duration_ns: int) -> None:
        """Count one duration of `stage`."""
        self._histograms[stage].record(duration_ns)

    def above(self, stage: str, limit_ns: int) -> int:
        """Count the samples of `stage` above `limit_ns`."""
        return self._histograms[stage].above(limit_ns)

    def summaries(self) -> dict[str, LatencySummary]:
        """Summaries of the stages that have samples, in walk order."""
        summaries = {name: h.summary() for name, h in self._histograms.items()}
        return {name: summary for name, summary in summaries.items() if summary.samples}
