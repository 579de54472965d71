"""Flow: a new version of one symbol's model, or of every symbol whose quotes changed."""

from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.context import TaskRunContext

from flows.dataset_job import dataset_of, source_of
from flows.ingest_job import known_symbols
from flows.resources import (
    RETRIES,
    RETRY_DELAY_SECS,
    ProgressBar,
    retry_if_unavailable,
    settings,
)
from flows.results import persisted
from flows.train_job import Trained, with_family
from flows.train_job import train as train_symbol


def _dataset_key(_context: TaskRunContext, parameters: dict[str, Any]) -> str:
    return f"dataset-{parameters['symbol']}-{parameters['key']}"


@task(
    name="build-dataset",
    task_run_name="dataset-{symbol}",
    cache_key_fn=_dataset_key,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECS,
    retry_condition_fn=retry_if_unavailable,
    timeout_seconds=3_600,
)
def build_dataset(symbol: str, family: str, key: str) -> int:
    """Build the data set of a symbol; `key` is the hash of all that it is made from.

    Returns
    -------
    int
        Rows; the data set itself stays on the disk, where `fit_and_register` finds it.
    """
    config = with_family(settings(), family)
    return len(dataset_of(config, source_of(config, symbol)))


@task(
    name="fit-and-register",
    task_run_name="train-{symbol}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_SECS,
    retry_condition_fn=retry_if_unavailable,
    result_serializer=persisted(Trained),
    timeout_seconds=21_600,
)
def fit_and_register(symbol: str, family: str = "") -> Trained:
    """Train one symbol's model and register it, unless nothing changed."""
    show = ProgressBar(f"train-{symbol.lower()}-progress")
    return train_symbol(with_family(settings(), family), symbol, on_progress=show)


@flow(name="train")
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
    made = []
    for name in symbols:
        config = with_family(settings(), family)
        build_dataset(name, family, source_of(config, name).key)
        made.append(fit_and_register(name, family))
        publish(made[-1])
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
    address = (
        f"{settings().mlflow.url}/#/models/{result.version.model}/versions/{result.version.version}"
    )
    create_link_artifact(address, "the version in MLflow", f"train-{symbol}-version", where)
