"""Train one symbol's model and register it; what flow and command line both call."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.columns import F8
from core.config import FAMILIES, Config, StorageConfig
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS, InstrumentTable
from flows.dataset_job import Source, dataset_of, source_of
from flows.figures import training_figures
from flows.sources import Sources
from models.card import fold_table, render
from models.checkpoint import forget
from models.dataset import Dataset
from models.export import write_artifact
from models.manifest import Manifest, model_name, read
from models.training import TrainingResult
from models.training import train as fit
from models.tuning import count_trials as count_search_trials
from registry.lineage import environment_tags
from registry.loading import RegisteredVersion, RegistryReader, local_copies
from registry.promotion import SOURCE_TAG
from registry.registration import (
    count_trials,
    describe_version,
    find_version,
    name_challenger,
    register,
)
from registry.tracking import Run, connect, open_run
from trading.decision import decide

if TYPE_CHECKING:
    from mlflow import MlflowClient

_KEY_TAG = "training_key"

Progress = Callable[[int, int, str], None]


def searches(config: StorageConfig) -> Path:
    """Folder of the searches for parameters."""
    return config.home / "searches"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FinishedSearch:
    """A search that has chosen.

    Attributes
    ----------
    trials : int
        Pruned, failed and lost ones included.
    parameters : dict
        Of the best trial.
    value : float
        Its figure.
    tried : float64[complete, periods]
        What the complete trials earned.
    """

    name: str
    trials: int
    parameters: dict[str, int | float]
    value: float
    tried: F8


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A registered version.

    Attributes
    ----------
    new : bool
        False when a version of the same quotes, settings and code was there already.
    fold_table, card : str
        Markdown; for a version that was there already only the card says what it knows.
    """

    version: RegisteredVersion
    manifest: Manifest
    new: bool
    fold_table: str
    card: str


def train(
    config: Config,
    symbol: str,
    *,
    on_progress: Progress | None = None,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
    search: FinishedSearch | None = None,
) -> Trained:
    """Build the data set from stored quotes, train, log to MLflow and register a version.

    Parameters
    ----------
    search : FinishedSearch, optional
        What chose the settings of `config.training`; PBO is then among its trials.

    Raises
    ------
    BadInput
        When the symbol is unknown, its quotes do not suffice, or its features do not pass their
        check.
    Unavailable
        When MLflow does not answer.
    """
    instruments.by_symbol(symbol)
    source = source_of(config, symbol)
    client = connect(config.mlflow)
    key = _training_key(config, source, search)
    known = find_version(client, model_name(symbol), {_KEY_TAG: key})
    if known is not None:
        return _known(config, model_name(symbol), known)
    dataset = dataset_of(config, source, instruments)
    tags = {
        _KEY_TAG: key,
        SOURCE_TAG: Sources(config.storage.ticks).all().get(symbol, "unknown"),
        "symbol": symbol,
        "data_hash": source.data_hash,
        "code_revision": source.code_revision,
        **environment_tags(),
    }
    with open_run(client, config.mlflow.experiment, f"train-{symbol}", tags) as run:
        return _train_in(run, client, config, dataset, tags, on_progress, search)


def with_family(config: Config, family: str) -> Config:
    """Give settings with another family of models; the same ones when it is empty.

    Raises
    ------
    BadInput
        When there is no such family.
    """
    if not family:
        return config
    if family not in FAMILIES:
        raise BadInput(f"there is no family {family!r} of models; known: {', '.join(FAMILIES)}")
    return replace(config, training=replace(config.training, family=family))


def _train_in(
    run: Run,
    client: "MlflowClient",
    config: Config,
    dataset: Dataset,
    tags: dict[str, str],
    on_progress: Progress | None,
    search: FinishedSearch | None,
) -> Trained:
    run.params(_parameters(config, dataset))
    # The run that is open counts itself.
    trials = count_trials(client, config.mlflow.experiment, dataset.data_hash)
    trials += count_search_trials(searches(config.storage), "data_hash", dataset.data_hash)
    checkpoints = config.storage.home / "training" / dataset.symbol
    result = fit(
        dataset,
        config.training,
        decide,
        config.costs,
        config.decision,
        dataset.pip,
        on_progress=on_progress,
        trials=trials,
        tried=None if search is None else search.tried,
        checkpoints=checkpoints,
    )
    name = "" if search is None else search.name
    with tempfile.TemporaryDirectory(prefix="tickpath-artifact-") as folder:
        artifact = Path(folder) / "model"
        manifest, _ = write_artifact(
            artifact, result, dataset, code_revision=tags["code_revision"], search=name
        )
        _log(run, manifest, result, dataset)
        version = register(client, run, artifact, tags)
    card = render(manifest, result.folds, result.total)
    describe_version(client, version, card)
    name_challenger(client, version)
    forget(checkpoints)
    return Trained(
        version=version,
        manifest=manifest,
        new=True,
        fold_table=fold_table(result.folds, result.total),
        card=card,
    )


def _log(run: Run, manifest: Manifest, result: TrainingResult, dataset: Dataset) -> None:
    run.metrics(result.metrics)
    run.table([asdict(fold) for fold in result.folds], "folds.json")
    run.text(render(manifest, result.folds, result.total), "card.md")
    for name, figure in training_figures(result, dataset).items():
        run.figure(figure, name)


def _known(config: Config, model: str, number: str) -> Trained:
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    version = reader.version(model, number)
    manifest = read(reader.fetch(version))
    return Trained(version=version, manifest=manifest, new=False, fold_table="", card="")


def _parameters(config: Config, dataset: Dataset) -> dict[str, Any]:
    return {
        **asdict(config.training),
        "symbol": dataset.symbol,
        "spec": dataset.spec.name,
        "spec_fingerprint": dataset.spec.fingerprint,
        "horizon_secs": dataset.horizon_ns / 1e9,
        "rows": len(dataset),
        "training_rows": len(dataset.training()),
        "data_hash": dataset.data_hash,
        "slippage_pips": config.costs.slippage_pips,
        "commission_pips": config.costs.commission_pips,
        "margin_pips": config.decision.margin_pips,
    }


def _training_key(config: Config, source: Source, search: FinishedSearch | None) -> str:
    """Hash of all that decides the outcome; equal keys give equal bytes."""
    name = None if search is None else (search.name, search.trials)
    made_from = (source.data_hash, source.code_revision)
    parts = (*made_from, config.training, config.costs, config.decision, name)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
