"""Fixed-horizon and triple-barrier labels, net of what a round trip costs.

Entry is at the row's quote, exit at the first quote at or after the horizon or, with barriers, at
the first one that pays; a buy pays the ask and gets the bid, a sell the reverse, and both pay
slippage and commission twice.
"""

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
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
    labels = _at_exit(columns, index, exit_at, pip, costs)
    return replace(labels, valid=inside & (labels.end_ns <= target + horizon_ns))


def triple_barrier(
    columns: QuoteColumns,
    index: I8,
    horizon_ns: int,
    pip: float,
    costs: CostModel,
    take_pips: float,
) -> Labels:
    """Label rows by which side would first have earned `take_pips` net of a round trip.

    López de Prado, "Advances in Financial Machine Learning" (2018), section 3.3, with no side given
    beforehand: the upper barrier is where a buy, the lower one where a sell could be closed with
    that gain on executable prices, the third one is the horizon. Each barrier is also the stop of
    the other side, which loses `take_pips` and both round trips there.

    Parameters
    ----------
    columns, index, horizon_ns, pip, costs
        As in `fixed_horizon`.
    take_pips : float
        Greater than zero.

    Returns
    -------
    Labels
        Ending at the first touch, else as `fixed_horizon`; a touch counts even where the horizon's
        own quote is missing.
    """
    if take_pips <= 0.0:
        raise ValueError("the barrier must be greater than zero")
    last = fixed_horizon(columns, index, horizon_ns, pip, costs)
    needed = (take_pips + 2.0 * costs.per_fill_pips) * pip
    touched = _first_touch(columns.ts, columns.bid, columns.ask, index, horizon_ns, needed)
    exit_at = np.where(touched >= 0, touched, np.searchsorted(columns.ts, last.end_ns, side="left"))
    ended = _at_exit(columns, index, exit_at, pip, costs)
    return replace(ended, valid=(touched >= 0) | last.valid)


@njit(cache=True)
def _first_touch(ts, bid, ask, index, horizon_ns, needed):  # type: ignore[no-untyped-def]
    """Position of the first later quote at which a buy or a sell has its gain; -1 for none."""
    out = np.full(index.shape[0], -1, np.int64)
    for k in range(index.shape[0]):
        entry = index[k]
        until = ts[entry] + horizon_ns
        at = entry + 1
        while at < ts.shape[0] and ts[at] <= until:
            if bid[at] - ask[entry] >= needed or bid[entry] - ask[at] >= needed:
                out[k] = at
                break
            at += 1
    return out


def _at_exit(columns: QuoteColumns, index: I8, exit_at: I8, pip: float, costs: CostModel) -> Labels:
    """Labels of rows that leave at given quotes, all of them valid."""
    bid_in, ask_in = columns.bid[index], columns.ask[index]
    bid_out, ask_out = columns.bid[exit_at], columns.ask[exit_at]
    move = (0.5 * (bid_out + ask_out) - 0.5 * (bid_in + ask_in)) / pip
    fills = 2.0 * costs.per_fill_pips
    return Labels(
        valid=np.ones(len(index), np.bool_),
        end_ns=columns.ts[exit_at],
        up=move > 0.0,
        move_pips=move,
        net_long=(bid_out - ask_in) / pip - fills,
        net_short=(bid_in - ask_out) / pip - fills,
    )


@dataclass(frozen=True, slots=True)
class Balance:
    """How the classes share the rows.

    Attributes
    ----------
    rows : int
        Labelled rows.
    independent : float
        Sum of the uniqueness weights: about how many labels that do not overlap.
    up, flat : float
        Share of rows whose label is up; that did not move at all, and so count as not up.
    weighted_up : float
        Share of up by uniqueness weight, which is what a model learns.
    """

    rows: int
    independent: float
    up: float
    flat: float
    weighted_up: float


def balance(up: Flags, move_pips: F8, weight: F8) -> Balance:
    """Class balance of labels, at least one."""
    return Balance(
        rows=len(up),
        independent=float(weight.sum()),
        up=float(np.mean(up)),
        flat=float(np.mean(move_pips == 0.0)),
        weighted_up=float(np.average(up, weights=weight)),
    )


def uniqueness(ts: I8, end_ns: I8) -> F8:
    """Sample weights: the mean over a label's rows of 1 / (labels alive then), in (0, 1].

    López de Prado, "Advances in Financial Machine Learning" (2018), section 4.4. Overlapping labels
    tell the same story more than once. The weights are not scaled up: their sum is about the number
    of independent labels, so that whatever counts evidence (regularisation, smoothing) counts that.

    Parameters
    ----------
    ts, end_ns : int64[m]
        Ends of the label intervals; `ts` ascending, `end_ns` as it comes (barriers end early).
    """
    ended = np.searchsorted(np.sort(end_ns), ts, side="left")
    alive = np.searchsorted(ts, ts, side="right") - ended
    share = np.concatenate([[0.0], np.cumsum(1.0 / alive)])
    first = np.searchsorted(ts, ts, side="left")
    last = np.searchsorted(ts, end_ns, side="right")
    weight: F8 = (share[last] - share[first]) / (last - first)
    return weight
