"""Flow: measure a version by the figures of the gates, on the quotes as they are now."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact

from core.errors import NotFound
from flows.evaluate_job import Evaluated
from flows.evaluate_job import evaluate as measure
from flows.ingest_job import known_symbols
from flows.resources import (
    RETRIES,
    RETRY_DELAY_SECS,
    ProgressBar,
    retry_if_unavailable,
    settings,
)
from flows.results import persisted


@task(
    name="measure",
    task_run_name="evaluate-{symbol}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECS,
    retry_condition_fn=retry_if_unavailable,
    result_serializer=persisted(Evaluated),
    timeout_seconds=1_800,
)
def measure_version(symbol: str, version: str) -> Evaluated:
    """Find the figure of every gate; nothing is stored and nothing moves."""
    return measure(settings(), symbol, version)


@flow(name="evaluate")
def evaluate(symbol: str = "", version: str = "") -> list[str]:
    """Measure a version, the newest when none is named; without a symbol, of every one.

    Returns
    -------
    list of str
        ``<model>/<version>`` of each.
    """
    symbols = (symbol,) if symbol else known_symbols(settings())
    show = ProgressBar("evaluate-progress")
    found = []
    for done, name in enumerate(symbols, 1):
        try:
            one = measure_version(name, version)
        except NotFound as error:
            if symbol:
                raise
            get_run_logger().info("%s is left out: %s", name, error)
            continue
        _publish(name, one)
        found.append(f"{one.model}/{one.version}")
        show(done, len(symbols), f"{name}: version {one.version}")
    return found


def _publish(symbol: str, found: Evaluated) -> None:
    verdicts = [
        {"gate": gate.name, "meaning": gate.meaning, "verdict": str(gate)} for gate in found.gates
    ]
    rows = [{"figure": name, "value": value} for name, value in sorted(found.figures.items())]
    title = f"version {found.version}, as the quotes are now"
    create_table_artifact(verdicts, f"evaluate-{symbol.lower()}-gates", title)
    create_table_artifact(rows, f"evaluate-{symbol.lower()}-figures", title)
