"""One model from one stretch of training rows: model, calibration, domain, interval of the move."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from core.columns import F8
from models.calibration import Calibration, fit_isotonic, fit_platt
from models.conformal import Conformal, fit_conformal, radius_of
from models.dataset import Dataset
from models.domain import Domain, fit_domain
from models.evaluation import Scored
from models.family import Learned, Learner, Tell, silent
from models.labels import uniqueness
from models.windows import Inputs

CALIBRATION_FRACTION = 0.2
# Shares of the trees or epochs that might have been kept instead of all.
_STAGES = (0.25, 0.5, 0.75)
_FITS = {"platt": fit_platt, "isotonic": fit_isotonic}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FittedModel:
    """What a family has learnt with everything else that was learnt from the same training rows.

    Attributes
    ----------
    stages : tuple of (int, Calibration)
        Sizes (trees, epochs) that might have been kept instead, each with a calibration of its own.
    """

    learned: Learned
    calibration: Calibration
    expected_move_pips: float
    base_rate: float
    train_rows: int
    domain: Domain
    conformal: Conformal | None
    stages: tuple[tuple[int, Calibration], ...]

    def predict(self, inputs: Inputs) -> F8:
        """Calibrated p of rows float32[k, n] or windows, float64[k]."""
        return self.calibration.apply(self.learned.margins(inputs))

    def score(self, test: Dataset) -> Scored:
        """Predict rows that the model has not seen."""
        p = self.predict(test.inputs)
        instead = [kind.apply(self.learned.margins(test.inputs, n)) for n, kind in self.stages]
        return Scored(
            dataset=test,
            p=p,
            base_p=np.full(len(test), self.base_rate),
            expected_move_pips=np.full(len(test), self.expected_move_pips),
            train_rows=self.train_rows,
            instead=np.array(instead).reshape(-1, len(test)),
            in_domain=self.domain.scores(test.rows) <= self.domain.limit,
            covered=self._covered(p, test.move_pips),
            radius_pips=np.full(len(test), radius_of(self.conformal)),
        )

    def _covered(self, p: F8, move_pips: F8) -> np.ndarray:
        if self.conformal is None:
            return np.zeros(len(p), np.bool_)
        return self.conformal.holds(p, move_pips, self.expected_move_pips)


def fit_calibrated(
    part: Dataset,
    learner: Learner,
    embargo: int,
    calibration: str = "platt",
    tell: Tell = silent,
) -> FittedModel:
    """Fit the model on the earlier rows, calibration, domain limit and interval on the later ones.

    Parameters
    ----------
    part : Dataset
        Training rows in time order; the last fifth calibrates, purged and embargoed from the rest.
    calibration : str
        ``platt`` or ``isotonic``.
    """
    early, late = part.cut(CALIBRATION_FRACTION, embargo)
    learned = learner.learn(early, embargo, tell)
    weight = uniqueness(late.ts, late.end_ns)

    def calibrated(size: int | None = None) -> Calibration:
        return _FITS[calibration](learned.margins(late.inputs, size), late.up, weight)

    final = calibrated()
    move = float(np.mean(np.abs(part.move_pips)))
    stages = [0, *(round(share * learned.size) for share in _STAGES)]
    late_p = final.apply(learned.margins(late.inputs))
    return FittedModel(
        learned=learned,
        calibration=final,
        expected_move_pips=move,
        base_rate=float(np.mean(part.up)),
        train_rows=len(part),
        domain=fit_domain(early.rows, late.rows, part.spec.names),
        conformal=fit_conformal(late_p, late.move_pips, move),
        stages=tuple((n, calibrated(n)) for m, n in pairwise(stages) if n > m),
    )
