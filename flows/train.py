"""Flow: a new version of one symbol's model, or of every symbol whose quotes changed."""

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from flows.ingest_job import known_symbols
from flows.resources import (
    RETRIES,
    RETRY_DELAY_SECS,
    ProgressBar,
    retry_if_unavailable,
    settings,
)
from flows.train_job import Trained, with_family
from flows.train_job import train as train_symbol


@task(
    name="fit-and-register",
    task_run_name="train-{symbol}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECS,
    retry_condition_fn=retry_if_unavailable,
    persist_result=False,
)
def fit_and_register(symbol: str, family: str = "") -> Trained:
    """Train one symbol's model and register it, unless nothing changed."""
    show = ProgressBar(f"train-{symbol.lower()}-progress")
    return train_symbol(with_family(settings(), family), symbol, on_progress=show)


@flow(name="train", persist_result=False)
def train(symbol: str = "", family: str = "") -> list[str]:
    """Train; without a symbol, every one that has quotes.

    Parameters
    ----------
    family : str
        ``trees``, ``tcn``, ``gru`` or ``mlp``; that of the settings when empty.

    Returns
    -------
    list of str
        ``<model>/<version>`` of each.
    """
    symbols = (symbol,) if symbol else known_symbols(settings())
    made = [fit_and_register(name, family) for name in symbols]
    for result in made:
        publish(result)
    return [f"{result.version.model}/{result.version.version}" for result in made]


def publish(result: Trained) -> None:
    """Show fold table and card of a new version in the UI."""
    where = f"{result.version.model} version {result.version.version}"
    if not result.new:
        get_run_logger().info("%s is of the same quotes, settings and code", where)
        return
    get_run_logger().info("%s registered", where)
    symbol = result.manifest.symbol.lower()
    create_markdown_artifact(result.fold_table, f"train-{symbol}-folds", where)
    create_markdown_artifact(result.card, f"train-{symbol}-card", where)
