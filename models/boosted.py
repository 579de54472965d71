"""XGBoost direction model: P(mid is up over the horizon) from one feature row."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xgboost
from numpy.typing import NDArray

from core.config import TrainingConfig
from core.errors import BadInput
from models.inference.heap import HeapTrees, margins
from models.trees import compile_trees

F4 = NDArray[np.float32]

FAMILY = "boosted-trees"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostedParams:
    """What is told to XGBoost, beside objective and tree method.

    Subsampling, `min_child_weight` and `reg_lambda` hold back trees that would learn single
    episodes by heart; with weights by uniqueness both count independent labels, not rows. One
    thread is the default because these data sets are small: two were slower in every case tried,
    ten times on a busy machine. An ``OMP_NUM_THREADS`` of 1 silently wins over `nthread`.
    """

    trees: int = 200
    depth: int = 4
    learning_rate: float = 0.05
    min_child_weight: float = 10.0
    subsample: float = 0.8
    colsample_bytree: float = 0.8
    reg_lambda: float = 10.0
    seed: int = 7
    nthread: int = 1

    @classmethod
    def of(cls, config: TrainingConfig, nthread: int = 1) -> "BoostedParams":
        """Parameters that the training settings name."""
        return cls(
            trees=config.trees,
            depth=config.depth,
            learning_rate=config.learning_rate,
            seed=config.seed,
            nthread=nthread,
        )

    def for_xgboost(self) -> dict[str, int | float | str]:
        """Names and values as ``xgboost.train`` takes them, all but the number of rounds."""
        return {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "max_depth": self.depth,
            "learning_rate": self.learning_rate,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample_bytree,
            "reg_lambda": self.reg_lambda,
            "seed": self.seed,
            "nthread": self.nthread,
            "verbosity": 0,
        }


class BoostedModel:
    """A fitted booster; predicts with the heap engine, so that what is tested is what serves."""

    def __init__(self, booster: xgboost.Booster) -> None:
        self._booster = booster

    @cached_property
    def heap(self) -> HeapTrees:
        """The compiled trees."""
        return compile_trees(bytes(self._booster.save_raw("json")))

    def ubjson(self) -> bytes:
        """XGBoost's own file, in UBJSON."""
        return bytes(self._booster.save_raw("ubj"))

    def margins(self, rows: F4) -> F4:
        """Log-odds of rows float32[k, n] by the heap engine, float32[k]."""
        return margins(self.heap, np.ascontiguousarray(rows))

    def own_margins(self, rows: F4) -> F4:
        """Log-odds by XGBoost itself, to compare with."""
        predicted: F4 = self._booster.inplace_predict(rows, predict_type="margin")
        return predicted

    def own_probabilities(self, rows: F4) -> F4:
        """Uncalibrated probabilities by XGBoost itself, to compare with."""
        predicted: F4 = self._booster.inplace_predict(rows)
        return predicted


def fit(
    rows: F4,
    up: NDArray[np.bool_],
    params: BoostedParams,
    weight: NDArray[np.float64] | None = None,
) -> BoostedModel:
    """Fit a direction model.

    Parameters
    ----------
    rows : float32[m, n]
        Feature rows; NaN is allowed, infinity is not.
    up : bool[m]
        Outcomes, both classes present.
    weight : float64[m], optional
        Sample weights.

    Raises
    ------
    BadInput
        When there is nothing to learn: no rows, or one class only.
    """
    n_up = int(np.count_nonzero(up))
    if n_up in (0, len(up)):
        side = "down or flat" if n_up == 0 else "up"
        raise BadInput(f"all {len(up)} rows to fit are {side}; a direction model needs both")
    data = xgboost.DMatrix(rows, up.astype(np.float32), weight=weight, nthread=params.nthread)
    return BoostedModel(xgboost.train(params.for_xgboost(), data, params.trees))
