"""Write a trained model as an artifact: data only, with the hashes that serving will check."""

from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np

from core.errors import ArtifactRefused, BadInput
from models import manifest as manifests
from models.boosted import FAMILY, LIBRARIES, BoostedModel
from models.dataset import Dataset
from models.inference.artifact import CANARY_FILES, FILES, HEAP_FILES, TOLERANCE
from models.manifest import Manifest, model_name
from models.training import TrainingResult

F4 = np.ndarray

CANARIES = 64
_COMPARED_ROWS = 20_000


def write_artifact(
    folder: Path,
    result: TrainingResult,
    dataset: Dataset,
    *,
    code_revision: str,
    trials: int | None = None,
    search: str = "",
) -> tuple[Manifest, str]:
    """Write the final model of a training run.

    Parameters
    ----------
    folder : Path
        New or empty.
    dataset : Dataset
        What `result` was trained on.
    code_revision : str
        Revision of this code, for the record.
    trials : int, optional
        What the manifest says of the configurations tried; those of `result` when absent, which is
        what its Deflated Sharpe Ratio allows for.
    search : str
        Name of the search that chose the settings, if one did.

    Returns
    -------
    Manifest, str
        The manifest and its SHA-256, the root of trust.

    Raises
    ------
    BadInput
        When the folder holds something already.
    ArtifactRefused
        When the heap engine and XGBoost disagree by more than 1e-7 on any compared row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty; an artifact is written into a folder of its own")
    part = dataset.training()
    compare_engines(result.model.boosted, _spread(part.rows, _COMPARED_ROWS), result.params.seed)
    _write_arrays(folder, result, _spread(part.rows, CANARIES))
    tried = result.trials if trials is None else trials
    manifest = _manifest(folder, result, dataset, code_revision, tried)
    manifest = msgspec.structs.replace(manifest, search=search)
    return manifest, manifests.write(folder, manifest)


def compare_engines(boosted: BoostedModel, rows: F4, seed: int) -> float:
    """Largest difference in p between the heap engine and XGBoost itself.

    Parameters
    ----------
    rows : float32[k, n]
        Compared as they are, and again with a tenth of the values gone (NaN).

    Raises
    ------
    ArtifactRefused
        When the difference is above 1e-7.
    """
    holes = rows.copy()
    holes[np.random.default_rng(seed).random(rows.shape) < 0.1] = np.nan
    worst = 0.0
    for block in (rows, holes):
        ours = 1.0 / (1.0 + np.exp(-boosted.margins(block).astype(np.float64)))
        worst = max(worst, float(np.max(np.abs(ours - boosted.own_probabilities(block)))))
    if not worst <= TOLERANCE:
        raise ArtifactRefused(
            f"heap engine and XGBoost differ by {worst:.3g} in p, at most {TOLERANCE} is allowed"
        )
    return worst


def _spread(rows: F4, count: int) -> F4:
    """At most `count` rows, evenly spread over time."""
    at = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64))
    return np.ascontiguousarray(rows[at])


def _write_arrays(folder: Path, result: TrainingResult, canary_rows: F4) -> None:
    boosted, trees = result.model.boosted, result.model.boosted.heap
    (folder / "model.ubj").write_bytes(boosted.ubjson())
    base = np.array([trees.base_margin], np.float32)
    # What serving must reproduce comes from XGBoost, not from the engine under test.
    canary_p = result.model.calibration.apply(boosted.own_margins(canary_rows))
    arrays: list[np.ndarray] = [
        trees.codes,
        trees.thresholds,
        trees.leaves,
        base,
        canary_rows,
        canary_p,
    ]
    for name, array in zip((*HEAP_FILES, *CANARY_FILES), arrays, strict=True):
        np.save(folder / name, array, allow_pickle=False)


def _manifest(
    folder: Path, result: TrainingResult, dataset: Dataset, code_revision: str, trials: int
) -> Manifest:
    spec, params = dataset.spec, result.params
    return Manifest(
        model=model_name(dataset.symbol),
        family=FAMILY,
        symbol=dataset.symbol,
        spec_name=spec.name,
        spec_fingerprint=spec.fingerprint,
        cadence=str(spec.cadence),
        bar_ns=spec.bar_ns,
        horizon_ns=dataset.horizon_ns,
        window=1,
        n_features=spec.n_features,
        files={name: manifests.file_entry(folder / name) for name in FILES},
        metrics=result.metrics,
        calibration=result.model.calibration,
        expected_move_pips=result.model.expected_move_pips,
        train_start_ns=result.train_start_ns,
        train_end_ns=result.train_end_ns,
        holdout_start_ns=dataset.holdout_start_ns,
        data_hash=dataset.data_hash,
        code_revision=code_revision,
        seed=params.seed,
        parameters={"num_boost_round": result.model.boosted.n_trees, **params.for_xgboost()},
        trials=trials,
        training=asdict(result.config),
        costs=asdict(result.costs),
        domain=result.model.domain,
        conformal=result.model.conformal,
        libraries=LIBRARIES,
    )
