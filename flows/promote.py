"""Flow: judge the newest version of one symbol, or of all, and move the alias it has earned."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact

from core.errors import NotFound
from flows.ingest_job import known_symbols
from flows.promote_job import promote as promote_symbol
from flows.resources import (
    RETRIES,
    RETRY_DELAY_SECS,
    ProgressBar,
    retry_if_unavailable,
    settings,
)
from registry.promotion import Promotion


@task(
    name="judge-and-conclude",
    task_run_name="promote-{symbol}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECS,
    retry_condition_fn=retry_if_unavailable,
    persist_result=False,
)
def judge_and_conclude(symbol: str, version: str) -> Promotion:
    """Check every gate of a version and move its alias last."""
    return promote_symbol(settings(), symbol, version)


@flow(name="promote", persist_result=False)
def promote(symbol: str = "", version: str = "") -> list[str]:
    """Judge a version, the newest when none is named; without a symbol, of every one.

    A failed gate is a result and completes the run; its figures are in the artifact.

    Returns
    -------
    list of str
        ``<model>/<version> <alias>`` of each.
    """
    show = ProgressBar("promote-progress")
    symbols = (symbol,) if symbol else known_symbols(settings())
    results = []
    for done, name in enumerate(symbols, 1):
        try:
            results.append(judge_and_conclude(name, version))
        except NotFound as error:
            if symbol:
                raise
            get_run_logger().info("%s is left out: %s", name, error)
            continue
        _publish(name, results[-1])
        show(done, len(symbols), f"{name}: {results[-1].note}")
    return [f"{result.model}/{result.version} {result.alias}" for result in results]


def _publish(symbol: str, result: Promotion) -> None:
    get_run_logger().info("%s version %s: %s", result.model, result.version, result.note)
    rows = [
        {"gate": gate.name, "meaning": gate.meaning, "verdict": str(gate)} for gate in result.gates
    ]
    title = f"version {result.version}: {result.note}"
    create_table_artifact(rows, f"promote-{symbol.lower()}-gates", title)
