"""Why a model says what it says: values for one decision, and for a tested stretch as a whole.

Off the live path: XGBoost is imported here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.columns import F8, I8
from core.errors import ArtifactRefused, BadInput
from features.spec import spec_named
from models.boosted import BoostedModel, load
from models.calibration import Calibration
from models.dataset import Dataset
from models.evaluation import log_loss
from models.fitting import FittedModel
from models.inference.engines import UBJSON_FILE
from models.manifest import read, sha256_bytes

F4 = NDArray[np.float32]

_REPEATS = 3
_ROWS = 2_000
# A window costs a network as much as hundreds of rows cost trees.
_WINDOWS = 500
_POINTS = 21


@dataclass(frozen=True, slots=True)
class Explanation:
    """One prediction, taken apart.

    Attributes
    ----------
    p : float
        Calibrated P(up).
    margin, base : float
        Log-odds before calibration, and those without any feature.
    values : tuple of (str, float, float)
        Column, its value in the row, and what it adds to the log-odds; by size, largest first.
        `base` and the values add up to `margin`.
    """

    p: float
    margin: float
    base: float
    values: tuple[tuple[str, float, float], ...]


def explain_row(folder: Path, row: F4) -> Explanation:
    """TreeSHAP values of one row by a version's own trees.

    Lundberg et al., "From local explanations to global understanding with explainable AI for
    trees", Nature Machine Intelligence 2 (2020).

    Parameters
    ----------
    folder : Path
        A verified artifact.
    row : float32[n_features]
        As it was scored.

    Raises
    ------
    BadInput
        When the row has another length, or the version is no trees.
    ArtifactRefused
        When the model file is not the one that the manifest names.
    """
    manifest = read(folder)
    if UBJSON_FILE not in manifest.files:
        raise BadInput(f"TreeSHAP values are of trees; {manifest.model} is a {manifest.family}")
    if row.shape != (manifest.n_features,):
        raise BadInput(f"the row has shape {row.shape}, the model reads {manifest.n_features}")
    ubjson = (folder / UBJSON_FILE).read_bytes()
    if sha256_bytes(ubjson) != manifest.files[UBJSON_FILE].sha256:
        raise ArtifactRefused(f"{folder}: {UBJSON_FILE} is not the file that the manifest names")
    names = spec_named(manifest.spec_name).names
    return explained(load(ubjson), manifest.calibration, names, row)


def explained(
    boosted: BoostedModel, calibration: Calibration, names: Sequence[str], row: F4
) -> Explanation:
    """TreeSHAP values of a row float32[n_features]; see `explain_row`."""
    rows = np.ascontiguousarray(row[None, :], np.float32)
    parts = boosted.contributions(rows)[0].astype(np.float64)
    values = zip(names, row.tolist(), parts[:-1].tolist(), strict=True)
    margins = boosted.own_margins(rows)
    return Explanation(
        p=float(calibration.apply(margins)[0]),
        margin=float(margins[0]),
        base=float(parts[-1]),
        values=tuple(sorted(values, key=lambda value: -abs(value[2]))),
    )


def permutation_importance(model: FittedModel, tested: Dataset, seed: int = 0) -> F8:
    """Rise of the log-loss when one column is shuffled; Breiman, "Random forests" (2001).

    Of windows a column is exchanged as a whole, in the order that it had.

    Parameters
    ----------
    tested : Dataset
        Rows that the model has not seen, such as the holdout.

    Returns
    -------
    float64[n_features]
        Mean of three shuffles; below 0 for a column that harms.
    """
    rng = np.random.default_rng(seed)
    if tested.window > 1:
        tested = tested.select(_at_most(_WINDOWS, tested))
    inputs = tested.inputs[:]
    base = log_loss(model.predict(inputs), tested.up)
    out = np.zeros(inputs.shape[-1])
    for column in range(len(out)):
        for _ in range(_REPEATS):
            mixed = inputs.copy()
            mixed[..., column] = rng.permutation(mixed[..., column])
            out[column] += (log_loss(model.predict(mixed), tested.up) - base) / _REPEATS
    return out


def partial_dependence(
    model: FittedModel, tested: Dataset, columns: Sequence[int]
) -> list[tuple[F8, F8]]:
    """Mean p over rows when one column is set to a value; Friedman (2001), section 8.2.

    Returns
    -------
    list of (float64[k], float64[k])
        Per column: values between its 2 % and 98 % quantiles, and the mean p at each.
    """
    inputs = tested.inputs[_at_most(_ROWS if tested.window == 1 else _WINDOWS, tested)]
    curves = []
    for column in columns:
        changed = inputs.copy()
        values = np.quantile(changed[..., column], np.linspace(0.02, 0.98, _POINTS))
        means = []
        for value in values:
            changed[..., column] = value
            means.append(float(model.predict(changed).mean()))
        curves.append((values.astype(np.float64), np.array(means)))
    return curves


def _at_most(count: int, tested: Dataset) -> I8:
    return np.linspace(0, len(tested) - 1, min(count, len(tested))).astype(np.int64)
