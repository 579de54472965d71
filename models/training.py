"""Walk-forward evaluation, then the final model, from one data set.

Everything that is fitted (trees, calibration, E|move|, base rate) is fitted inside the fold, on
rows whose labels end before the first tested row.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from core.columns import F8, I8
from core.config import DecisionConfig, TrainingConfig
from core.costs import CostModel
from core.errors import BadInput
from models.boosted import BoostedModel, BoostedParams, fit
from models.calibration import Calibration, fit_platt
from models.dataset import Dataset
from models.evaluation import Decide, FoldResult, Policy, Scored, Trades, assess, lower_bound
from models.labels import uniqueness
from models.validation import before, walk_forward

CALIBRATION_FRACTION = 0.2
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, eq=False)
class FittedModel:
    """Trees with the calibration and the move estimate of their own training rows."""

    boosted: BoostedModel
    calibration: Calibration
    expected_move_pips: float
    base_rate: float
    train_rows: int

    def predict(self, rows: np.ndarray) -> F8:
        """Calibrated p of rows float32[k, n], float64[k]."""
        return self.calibration.apply(self.boosted.margins(rows))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrainingResult:
    """What a training run hands to export, registration and the gates.

    Attributes
    ----------
    folds : tuple of FoldResult
        One per test block.
    total : FoldResult
        All test blocks together.
    out_of_sample : Scored
        Test rows with their predictions, in time order, never from the holdout.
    trades : Trades
        Round trips over all test blocks.
    metrics : dict of str to float
        `total` and the bootstrap bound, all finite, as they go to the manifest.
    model : FittedModel
        Fitted on the whole training part.
    """

    folds: tuple[FoldResult, ...]
    total: FoldResult
    out_of_sample: Scored
    trades: Trades
    metrics: dict[str, float]
    model: FittedModel
    params: BoostedParams
    train_start_ns: int
    train_end_ns: int


def train(
    dataset: Dataset,
    config: TrainingConfig,
    decide: Decide,
    costs: CostModel,
    decision_config: DecisionConfig,
    pip: float,
    on_progress: Progress | None = None,
    nthread: int = 1,
) -> TrainingResult:
    """Evaluate by walk-forward and fit the final model, all inside the training part.

    Parameters
    ----------
    decide : callable
        `trading.decision.decide`.
    pip : float
        Size of a pip; must be the data set's.
    on_progress : callable, optional
        Called with (steps done, steps in all, what was just done).

    Raises
    ------
    BadInput
        When a fold has too few rows or one class only, or the pip is another one.
    """
    if pip != dataset.pip:
        raise BadInput(f"the data set was labelled with a pip of {dataset.pip}, not {pip}")
    policy = Policy(decide, costs, decision_config)
    params = BoostedParams.of(config, nthread)
    part = dataset.training()
    tell = on_progress or _silent
    scored: list[Scored] = []
    folds: list[FoldResult] = []
    splits = walk_forward(part.ts, part.end_ns, config.folds, config.embargo_samples)
    for number, (train_rows, test_rows) in enumerate(splits, 1):
        fitted = fit_calibrated(part.select(train_rows), params, config.embargo_samples)
        scored.append(_score(fitted, part.select(test_rows)))
        folds.append(assess(scored[-1], policy, number)[0])
        tell(number, config.folds + 1, f"fold {number} of {config.folds}")
    whole = _join(scored, part)
    total, trades = assess(whole, policy)
    model = fit_calibrated(part, params, config.embargo_samples)
    tell(config.folds + 1, config.folds + 1, "final model")
    return TrainingResult(
        folds=tuple(folds),
        total=total,
        out_of_sample=whole,
        trades=trades,
        metrics=_metrics(total, trades, config.seed),
        model=model,
        params=params,
        train_start_ns=int(part.ts[0]),
        train_end_ns=int(part.end_ns.max()),
    )


def fit_calibrated(part: Dataset, params: BoostedParams, embargo: int) -> FittedModel:
    """Fit the trees on the earlier rows and the calibration on the later ones.

    Parameters
    ----------
    part : Dataset
        Training rows in time order; the last fifth calibrates, purged and embargoed from the rest.
    """
    start = round(len(part) * (1.0 - CALIBRATION_FRACTION))
    # With few rows the embargo must not eat what there is to learn from; the purge always holds.
    early = part.select(before(part.ts, part.end_ns, start, min(embargo, start // 4)))
    boosted = fit(early.rows, early.up, params, uniqueness(early.ts, early.end_ns))
    late = part.select(np.arange(start, len(part)))
    return FittedModel(
        boosted=boosted,
        calibration=fit_platt(
            boosted.margins(late.rows), late.up, uniqueness(late.ts, late.end_ns)
        ),
        expected_move_pips=float(np.mean(np.abs(part.move_pips))),
        base_rate=float(np.mean(part.up)),
        train_rows=len(part),
    )


def _score(model: FittedModel, test: Dataset) -> Scored:
    return Scored(
        dataset=test,
        p=model.predict(test.rows),
        base_p=np.full(len(test), model.base_rate),
        expected_move_pips=np.full(len(test), model.expected_move_pips),
        train_rows=model.train_rows,
    )


def _join(scored: list[Scored], part: Dataset) -> Scored:
    """All test blocks as one: they are neighbours, so together they are one stretch of rows."""
    n = sum(len(one.p) for one in scored)
    rows: I8 = np.arange(len(part) - n, len(part))
    return Scored(
        dataset=part.select(rows),
        p=np.concatenate([one.p for one in scored]),
        base_p=np.concatenate([one.base_p for one in scored]),
        expected_move_pips=np.concatenate([one.expected_move_pips for one in scored]),
        train_rows=max(one.train_rows for one in scored),
    )


def _metrics(total: FoldResult, trades: Trades, seed: int) -> dict[str, float]:
    metrics = {
        name: float(value)
        for name, value in asdict(total).items()
        if name not in ("fold", "start_ns", "end_ns")
    }
    metrics["net_pips_per_trade_lower"] = lower_bound(trades.net_pips, seed)
    return metrics


def _silent(_done: int, _of: int, _what: str) -> None:
    """No one listens."""
