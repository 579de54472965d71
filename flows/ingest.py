"""Flow: quotes of one symbol, or of every known source, into the tick store."""

import dataclasses

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.ingest_job import Ingested, bad_rows_table, describe, known_symbols
from flows.ingest_job import ingest as ingest_symbol
from flows.resources import (
    RETRIES,
    RETRY_DELAY_SECS,
    ProgressBar,
    retry_if_unavailable,
    settings,
)
from flows.results import persisted


@task(
    name="load-and-append",
    task_run_name="ingest-{symbol}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECS,
    retry_condition_fn=retry_if_unavailable,
    result_serializer=persisted(Ingested),
    timeout_seconds=3_600,
)
def load_and_append(
    symbol: str, source: str, replace: bool, max_bad_rows: float | None
) -> Ingested:
    """Load the quotes of one symbol and append the new ones."""
    config = settings()
    if max_bad_rows is not None:
        market = dataclasses.replace(config.market, max_bad_rows=max_bad_rows)
        config = dataclasses.replace(config, market=market)
    return ingest_symbol(config, symbol, source, replace=replace)


@flow(name="ingest")
def ingest(
    symbol: str = "",
    source: str = "",
    replace: bool = False,
    max_bad_rows: float | None = None,
) -> list[str]:
    """Load quotes; without a symbol, those of every source that was used before.

    Parameters
    ----------
    symbol : str
        Instrument, such as EURUSD.
    source : str
        ``simulator``, ``dukascopy``, a file or a folder; the symbol's known source when empty.
    replace : bool
        Drop the symbol's quotes of another source first.
    max_bad_rows : float, optional
        Share of rows that may be dropped; the setting `market.max_bad_rows` when absent.
    """
    symbols = (symbol,) if symbol else known_symbols(settings())
    show = ProgressBar("ingest-progress")
    for done, name in enumerate(symbols, 1):
        result = load_and_append(name, source, replace, max_bad_rows)
        show(done, len(symbols), f"{name}: {result.rows_new} new rows")
        _publish(result)
    return [f"{name}" for name in symbols]


def _publish(result: Ingested) -> None:
    get_run_logger().info(
        "%s: %d rows read, %d kept, %d new from %s",
        *(result.symbol, result.rows_read, result.rows_kept, result.rows_new, result.source),
    )
    key = f"ingest-{result.symbol.lower()}"
    create_markdown_artifact(describe(result), key)
    if result.bad:
        create_table_artifact(bad_rows_table(result), f"{key}-bad-rows", "dropped rows")
