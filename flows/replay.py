"""Flow ``backtest``: the live engine on the quotes that the serving versions have not seen."""

import base64
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from core.errors import NotFound
from flows.ingest_job import known_symbols
from flows.replay_job import out_of_sample, report_file
from flows.resources import (
    RETRIES,
    RETRY_DELAY_SECS,
    ProgressBar,
    retry_if_unavailable,
    settings,
)


@task(
    name="trade",
    task_run_name="backtest-{symbol}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECS,
    retry_condition_fn=retry_if_unavailable,
    timeout_seconds=3_600,
)
def trade(symbol: str) -> list[list[str]]:
    """Trade one symbol; returns name and value of every figure."""
    return [list(row) for row in out_of_sample(settings(), symbol).rows()]


@flow(name="backtest")
def backtest(symbol: str = "") -> list[str]:
    """Trade the quotes after the training; without a symbol, of every one with a version.

    Returns
    -------
    list of str
        The symbols that were traded.
    """
    symbols = (symbol,) if symbol else known_symbols(settings())
    show = ProgressBar("backtest-progress")
    traded = []
    for done, name in enumerate(symbols, 1):
        try:
            rows = trade(name)
        except NotFound as error:
            if symbol:
                raise
            get_run_logger().info("%s is left out: %s", name, error)
            continue
        _publish(name, rows)
        traded.append(name)
        show(done, len(symbols), name)
    return traded


def _publish(symbol: str, rows: list[list[str]]) -> None:
    key = f"backtest-{symbol.lower()}"
    create_table_artifact([{"figure": n, "value": v} for n, v in rows], key, "out of sample")
    picture = report_file(settings(), symbol)
    create_markdown_artifact(_inline(picture), f"{key}-chart", "equity, out of sample")


def _inline(picture: Path) -> str:
    """Give the picture as Markdown that needs no file beside it."""
    data = base64.b64encode(picture.read_bytes()).decode()
    return f"![equity](data:image/png;base64,{data})"
