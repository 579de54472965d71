"""Flow: search for the parameters of a symbol's model on every core, then train with the best."""

from dataclasses import replace
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from core.errors import NotFound
from flows.ingest_job import known_symbols
from flows.resources import ProgressBar, settings
from flows.train import publish
from flows.train_job import FinishedSearch, Trained
from flows.train_job import train as train_symbol
from flows.tune_job import Attempt, Future, conclude, cores, open_search, work
from models.trials import TrialResult, with_parameters
from models.tuning import describe


# The journal of the search keeps what a slot came to, also from other processes.
@task(name="try", task_run_name="slot-{slot}", persist_result=False, cache_policy=NO_CACHE)
def try_slot(slot: int, attempt: Attempt) -> TrialResult | str:
    """Evaluate what a slot tries; `slot` names the task run."""
    get_run_logger().info("slot %d begins", slot)
    return attempt()


# XGBoost lets go of the interpreter while it grows trees, so threads fill the cores; all of them
# end with the process, and with them its claims.
_RUNNER: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=cores())


@flow(name="tune", task_runner=_RUNNER, timeout_seconds=86_400)
def tune(symbol: str = "", trials: int = 0) -> list[str]:
    """Search and train; without a symbol, for every one that has quotes.

    Parameters
    ----------
    trials : int
        Slots to try, those of an earlier start included; the setting `tuning.trials` when 0.

    Returns
    -------
    list of str
        ``<model>/<version>`` of each.
    """
    symbols = (symbol,) if symbol else known_symbols(settings())
    if not symbols:
        raise NotFound("there are no stored quotes of any symbol; ingest some first")
    return [_tune(name, trials) for name in symbols]


def _tune(symbol: str, trials: int) -> str:
    config = settings()
    search = open_search(config, symbol, trials)
    try:
        show = ProgressBar(f"tune-{symbol.lower()}-progress")
        work(search, _submit, config.tuning.workers or cores(), show)
        found = conclude(search)
        create_markdown_artifact(
            describe(search.study, found.parameters), f"tune-{symbol.lower()}-trials", search.name
        )
    finally:
        search.close()
    trained = _train(symbol, found)
    publish(trained)
    return f"{trained.version.model}/{trained.version.version}"


def _submit(slot: int, attempt: Attempt) -> Future:
    # Quoted, for Prefect would look through all it refers to for futures.
    quoted: Any = quote(attempt)
    future: Future = try_slot.submit(slot, quoted)
    return future


def _train(symbol: str, found: FinishedSearch) -> Trained:
    config = settings()
    tuned = replace(config, training=with_parameters(config.training, found.parameters))
    return train_symbol(tuned, symbol, search=found)
