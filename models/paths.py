"""Out-of-sample paths of combinatorial purged cross-validation: how much one history was luck."""

from dataclasses import dataclass

import numpy as np

from core.columns import F8
from core.config import TrainingConfig
from models.combinatorial import combinatorial_splits, group_edges, path_splits
from models.dataset import Dataset
from models.evaluation import Policy, Scored
from models.family import Learner
from models.fitting import fit_calibrated
from models.overfitting import Record

GROUPS, TEST_GROUPS = 6, 2


@dataclass(frozen=True, slots=True, eq=False)
class PathReport:
    """What each path earned.

    Attributes
    ----------
    sharpe, net_pips : float64[paths]
        Sharpe ratio per trade (0 without trades), net result.
    trades : int64[paths]
        Round trips.
    """

    sharpe: F8
    net_pips: F8
    trades: np.ndarray

    def metrics(self) -> dict[str, float]:
        """Figures for the manifest."""
        return {
            "paths": float(len(self.sharpe)),
            "paths_with_gain": float(np.mean(self.net_pips > 0.0)),
            "paths_net_pips_least": float(self.net_pips.min()),
            "paths_sharpe_mean": float(self.sharpe.mean()),
            "paths_sharpe_deviation": float(self.sharpe.std()),
        }


def evaluate_paths(
    part: Dataset, learner: Learner, config: TrainingConfig, policy: Policy
) -> PathReport:
    """Fit every split of CPCV(6, 2) and trade the five paths that their tests join to.

    Parameters
    ----------
    part : Dataset
        The training part, in time order.
    """
    splits = combinatorial_splits(
        part.start_ns, part.end_ns, GROUPS, TEST_GROUPS, config.embargo_samples
    )
    scored = [_score(part, split.train, split.test, learner, config) for split in splits]
    edges = group_edges(len(part), GROUPS)
    nets = []
    for path in path_splits(GROUPS, TEST_GROUPS):
        p, move = np.empty(len(part)), np.empty(len(part))
        inside, radius = np.empty(len(part), np.bool_), np.zeros(len(part))
        for group, number in enumerate(path):
            rows = slice(edges[group], edges[group + 1])
            at = np.searchsorted(splits[number].test, np.arange(rows.start, rows.stop))
            one = scored[number]
            p[rows], move[rows] = one.p[at], one.expected_move_pips[at]
            inside[rows] = True if one.in_domain is None else one.in_domain[at]
            radius[rows] = 0.0 if one.radius_pips is None else one.radius_pips[at]
        whole = Scored(
            dataset=part,
            p=p,
            base_p=p,
            expected_move_pips=move,
            train_rows=0,
            in_domain=inside,
            radius_pips=radius,
        )
        nets.append(whole.traded(policy).net_pips)
    return PathReport(
        sharpe=np.array([Record.of(net).sharpe for net in nets]),
        net_pips=np.array([float(net.sum()) for net in nets]),
        trades=np.array([len(net) for net in nets]),
    )


def _score(
    part: Dataset,
    train: np.ndarray,
    test: np.ndarray,
    learner: Learner,
    config: TrainingConfig,
) -> Scored:
    fitted = fit_calibrated(part.select(train), learner, config.embargo_samples, config.calibration)
    return fitted.score(part.select(test))
