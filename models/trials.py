"""What a search tries: the space of parameters, and one trial by walk-forward.

A trial's figure is the log-loss over that of the base rate, averaged over the folds. It judges
every tested row; the profit of the few that are traded would reward luck, and is kept only to tell
how much of the search was luck.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from core.columns import F8
from core.config import TrainingConfig
from core.errors import BadInput
from models.dataset import Dataset
from models.evaluation import Policy, by_period, log_loss
from models.families import learner_of
from models.fitting import fit_calibrated
from models.validation import walk_forward

Watch = Callable[[int, float], bool]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrialResult:
    """Outcome of a trial.

    Attributes
    ----------
    value : float
        Mean of `fold_values`; less is better, 1 is no skill.
    fold_values, fold_net_pips : tuple of float
        Log-loss over that of the base rate, and net result of the trades, of each fold tested.
    pruned : bool
        Stopped before the last fold.
    net_pips : float64[periods]
        Net result by period of equally many tested rows; empty when pruned.
    """

    value: float
    fold_values: tuple[float, ...]
    fold_net_pips: tuple[float, ...]
    pruned: bool
    net_pips: F8


def space_of(config: TrainingConfig) -> dict[str, BaseDistribution]:
    """Ranges of what is searched for the family that the settings name.

    The number of trees only where early stopping does not set it; a network's window stays, since
    the data set is made for it.
    """
    if config.family != "trees":
        return {
            "network_rate": FloatDistribution(2e-4, 2e-2, log=True),
            "dropout": FloatDistribution(0.0, 0.5),
            "weight_decay": FloatDistribution(1e-5, 1e-1, log=True),
            "channels": IntDistribution(8, 64, step=8),
        }
    space: dict[str, BaseDistribution] = {
        "depth": IntDistribution(2, 8),
        "learning_rate": FloatDistribution(0.01, 0.3, log=True),
        "min_child_weight": FloatDistribution(1.0, 300.0, log=True),
        "subsample": FloatDistribution(0.4, 1.0),
        "colsample_bytree": FloatDistribution(0.4, 1.0),
        "reg_lambda": FloatDistribution(0.1, 100.0, log=True),
    }
    if config.early_stopping == 0:
        space["trees"] = IntDistribution(25, 600, log=True)
    return space


def start_of(config: TrainingConfig) -> dict[str, int | float] | None:
    """Values that the settings have, so that they are tried first; None when out of the space."""
    space = space_of(config)
    start = {name: getattr(config, name) for name in space}
    inside = all(
        kind.low <= start[name] <= kind.high
        for name, kind in space.items()
        if isinstance(kind, (FloatDistribution, IntDistribution))
    )
    return start if inside else None


def with_parameters(
    config: TrainingConfig, parameters: Mapping[str, int | float]
) -> TrainingConfig:
    """Put what a trial found into the settings.

    Raises
    ------
    BadInput
        When a parameter is none of the settings.
    """
    known = {field.name for field in fields(TrainingConfig)}
    if unknown := sorted(set(parameters) - known):
        raise BadInput(f"training has no setting {unknown[0]!r}")
    found: dict[str, Any] = dict(parameters)
    return replace(config, **found)


def evaluate_trial(
    part: Dataset, config: TrainingConfig, policy: Policy, watch: Watch
) -> TrialResult:
    """Walk forward with these settings until `watch` says to stop.

    Parameters
    ----------
    part : Dataset
        The training part, in time order.
    watch : callable
        Called after each fold with its number from 0 and the mean so far; True ends the trial.
    """
    values: list[float] = []
    nets: list[tuple[np.ndarray, F8]] = []
    learner = learner_of(config)
    splits = list(
        walk_forward(part.ts, part.end_ns, config.folds, config.embargo_samples, part.start_ns)
    )
    first = int(splits[0][1][0])
    for fold, (train_rows, test_rows) in enumerate(splits):
        known = part.select(train_rows)
        fitted = fit_calibrated(known, learner, config.embargo_samples, config.calibration)
        scored = fitted.score(part.select(test_rows))
        up = scored.dataset.up
        values.append(log_loss(scored.p, up) / log_loss(scored.base_p, up))
        trades = scored.traded(policy)
        nets.append((trades.rows + int(test_rows[0]) - first, trades.net_pips))
        last = fold == len(splits) - 1
        if watch(fold, float(np.mean(values))) and not last:
            return _result(values, nets, pruned=True, rows=0)
    return _result(values, nets, pruned=False, rows=len(part) - first)


def _result(
    values: Sequence[float], nets: Sequence[tuple[np.ndarray, F8]], *, pruned: bool, rows: int
) -> TrialResult:
    joined = [np.concatenate(arrays) for arrays in zip(*nets, strict=True)]
    return TrialResult(
        value=float(np.mean(values)),
        fold_values=tuple(values),
        fold_net_pips=tuple(float(net.sum()) for _, net in nets),
        pruned=pruned,
        net_pips=np.empty(0) if pruned else by_period(joined[0], joined[1], rows),
    )
