"""Training sets that must not be learnt from, each refused in a sentence that names the cause."""

import numpy as np
from numpy.typing import NDArray

from core.columns import F8
from core.errors import BadInput
from features.parity import LeakReport

F4 = NDArray[np.float32]
Flags = NDArray[np.bool_]

# Real features of a market reach 0.55; the simulator's declared edge 0.76.
SUSPICIOUS_AUC = 0.97


def auc(x: NDArray[np.floating], up: Flags) -> float:
    """Area under the ROC curve of one feature as a score, ties counted half (Mann and Whitney).

    Parameters
    ----------
    x : float[m]
        Finite.
    up : bool[m]
        Both classes present.
    """
    _, place, count = np.unique(x, return_inverse=True, return_counts=True)
    mid_rank = np.cumsum(count) - 0.5 * (count - 1)
    n_up = int(np.count_nonzero(up))
    above = float(mid_rank[place[up]].sum()) - 0.5 * n_up * (n_up + 1)
    return above / (n_up * (len(x) - n_up))


def refuse_too_good(rows: F4, up: Flags, names: tuple[str, ...], symbol: str) -> None:
    """Refuse rows of which a single column tells the outcome.

    Raises
    ------
    BadInput
        When one column alone orders the outcomes almost without error.
    """
    aucs: F8 = np.array([auc(rows[:, k], up) for k in range(rows.shape[1])])
    worst = int(np.argmax(np.abs(aucs - 0.5)))
    if abs(aucs[worst] - 0.5) > SUSPICIOUS_AUC - 0.5:
        raise BadInput(
            f"column {names[worst]!r} of {symbol} alone tells the outcome of the training rows "
            f"(area under the ROC curve {aucs[worst]:.4f}); it must know the future"
        )


def refuse_leaks(report: LeakReport, symbol: str) -> None:
    """Refuse features that moved when only the quotes after them were changed.

    Raises
    ------
    BadInput
        Naming the first column that looks ahead.
    """
    if report.leaks:
        position, name = report.leaks[0]
        raise BadInput(
            f"column {name!r} of {symbol} looks ahead: its value at quote {position} moved when "
            f"only later quotes were changed (at {len(report.leaks)} of {report.points} points)"
        )
