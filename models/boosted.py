"""XGBoost model of one feature row: P(mid is up over the horizon), or the size of the move."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numba
import numpy as np
import xgboost
from numpy.typing import NDArray

from core.config import TrainingConfig
from core.errors import BadInput
from models.dataset import Dataset
from models.family import Parameters, Tell
from models.inference.engines import (
    ENGINE_FILES,
    HEAP,
    NODES,
    TOLERANCES,
    UBJSON_FILE,
    engine_of,
)
from models.inference.heap import HeapTrees
from models.inference.nodes import NodeTrees
from models.trees import compile_model
from models.weights import sample_weights, targets
from models.windows import Inputs

F4 = NDArray[np.float32]
Targets = NDArray[np.bool_] | NDArray[np.float64]

FAMILY = "boosted-trees"
LIBRARIES = {
    "xgboost": xgboost.__version__,
    "numpy": np.__version__,
    "numba": numba.__version__,
}
"""Versions of what decides the bytes of a model: trees, weights and splits, feature rows."""
STOPPING_FRACTION = 0.15
_OBJECTIVES = {"direction": "binary:logistic", "return": "reg:squarederror"}
_METRICS = {"direction": "logloss", "return": "rmse"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostedParams:
    """What is told to XGBoost, beside objective and tree method.

    With `early_stopping` above 0, `trees` is the most that are grown. With `objective` "return" the
    trees learn the move in units of its own standard deviation; its calibration then says how
    likely a move of that forecast is to be up.

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
    early_stopping: int = 0
    objective: str = "direction"
    class_weight: str = "none"
    cost_weight: str = "none"

    @classmethod
    def of(cls, config: TrainingConfig, nthread: int = 1) -> "BoostedParams":
        """Parameters that the training settings name."""
        return cls(
            trees=config.trees,
            depth=config.depth,
            learning_rate=config.learning_rate,
            min_child_weight=config.min_child_weight,
            subsample=config.subsample,
            colsample_bytree=config.colsample_bytree,
            reg_lambda=config.reg_lambda,
            seed=config.seed,
            nthread=nthread,
            early_stopping=config.early_stopping,
            objective=config.objective,
            class_weight=config.class_weight,
            cost_weight=config.cost_weight,
        )

    @property
    def family(self) -> str:
        """As the manifest names it."""
        return FAMILY

    @property
    def window(self) -> int:
        """Trees read one row."""
        return 1

    @property
    def steps(self) -> int:
        """A fit tells of its end only."""
        return 1

    @property
    def tolerance(self) -> float:
        """Both engines are XGBoost to the bit; the rest is the logistic function."""
        return TOLERANCES[HEAP]

    @property
    def libraries(self) -> dict[str, str]:
        """Versions of what decides the bytes."""
        return LIBRARIES

    def learn(self, early: Dataset, embargo: int, tell: Tell) -> "BoostedModel":
        """Fit on rows in time order; with early stopping, their last part says how many trees."""
        trees = self.trees
        if self.early_stopping > 0:
            first, then = early.cut(STOPPING_FRACTION, embargo)
            known, later = (targets(part, self.objective) for part in (first, then))
            trees = best_rounds(first.rows, known, then.rows, later, self, self.weights(first))
        fitted = fit(
            early.rows, targets(early, self.objective), self.with_trees(trees), self.weights(early)
        )
        tell(1, f"{fitted.n_trees} trees")
        return fitted

    def weights(self, data: Dataset) -> NDArray[np.float64]:
        """How much each row counts."""
        return sample_weights(data, self.class_weight, self.cost_weight)

    def parameters(self) -> Parameters:
        """Give what XGBoost is told, as asked for."""
        return self.for_xgboost()

    def with_trees(self, trees: int) -> "BoostedParams":
        """Give the same parameters with another number of trees, all of them grown."""
        return replace(self, trees=trees, early_stopping=0)

    def for_xgboost(self) -> dict[str, int | float | str]:
        """Names and values as ``xgboost.train`` takes them, all but the number of rounds."""
        return {
            "objective": _OBJECTIVES[self.objective],
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
    """A fitted booster; predicts with the engine that serves, so that this is what is tested."""

    def __init__(self, booster: xgboost.Booster) -> None:
        self._booster = booster

    @cached_property
    def compiled(self) -> HeapTrees | NodeTrees:
        """The compiled trees."""
        return compile_model(bytes(self._booster.save_raw("json")))

    @property
    def engine(self) -> str:
        """Name of the engine that holds them."""
        return HEAP if isinstance(self.compiled, HeapTrees) else NODES

    def ubjson(self) -> bytes:
        """XGBoost's own file, in UBJSON."""
        return bytes(self._booster.save_raw("ubj"))

    @property
    def n_trees(self) -> int:
        """Number of trees."""
        return int(self._booster.num_boosted_rounds())

    @property
    def size(self) -> int:
        """What was kept: trees."""
        return self.n_trees

    @property
    def model_file(self) -> str:
        """Name of XGBoost's own file in the artifact."""
        return UBJSON_FILE

    def margins(self, inputs: Inputs, size: int | None = None) -> F4:
        """Log-odds of rows float32[k, n] by our engine, float32[k]; of the first trees."""
        trees = self.compiled if size is None else self.compiled.first(size)
        return engine_of(trees).margins(np.ascontiguousarray(inputs[:]))

    def write(self, folder: Path) -> None:
        """Write XGBoost's file and the compiled trees."""
        (folder / UBJSON_FILE).write_bytes(self.ubjson())
        for name, array in zip(ENGINE_FILES[self.engine], self.compiled.arrays(), strict=True):
            np.save(folder / name, array, allow_pickle=False)

    def parameters(self) -> Parameters:
        """Give the number of trees kept."""
        return {"num_boost_round": self.n_trees}

    def contributions(self, rows: F4) -> F4:
        """TreeSHAP values of rows, float32[k, n + 1]: log-odds per feature, the base at the end."""
        data = xgboost.DMatrix(rows, nthread=1)
        values: F4 = self._booster.predict(data, pred_contribs=True)
        return values

    def own_margins(self, inputs: Inputs) -> F4:
        """Log-odds by XGBoost itself, to compare with."""
        predicted: F4 = self._booster.inplace_predict(inputs[:], predict_type="margin")
        return predicted

    def own_probabilities(self, rows: F4) -> F4:
        """Uncalibrated probabilities by XGBoost itself, to compare with."""
        predicted: F4 = self._booster.inplace_predict(rows)
        return predicted


def load(ubjson: bytes) -> BoostedModel:
    """Model of XGBoost's own file, as `BoostedModel.ubjson` gives it."""
    return BoostedModel(xgboost.Booster({"nthread": 1}, model_file=bytearray(ubjson)))


def fit(
    rows: F4,
    up: Targets,
    params: BoostedParams,
    weight: NDArray[np.float64] | None = None,
) -> BoostedModel:
    """Fit a model.

    Parameters
    ----------
    rows : float32[m, n]
        Feature rows; NaN is allowed, infinity is not.
    up : bool[m] or float64[m]
        Outcomes, both classes present; for the objective "return" their size.
    weight : float64[m], optional
        Sample weights.

    Raises
    ------
    BadInput
        When there is nothing to learn: no rows, or one class only.
    """
    _refuse_one_class(up)
    data = _matrix(rows, up, params, weight)
    return BoostedModel(xgboost.train(params.for_xgboost(), data, params.trees))


def best_rounds(
    rows: F4,
    up: Targets,
    later_rows: F4,
    later_up: Targets,
    params: BoostedParams,
    weight: NDArray[np.float64] | None = None,
) -> int:
    """Find the number of trees with the least loss on later rows; at least 1.

    Growing ends when `params.early_stopping` trees in a row brought no gain. The model is fitted
    anew with this number, on all rows, so that the rows that stopped it are learnt from as well.
    """
    _refuse_one_class(up)
    booster = xgboost.train(
        {**params.for_xgboost(), "eval_metric": _METRICS[params.objective]},
        _matrix(rows, up, params, weight),
        params.trees,
        evals=[(_matrix(later_rows, later_up, params), "later")],
        early_stopping_rounds=params.early_stopping,
        verbose_eval=False,
    )
    return int(booster.best_iteration) + 1


def _matrix(
    rows: F4,
    up: Targets,
    params: BoostedParams,
    weight: NDArray[np.float64] | None = None,
) -> xgboost.DMatrix:
    return xgboost.DMatrix(rows, up.astype(np.float32), weight=weight, nthread=params.nthread)


def _refuse_one_class(up: Targets) -> None:
    n_up = int(np.count_nonzero(np.greater(up, 0)))
    if n_up in (0, len(up)):
        side = "down or flat" if n_up == 0 else "up"
        raise BadInput(f"all {len(up)} rows to fit are {side}; a direction model needs both")
