"""Walk-forward evaluation, then the final model, from one data set.

Everything that is fitted (model, calibration, E|move|, base rate) is fitted inside the fold, on
rows whose labels end before the first tested row.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from core.columns import F8, I8
from core.config import DecisionConfig, TrainingConfig
from core.costs import CostModel
from core.errors import BadInput
from models.dataset import Dataset
from models.evaluation import Decide, FoldResult, Policy, Scored, Trades, assess, lower_bound
from models.families import learner_of
from models.family import Learner, Tell
from models.fitting import FittedModel, fit_calibrated
from models.labels import balance, uniqueness
from models.paths import evaluate_paths
from models.validation import walk_forward

Progress = Callable[[int, int, str], None]


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
        `total`, the bootstrap bound and the class balance, all finite, as they go to the manifest.
    model : FittedModel
        Fitted on the whole training part.
    learner : Learner
        Family and settings as asked for; early stopping may have kept less.
    config, costs : TrainingConfig, CostModel
        What the run was made with.
    trials : int
        Configurations tried on this data, this one included.
    """

    folds: tuple[FoldResult, ...]
    total: FoldResult
    out_of_sample: Scored
    trades: Trades
    metrics: dict[str, float]
    model: FittedModel
    learner: Learner
    config: TrainingConfig
    costs: CostModel
    trials: int
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
    trials: int = 1,
    tried: F8 | None = None,
    checkpoints: Path | None = None,
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
    trials : int
        Configurations tried on this data, this one, pruned and failed ones included; the Deflated
        Sharpe Ratio allows for them.
    tried : float64[configurations, periods], optional
        What the complete trials of the search earned that chose these settings; PBO is among them.
    checkpoints : Path, optional
        Folder from whose states a killed training goes on; the caller removes it afterwards.

    Raises
    ------
    BadInput
        When a fold has too few rows or one class only, or the pip is another one.
    """
    if pip != dataset.pip:
        raise BadInput(f"the data set was labelled with a pip of {dataset.pip}, not {pip}")
    policy = Policy(decide, costs, decision_config)
    learner = learner_of(config, nthread, checkpoints)
    part = dataset.training()
    steps = _Steps(on_progress, learner.steps, config.folds + 1)
    scored: list[Scored] = []
    folds: list[FoldResult] = []
    embargo = config.embargo_samples
    splits = walk_forward(part.ts, part.end_ns, config.folds, embargo, part.start_ns)
    for number, (train_rows, test_rows) in enumerate(splits, 1):
        name = f"fold {number} of {config.folds}"
        known = part.select(train_rows)
        fitted = fit_calibrated(known, learner, embargo, config.calibration, steps.of(name))
        scored.append(fitted.score(part.select(test_rows)))
        folds.append(assess(scored[-1], policy, number, trials)[0])
        steps.done(name)
    whole = _join(scored, part)
    total, trades = assess(whole, policy, trials=trials, tried=tried)
    metrics = {**_metrics(total, trades, config.seed), **_balance(part)}
    if config.combinatorial:
        metrics |= evaluate_paths(part, learner, config, policy).metrics()
    tell = steps.of("final model")
    model = fit_calibrated(part, learner, embargo, config.calibration, tell)
    steps.done("final model")
    return TrainingResult(
        folds=tuple(folds),
        total=total,
        out_of_sample=whole,
        trades=trades,
        metrics=metrics,
        model=model,
        learner=learner,
        config=config,
        costs=costs,
        trials=trials,
        train_start_ns=int(part.ts[0]),
        train_end_ns=int(part.end_ns.max()),
    )


def _join(scored: list[Scored], part: Dataset) -> Scored:
    """All test blocks as one: they are neighbours, so together they are one stretch of rows."""
    n = sum(len(one.p) for one in scored)
    rows: I8 = np.arange(len(part) - n, len(part))

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(one, name) for one in scored])

    # Folds may have stopped at different numbers of trees; the shares of them are the same.
    stages = min(len(one.instead) for one in scored if one.instead is not None)
    instead: list[F8] = [one.instead[:stages] for one in scored if one.instead is not None]
    return Scored(
        dataset=part.select(rows),
        p=joined("p"),
        base_p=joined("base_p"),
        expected_move_pips=joined("expected_move_pips"),
        train_rows=max(one.train_rows for one in scored),
        instead=np.concatenate(instead, axis=1),
        in_domain=joined("in_domain"),
        covered=joined("covered"),
        radius_pips=joined("radius_pips"),
    )


def _metrics(total: FoldResult, trades: Trades, seed: int) -> dict[str, float]:
    metrics = {
        name: float(value)
        for name, value in asdict(total).items()
        if name not in ("fold", "start_ns", "end_ns")
    }
    metrics["net_pips_per_trade_lower"] = lower_bound(trades.net_pips, seed)
    return metrics


def _balance(part: Dataset) -> dict[str, float]:
    found = balance(part.up, part.move_pips, uniqueness(part.ts, part.end_ns))
    return {f"labels_{name}": float(value) for name, value in asdict(found).items()}


class _Steps:
    """Progress of one fit after another, each of as many steps."""

    def __init__(self, on_progress: Progress | None, each: int, fits: int) -> None:
        self._hear, self._each, self._fits = on_progress, each, fits
        self._ended = 0

    def of(self, name: str) -> Tell:
        """Give the next fit what it tells its steps to; its last one is told by `done`."""

        def tell(done: int, what: str) -> None:
            if self._hear is not None and done < self._each:
                at = self._ended * self._each + done
                self._hear(at, self._fits * self._each, f"{name}: {what}")

        return tell

    def done(self, name: str) -> None:
        """Tell that the fit has ended, however early."""
        self._ended += 1
        if self._hear is not None:
            self._hear(self._ended * self._each, self._fits * self._each, name)
