"""What a version's inputs, scores and results were like at training: what drift is measured from.

Written beside the model as a file of the version, so that the reference is frozen with it and
verified with it. Scores and results are those of the walk-forward test rows, which nothing that
scored them had seen: in-sample ones would be better than any live window ever is.
"""

from pathlib import Path

import msgspec
import numpy as np

from core.columns import F8
from core.errors import BadInput
from models.dataset import Dataset
from models.domain import CLOCK
from models.evaluation import Scored
from models.inference.artifact import REFERENCE_FILE
from models.training import TrainingResult
from monitoring.drift import Sketch, Usual, sketch, usual, window_sizes

SCHEMA = "tickpath-reference/1"


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """Frozen sketches of a version.

    Attributes
    ----------
    base_rate : float
        Share of ups of the training rows.
    features : tuple of Sketch
        One per feature column, without those of the clock, which is never where it was.
    score : Sketch
        Of the calibrated p.
    results : tuple of Usual
        Log-loss over that of the base rate, a mean over rows whose outcome is known.
    """

    schema: str = SCHEMA
    base_rate: float
    features: tuple[Sketch, ...]
    score: Sketch
    results: tuple[Usual, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of windows that can be judged, rising."""
        return tuple(null.rows for null in self.score.nulls)


def make_reference(result: TrainingResult, dataset: Dataset) -> Reference | None:
    """Freeze what a training saw; None with too few rows to know what chance does to a window."""
    scored = result.out_of_sample
    sizes = window_sizes(len(scored.p))
    if not sizes:
        return None
    rows = dataset.training().rows
    features = (
        sketch(name, rows[:, k], sizes)
        for k, name in enumerate(dataset.spec.names)
        if not name.startswith(CLOCK)
    )
    losses = excess_loss(scored.p, _base(scored), scored.dataset.up)
    return Reference(
        base_rate=result.model.base_rate,
        features=tuple(features),
        score=sketch("score", scored.p, sizes),
        results=tuple(usual(losses, size) for size in sizes),
    )


def excess_loss(p: F8, base_p: F8, up: np.ndarray) -> F8:
    """Log-loss of each row over that of the base rate, float64[m]; below zero is skill."""
    return _loss(p, up) - _loss(base_p, up)


def write_reference(folder: Path, reference: Reference) -> None:
    """Write the file of the version."""
    (folder / REFERENCE_FILE).write_bytes(msgspec.json.encode(reference, order="sorted"))


def read_reference(folder: Path) -> Reference | None:
    """Read it back from a verified folder; None for a version that was made without.

    Raises
    ------
    BadInput
        When the file is no reference of this schema.
    """
    path = folder / REFERENCE_FILE
    if not path.is_file():
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Reference)
    except msgspec.DecodeError as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    if found.schema != SCHEMA:
        raise BadInput(f"{path} has schema {found.schema!r}, not {SCHEMA!r}")
    return found


def _base(scored: Scored) -> F8:
    return np.asarray(scored.base_p, np.float64)


def _loss(p: F8, up: np.ndarray) -> F8:
    q = np.clip(p, 1e-15, 1.0 - 1e-15)
    return np.where(up, -np.log(q), -np.log1p(-q))
