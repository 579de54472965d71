"""Fixed-horizon labels, net of what a round trip costs.

Entry is at the row's quote, exit at the first quote at or after the horizon; a buy pays the ask and
gets the bid, a sell the reverse, and both pay slippage and commission twice.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.columns import F8, I8, QuoteColumns
from core.costs import CostModel

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What followed each row; meaningless where `valid` is false.

    Attributes
    ----------
    valid : bool[m]
        False when no quote lies between one and two horizons ahead (end of data, a gap).
    end_ns : int64[m]
        Time of the exit quote: the label's interval is [row, `end_ns`], both ends included.
    up : bool[m]
        The mid moved up; no move counts as not up.
    move_pips : float64[m]
        Mid move.
    net_long, net_short : float64[m]
        Result of buying, of selling at the row's quote and leaving at the exit, in pips.
    """

    valid: Flags
    end_ns: I8
    up: Flags
    move_pips: F8
    net_long: F8
    net_short: F8


def fixed_horizon(
    columns: QuoteColumns, index: I8, horizon_ns: int, pip: float, costs: CostModel
) -> Labels:
    """Label rows by what the market did over the horizon.

    Parameters
    ----------
    columns : QuoteColumns
        The whole tape, in time order.
    index : int64[m]
        Position in `columns` of the quote that produced each row.
    horizon_ns : int
        Greater than zero.
    pip : float
        Size of a pip in quote currency.
    """
    if horizon_ns <= 0:
        raise ValueError("the horizon must be greater than zero")
    target = columns.ts[index] + horizon_ns
    exit_at = np.searchsorted(columns.ts, target, side="left")
    inside = exit_at < len(columns)
    exit_at = np.where(inside, exit_at, max(len(columns) - 1, 0))
    end_ns = columns.ts[exit_at]
    bid_in, ask_in = columns.bid[index], columns.ask[index]
    bid_out, ask_out = columns.bid[exit_at], columns.ask[exit_at]
    move = (0.5 * (bid_out + ask_out) - 0.5 * (bid_in + ask_in)) / pip
    fills = 2.0 * costs.per_fill_pips
    return Labels(
        valid=inside & (end_ns <= target + horizon_ns),
        end_ns=end_ns,
        up=move > 0.0,
        move_pips=move,
        net_long=(bid_out - ask_in) / pip - fills,
        net_short=(bid_in - ask_out) / pip - fills,
    )


def uniqueness(ts: I8, end_ns: I8) -> F8:
    """Sample weights: the mean over a label's rows of 1 / (labels alive then), in (0, 1].

    López de Prado, "Advances in Financial Machine Learning" (2018), section 4.4. Overlapping labels
    tell the same story more than once. The weights are not scaled up: their sum is about the number
    of independent labels, so that whatever counts evidence (regularisation, smoothing) counts that.

    Parameters
    ----------
    ts, end_ns : int64[m]
        Ends of the label intervals, both in ascending order.
    """
    alive = np.searchsorted(ts, ts, side="right") - np.searchsorted(end_ns, ts, side="left")
    share = np.concatenate([[0.0], np.cumsum(1.0 / alive)])
    first = np.searchsorted(ts, ts, side="left")
    last = np.searchsorted(ts, end_ns, side="right")
    weight: F8 = (share[last] - share[first]) / (last - first)
    return weight
