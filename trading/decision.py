"""The decision policy: from a prediction and the prices of its quote to BUY, SELL or HOLD.

Pure; the same function judges in training, in the backtest and live.
"""

from math import isfinite

from core.config import DecisionConfig
from core.costs import CostModel
from core.types import Direction, Prediction, Signal

WARMING_UP = Signal(Direction.HOLD, 0.0, 0.0, "warming_up")
NO_MODEL = Signal(Direction.HOLD, 0.0, 0.0, "no_model")
FEATURES_STALE = Signal(Direction.HOLD, 0.0, 0.0, "features_stale")
NOT_FINITE = Signal(Direction.HOLD, 0.0, 0.0, "not_finite")


FEATURE_SKEW = "feature_skew"


def held(signal: Signal, reason: str) -> Signal:
    """Return HOLD for `reason` with the scores of a signal."""
    return Signal(Direction.HOLD, signal.confidence, signal.edge_pips, reason)


def decide(
    prediction: Prediction | None,
    bid: float,
    ask: float,
    pip: float,
    quote_age_ns: int,
    costs: CostModel,
    config: DecisionConfig,
) -> Signal:
    """Decide on one prediction.

    Parameters
    ----------
    prediction : Prediction or None
        None when the instrument has no model.
    bid, ask : float
        Prices of the quote that closed the sample, quote currency.
    pip : float
        Pip of the instrument, quote currency.
    quote_age_ns : int
        Time since the quote was received.
    costs : CostModel
        Costs beside the spread.
    config : DecisionConfig
        Margin and limits of the policy.

    Returns
    -------
    Signal
        With the confidence abs(2p - 1), `edge_pips` is confidence times E|move| less the round-trip
        cost, on the side that p favours. A HOLD keeps both, unless they could not be computed.
    """
    if prediction is None:
        return NO_MODEL
    tilt = 2.0 * prediction.p - 1.0
    confidence = abs(tilt)
    spread_pips = (ask - bid) / pip
    edge = confidence * prediction.expected_move_pips - costs.round_trip_pips(spread_pips)
    if not (isfinite(edge) and isfinite(bid) and 0.0 <= prediction.p <= 1.0):
        return NOT_FINITE
    reason = _hold_reason(prediction, spread_pips, quote_age_ns, edge, config)
    if reason:
        return Signal(Direction.HOLD, confidence, edge, reason)
    direction = Direction.BUY if tilt > 0.0 else Direction.SELL
    return Signal(direction, confidence, edge, "edge")


def _hold_reason(
    prediction: Prediction,
    spread_pips: float,
    quote_age_ns: int,
    edge: float,
    config: DecisionConfig,
) -> str:
    if not 0 <= quote_age_ns <= config.max_quote_age_ms * 1e6:
        return "quote_stale"
    if not 0.0 <= spread_pips <= config.max_spread_pips:
        return "spread_abnormal"
    if not prediction.approved:
        return "model_not_approved"
    if not prediction.in_domain:
        return "out_of_domain"
    if not edge > config.margin_pips:
        return "edge_below_margin"
    sure = edge >= config.min_sureness * prediction.radius_pips
    return "" if sure else "unsure"
