"""Write a trained model as an artifact: data only, with the hashes that serving will check."""

from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np

from core.columns import F8
from core.config import TrainingConfig
from core.errors import ArtifactRefused, BadInput
from models import manifest as manifests
from models.dataset import Dataset
from models.family import Learned
from models.inference.artifact import CANARY_FILES, REFERENCE_FILE, files_of
from models.manifest import Manifest, model_name
from models.reference import make_reference, write_reference
from models.training import TrainingResult
from models.windows import spread

F4 = np.ndarray

CANARIES = 64
_COMPARED_ROWS, _COMPARED_WINDOWS = 20_000, 2_000


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
        When the engine that serves and the family's library disagree on any compared row by more
        than the family tolerates.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise BadInput(f"{folder} is not empty; an artifact is written into a folder of its own")
    learner, learned = result.learner, result.model.learned
    inputs = dataset.training().inputs
    compared = spread(inputs, _COMPARED_ROWS if learner.window == 1 else _COMPARED_WINDOWS)
    compare_engines(learned, compared, learner.seed, learner.tolerance)
    learned.write(folder)
    canaries = spread(inputs, CANARIES)
    # What serving must reproduce comes from the library, not from the engine under test.
    canary_p = result.model.calibration.apply(learned.own_margins(canaries))
    np.save(folder / CANARY_FILES[0], canaries, allow_pickle=False)
    np.save(folder / CANARY_FILES[1], canary_p, allow_pickle=False)
    reference = make_reference(result, dataset)
    if reference is not None:
        write_reference(folder, reference)
    tried = result.trials if trials is None else trials
    manifest = _manifest(folder, result, dataset, code_revision, tried)
    manifest = msgspec.structs.replace(manifest, search=search)
    return manifest, manifests.write(folder, manifest)


def compare_engines(learned: Learned, inputs: F4, seed: int, tolerance: float) -> float:
    """Largest difference in p between the engine that serves and the library that fitted.

    Parameters
    ----------
    inputs : float32[k, n] or float32[k, window, n]
        Compared as they are, and again with a tenth of the values gone (NaN).

    Raises
    ------
    ArtifactRefused
        When the difference is above the tolerance.
    """
    holes = inputs.copy()
    holes[np.random.default_rng(seed).random(inputs.shape) < 0.1] = np.nan
    worst = 0.0
    for block in (inputs, holes):
        ours, theirs = _p(learned.margins(block)), _p(learned.own_margins(block))
        worst = max(worst, float(np.max(np.abs(ours - theirs))))
    if not worst <= tolerance:
        raise ArtifactRefused(
            f"the engine that serves and the library that fitted differ by {worst:.3g} in p, "
            f"at most {tolerance} is allowed"
        )
    return worst


def _p(margins: F4) -> F8:
    p: F8 = 1.0 / (1.0 + np.exp(-margins.astype(np.float64)))
    return p


def _manifest(
    folder: Path, result: TrainingResult, dataset: Dataset, code_revision: str, trials: int
) -> Manifest:
    spec, learner, learned = dataset.spec, result.learner, result.model.learned
    return Manifest(
        model=model_name(dataset.symbol),
        family=learner.family,
        symbol=dataset.symbol,
        spec_name=spec.name,
        spec_fingerprint=spec.fingerprint,
        cadence=str(spec.cadence),
        bar_ns=spec.bar_ns,
        horizon_ns=dataset.horizon_ns,
        window=learner.window,
        n_features=spec.n_features,
        files=_entries(folder, learned.engine),
        metrics=result.metrics,
        calibration=result.model.calibration,
        expected_move_pips=result.model.expected_move_pips,
        train_start_ns=result.train_start_ns,
        train_end_ns=result.train_end_ns,
        holdout_start_ns=dataset.holdout_start_ns,
        data_hash=dataset.data_hash,
        code_revision=code_revision,
        seed=learner.seed,
        parameters={**learner.parameters(), **learned.parameters()},
        trials=trials,
        training=_settings(result.config),
        costs=asdict(result.costs),
        peers=dataset.peers,
        domain=result.model.domain,
        conformal=result.model.conformal,
        libraries=learner.libraries,
        engine=learned.engine,
    )


def _entries(folder: Path, engine: str) -> dict[str, manifests.FileEntry]:
    names = files_of(engine)
    if (folder / REFERENCE_FILE).is_file():
        names |= {REFERENCE_FILE}
    return {name: manifests.file_entry(folder / name) for name in names}


def _settings(config: TrainingConfig) -> dict[str, int | float | str | bool | list[str]]:
    """Return the settings as JSON will give them back."""
    pairs = asdict(config).items()
    return {name: list(value) if isinstance(value, tuple) else value for name, value in pairs}
