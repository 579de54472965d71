"""Flow: the table of pre-validated order shapes, afresh."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact

from flows.resources import (
    RETRIES,
    RETRY_DELAY_SECS,
    ProgressBar,
    retry_if_unavailable,
    settings,
)
from flows.results import persisted
from flows.scenarios_job import scenarios as compute_scenarios
from trading.scenarios import Scenario


@task(
    name="compute-and-replace",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECS,
    retry_condition_fn=retry_if_unavailable,
    result_serializer=persisted(Scenario, many=True),
    timeout_seconds=600,
)
def compute_and_replace() -> list[Scenario]:
    """Compute the scenarios and put them in the ledger."""
    return compute_scenarios(settings())


@flow(name="scenarios")
def scenarios() -> int:
    """Validate the usual order shapes; returns how many there are."""
    found = compute_and_replace()
    refused = sum(not scenario.passed for scenario in found)
    ProgressBar("scenarios-progress")(1, 1, f"{len(found)} scenarios")
    get_run_logger().info("%d scenarios, %d of them refused", len(found), refused)
    rows = [
        {
            "symbol": scenario.symbol,
            "side": str(scenario.side),
            "lots": str(scenario.lots),
            "verdict": scenario.refused or "passed",
        }
        for scenario in found
    ]
    create_table_artifact(rows, "scenarios", f"account {found[0].account}" if found else "none")
    return len(found)
