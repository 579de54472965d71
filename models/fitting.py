"""One model from one stretch of training rows: trees, calibration, domain, interval of the move."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from core.columns import F8
from models.boosted import BoostedModel, BoostedParams, best_rounds, fit
from models.calibration import Calibration, fit_isotonic, fit_platt
from models.conformal import Conformal, fit_conformal
from models.dataset import Dataset
from models.domain import Domain, fit_domain
from models.evaluation import Scored
from models.labels import uniqueness
from models.validation import before

CALIBRATION_FRACTION = 0.2
STOPPING_FRACTION = 0.15
# Shares of the trees that might have been kept instead of all.
_STAGES = (0.25, 0.5, 0.75)
_FITS = {"platt": fit_platt, "isotonic": fit_isotonic}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FittedModel:
    """Trees with everything else that was learnt from their own training rows.

    Attributes
    ----------
    stages : tuple of (int, Calibration)
        Numbers of trees that might have been kept instead, each with a calibration of its own.
    """

    boosted: BoostedModel
    calibration: Calibration
    expected_move_pips: float
    base_rate: float
    train_rows: int
    domain: Domain
    conformal: Conformal | None
    stages: tuple[tuple[int, Calibration], ...]

    def predict(self, rows: np.ndarray) -> F8:
        """Calibrated p of rows float32[k, n], float64[k]."""
        return self.calibration.apply(self.boosted.margins(rows))

    def score(self, test: Dataset) -> Scored:
        """Predict rows that the model has not seen."""
        p = self.predict(test.rows)
        instead = [kind.apply(self.boosted.margins(test.rows, n)) for n, kind in self.stages]
        return Scored(
            dataset=test,
            p=p,
            base_p=np.full(len(test), self.base_rate),
            expected_move_pips=np.full(len(test), self.expected_move_pips),
            train_rows=self.train_rows,
            instead=np.array(instead).reshape(-1, len(test)),
            in_domain=self.domain.scores(test.rows) <= self.domain.limit,
            covered=self._covered(p, test.move_pips),
        )

    def _covered(self, p: F8, move_pips: F8) -> np.ndarray:
        if self.conformal is None:
            return np.zeros(len(p), np.bool_)
        return self.conformal.holds(p, move_pips, self.expected_move_pips)


def fit_calibrated(
    part: Dataset, params: BoostedParams, embargo: int, calibration: str = "platt"
) -> FittedModel:
    """Fit the trees on the earlier rows, calibration, domain limit and interval on the later ones.

    Parameters
    ----------
    part : Dataset
        Training rows in time order; the last fifth calibrates, purged and embargoed from the rest.
    calibration : str
        ``platt`` or ``isotonic``.
    """
    early, late = _cut(part, CALIBRATION_FRACTION, embargo)
    boosted = _fit_trees(early, params, embargo)
    weight = uniqueness(late.ts, late.end_ns)

    def calibrated(trees: int) -> Calibration:
        margins = boosted.margins(late.rows, trees)
        return _FITS[calibration](margins, late.up, weight)

    kept = boosted.n_trees
    final = calibrated(kept)
    move = float(np.mean(np.abs(part.move_pips)))
    stages = [0, *(round(share * kept) for share in _STAGES)]
    late_p = final.apply(boosted.margins(late.rows))
    return FittedModel(
        boosted=boosted,
        calibration=final,
        expected_move_pips=move,
        base_rate=float(np.mean(part.up)),
        train_rows=len(part),
        domain=fit_domain(early.rows, late.rows, part.spec.names),
        conformal=fit_conformal(late_p, late.move_pips, move),
        stages=tuple((n, calibrated(n)) for m, n in pairwise(stages) if n > m),
    )


def _fit_trees(early: Dataset, params: BoostedParams, embargo: int) -> BoostedModel:
    weight = uniqueness(early.ts, early.end_ns)
    trees = params.trees
    if params.early_stopping > 0:
        first, then = _cut(early, STOPPING_FRACTION, embargo)
        known = uniqueness(first.ts, first.end_ns)
        trees = best_rounds(first.rows, first.up, then.rows, then.up, params, known)
    return fit(early.rows, early.up, params.with_trees(trees), weight)


def _cut(part: Dataset, fraction: float, embargo: int) -> tuple[Dataset, Dataset]:
    """Earlier rows and the later fraction, the earlier ones purged and embargoed."""
    start = round(len(part) * (1.0 - fraction))
    # With few rows the embargo must not eat what there is to learn from; the purge always holds.
    early = before(part.ts, part.end_ns, start, min(embargo, start // 4))
    return part.select(early), part.select(np.arange(start, len(part)))
