"""Flow: compare what came after the training of the serving versions with the training."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.events import emit_event

from core.errors import NotFound
from flows.drift_job import Drift
from flows.drift_job import drift as look_at
from flows.drift_report import figures, html, markdown, summary
from flows.ingest_job import known_symbols
from flows.resources import (
    RETRIES,
    RETRY_DELAY_SECS,
    ProgressBar,
    retry_if_unavailable,
    settings,
)
from flows.results import persisted
from registry.drift_log import DriftRun, log_drift, note_told, open_drift_run
from registry.tracking import connect

EVENT = "tickpath.drift"
"""Sent when drift holds; the automation in `prefect.yaml` trains the symbol again."""


@task(
    name="compare",
    task_run_name="drift-{symbol}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECS,
    retry_condition_fn=retry_if_unavailable,
    result_serializer=persisted(Drift),
    timeout_seconds=1_800,
)
def compare(symbol: str, version: str) -> Drift:
    """Compare the quotes after the training of a version with those of the training."""
    return look_at(settings(), symbol, version)


@flow(name="drift")
def drift(symbol: str = "", version: str = "") -> list[str]:
    """Look for drift of the version that serves; without a symbol, for every one.

    Returns
    -------
    list of str
        A sentence for each.
    """
    symbols = (symbol,) if symbol else known_symbols(settings())
    show = ProgressBar("drift-progress")
    said = []
    for done, name in enumerate(symbols, 1):
        try:
            found = compare(name, version)
        except NotFound as error:
            if symbol:
                raise
            get_run_logger().info("%s is left out: %s", name, error)
            continue
        _publish(found)
        said.append(summary(found))
        show(done, len(symbols), said[-1])
    return said


def _publish(found: Drift) -> None:
    get_run_logger().info("%s", summary(found))
    key = f"drift-{found.symbol.lower()}"
    create_markdown_artifact(markdown(found), key, f"version {found.version}")
    if not found.windows:
        return
    config = settings().mlflow
    client = connect(config)
    of = f"{found.model}/{found.version}"
    log = open_drift_run(client, config.experiment, config.url, of)
    end_ns = found.windows[-1].end_ns
    log_drift(log, html(found), figures(found), end_ns // 10**9)
    create_link_artifact(log.url, "HTML report", key=f"{key}-report", description=summary(found))
    if found.holding and is_news(found, log):
        tell(found)
        note_told(client, log, end_ns)


def is_news(found: Drift, log: DriftRun) -> bool:
    """Whether all windows that hold are newer than those that were told of last."""
    return found.windows[-settings().drift.windows].start_ns >= log.told_ns


def tell(found: Drift) -> None:
    """Send the event."""
    emit_event(
        EVENT,
        {
            "prefect.resource.id": f"tickpath.model.{found.model}",
            "prefect.resource.name": f"{found.model} version {found.version}",
        },
        payload={
            "symbol": found.symbol,
            "version": found.version,
            "subjects": list(found.holding),
            "window_end_ns": found.windows[-1].end_ns,
        },
    )
