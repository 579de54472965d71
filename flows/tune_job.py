"""Search for the parameters of one symbol's model; what flow and tests both call.

Any number of processes may run the search of the same quotes, settings and code: they share its
journal. One that is killed loses the trials it was at, which are tried again.
"""

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from core.config import Config
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from flows.train_job import FinishedSearch, Progress, searches
from models.dataset import Dataset
from models.evaluation import Policy
from models.proposals import StudyTerms
from models.stored import snapshot, stored_dataset
from models.study_file import alone
from models.trials import TrialResult, evaluate_trial, space_of, start_of, with_parameters
from models.tuning import Claim, SharedStudy, Told, quiet
from registry.lineage import code_revision
from registry.search_log import SearchLog
from registry.tracking import connect
from storage.adapters import open_ticks
from trading.decision import decide

_WAIT_SECS = 0.2
_NET_PIPS = "net_pips"


class Future(Protocol):
    """What a submission gives back."""

    def result(self) -> "TrialResult | str":
        """Wait for the outcome: a result, or the sentence of a failure."""
        ...


Attempt = Callable[[], "TrialResult | str"]
Submit = Callable[[int, Attempt], Future]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Search:
    """A search that this process works on; `close` it at the end.

    Attributes
    ----------
    part : Dataset
        The training part.
    log : SearchLog, optional
        Where trials are told to.
    """

    name: str
    config: Config
    part: Dataset
    policy: Policy
    study: SharedStudy
    trials: int
    log: SearchLog | None = None

    def attempt(self, claim: Claim) -> Attempt:
        """Bind a claim to its evaluation, to be run anywhere in this process."""

        def evaluate() -> TrialResult | str:
            settings = with_parameters(self.config.training, claim.parameters)
            try:
                return evaluate_trial(self.part, settings, self.policy, claim.report)
            except BadInput as error:
                return str(error)

        return evaluate

    def finished(self) -> FinishedSearch:
        """Return what the search has chosen; raises BadInput when no trial is complete."""
        best = self.study.best()
        return FinishedSearch(
            name=self.name,
            trials=len(self.study.trials),
            parameters=dict(best.params),
            value=float(best.value or 0.0),
            tried=np.array([trial.user_attrs[_NET_PIPS] for trial in self.study.complete()]),
        )

    def close(self) -> None:
        """Give up what is claimed and not told."""
        self.study.close()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_search(
    config: Config,
    symbol: str,
    trials: int = 0,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
) -> Search:
    """Begin the search of a symbol's parameters on its stored quotes, or go on with it.

    Parameters
    ----------
    trials : int
        Number of slots; the setting when 0. A search may be opened again with more.

    Raises
    ------
    BadInput
        When the symbol is unknown or its quotes do not suffice.
    Unavailable
        When MLflow does not answer.
    """
    instrument = instruments.by_symbol(symbol)
    store = open_ticks(config.storage)
    if symbol not in store.symbols():
        raise BadInput(f"there are no stored quotes of {symbol}; ingest some first")
    client = connect(config.mlflow)
    data_hash, revision = snapshot(store, symbol, config.training), code_revision()
    dataset = stored_dataset(
        store, instrument, config.training, config.costs, data_hash, instruments=instruments
    )
    name = _name(config, symbol, data_hash, revision)
    attributes = {"symbol": symbol, "data_hash": data_hash, "code_revision": revision}
    wished = trials or config.tuning.trials
    study = open_study(config, name, wished, attributes)
    with alone(searches(config.storage) / f"{name}.log-lock"):
        log = SearchLog(client, config.mlflow.experiment, name, attributes)
    return Search(
        name=name,
        config=config,
        part=dataset.training(),
        policy=Policy(decide, config.costs, config.decision),
        study=study,
        trials=wished,
        log=log,
    )


def open_study(config: Config, name: str, trials: int, attributes: dict[str, Any]) -> SharedStudy:
    """Open the journal of a search over the space of the training settings."""
    terms = StudyTerms(
        name=name,
        space=space_of(config.training),
        start=start_of(config.training),
        trials=trials,
        batch=config.tuning.batch,
        startup=config.tuning.startup,
        seed=config.training.seed,
        attributes=attributes,
    )
    return SharedStudy(searches(config.storage), terms)


def work(search: Search, submit: Submit, workers: int, on_progress: Progress | None = None) -> None:
    """Try slots until all have ended, here or in the processes that share the search.

    Parameters
    ----------
    submit : callable
        Starts an attempt for a slot, as a task runner does.
    workers : int
        Attempts at once.
    """
    with quiet():
        while not search.study.finished:
            claims = search.study.claim(workers)
            _settle(search)
            if not claims:
                time.sleep(_WAIT_SECS)  # the rest of the batch is with other processes
                continue
            _try(search, claims, submit)
            if on_progress is not None:
                done = search.study.ended
                best = min((t.value for t in search.study.complete() if t.value), default=np.nan)
                on_progress(done, search.trials, f"{done} of {search.trials}, best {best:.5f}")


def _settle(search: Search) -> None:
    if search.log is not None:
        search.log.settle_lost(search.study.lost())


def _try(search: Search, claims: Sequence[Claim], submit: Submit) -> None:
    """Run claims side by side and tell them in order of their slots."""
    for claim in claims:
        if search.log is not None:
            search.log.begin(claim.number, claim.slot, claim.parameters)
    futures = [submit(claim.slot, search.attempt(claim)) for claim in claims]
    for claim, future in zip(claims, futures, strict=True):
        found = future.result()
        search.study.tell(claim, _told(found))
        _log(search.log, claim, found)


def _told(found: TrialResult | str) -> Told:
    if isinstance(found, str):
        return Told(cause=found, attributes={})
    kept = {_NET_PIPS: found.net_pips.tolist()}
    return Told(value=found.value, pruned=found.pruned, attributes=kept)


def _log(log: SearchLog | None, claim: Claim, found: TrialResult | str) -> None:
    if log is None:
        return
    if isinstance(found, str):
        log.end(claim.number, found, {})
        return
    pairs = zip(found.fold_values, found.fold_net_pips, strict=True)
    for fold, (value, net) in enumerate(pairs):
        log.fold(claim.number, fold, {"fold.log_loss_ratio": value, "fold.net_pips": net})
    figures = {"log_loss_ratio": found.value, "net_pips": sum(found.fold_net_pips)}
    log.end(claim.number, "pruned" if found.pruned else "complete", figures)


def conclude(search: Search) -> FinishedSearch:
    """Tell MLflow what was chosen, and return it."""
    found = search.finished()
    if search.log is not None:
        _settle(search)
        search.log.conclude(
            {"log_loss_ratio": found.value, "trials": float(found.trials)}, found.parameters
        )
    return found


def _name(config: Config, symbol: str, data_hash: str, revision: str) -> str:
    """Name of the search of all that decides its outcome but the number of trials."""
    rules = (config.tuning.batch, config.tuning.startup)
    parts = (data_hash, revision, config.training, config.costs, config.decision, rules)
    return f"{symbol}-{hashlib.sha256(repr(parts).encode()).hexdigest()[:16]}"
