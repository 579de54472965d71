"""Whether a live quote follows on the stored tape, or a hole lies between them.

A feature row over a hole is not the row that the model has learnt from: a return over "the last
minute" would be one over a month. The time that the market is closed is no hole.
"""

import numpy as np

from core.columns import QuoteColumns
from core.types import Cadence
from features.spec import FeatureSpec
from trading.sessions import week_of

FEW = 5
_WEEK_NS = 7 * 86_400_000_000_000
_HOUR_NS = 3_600_000_000_000


def follows(columns: QuoteColumns, before_ns: int, spec: FeatureSpec) -> bool:
    """Say whether a quote at `before_ns` comes within a few samples of the last stored one.

    A sample lasts as long as all but the longest hundredth of the spacings of `columns`, and on
    the bar cadence at least as long as a bar.

    Parameters
    ----------
    columns : QuoteColumns
        Stored quotes before `before_ns`, in time order.
    """
    if len(columns) < 2:
        return False
    usual = float(np.quantile(np.diff(columns.ts), 0.99))
    if spec.cadence is Cadence.BAR:
        usual = max(usual, float(spec.bar_ns))
    last_ns = int(columns.ts[-1])
    if before_ns - last_ns <= FEW * usual:
        return True
    return open_market_ns(last_ns, before_ns) <= FEW * usual


def open_market_ns(from_ns: int, to_ns: int) -> int:
    """Time between two stamps during which the market is open, ns."""
    week = week_of(from_ns)
    total = 0
    while week.open_ns < to_ns:
        total += max(0, min(to_ns, week.close_ns) - max(from_ns, week.open_ns))
        # Two hours more, for a week may begin an hour later than the one before.
        week = week_of(week.open_ns + _WEEK_NS + 2 * _HOUR_NS)
    return total
