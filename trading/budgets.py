"""How long each stage of an order may take in this process; beyond it is counted and told.

A stage over its budget changes nothing of the order: only the ack time-out makes one UNKNOWN.
"""

from monitoring.latency import StageLatencies

# Preparation is the journal's record and the reservation, confirmation the booking of a report.
BUDGETS_NS = {"risk": 1_000_000, "journal": 1_000_000, "send": 2_000_000, "confirm": 1_000_000}


class StageBudgets:
    """Counts the walks over budget, and tells which stages had new ones.

    Parameters
    ----------
    latencies : StageLatencies
        Of the engine.
    """

    def __init__(self, latencies: StageLatencies) -> None:
        self._latencies = latencies
        self._told = dict.fromkeys(BUDGETS_NS, 0)

    def over_budget(self) -> dict[str, tuple[float, int]]:
        """Return the budget in seconds and the walks over it, by stage."""
        return {
            stage: (limit / 1e9, self._latencies.above(stage, limit))
            for stage, limit in BUDGETS_NS.items()
        }

    def news(self) -> dict[str, int]:
        """Return how many walks went over budget since the last call, for stages with any."""
        found = {}
        for stage, (_, count) in self.over_budget().items():
            if count > self._told[stage]:
                found[stage] = count - self._told[stage]
                self._told[stage] = count
        return found
