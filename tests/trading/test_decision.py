import math
from dataclasses import replace

import pytest

from core.config import DecisionConfig
from core.costs import CostModel
from core.types import Direction, Prediction, TradingState
from trading.decision import decide
from trading.sizing import next_quantity

COSTS = CostModel(slippage_pips=0.2)
CONFIG = DecisionConfig(margin_pips=0.1, max_quote_age_ms=1_000, max_spread_pips=3.0)


def ask(p=0.8, move=10.0, approved=True, spread=1.0, age_ns=0, bid=1.1):
    prediction = Prediction(p, "m", "1", "fp", 60, move, approved)
    return decide(prediction, bid, bid + spread * 1e-4, 1e-4, age_ns, COSTS, CONFIG)


@pytest.mark.parametrize(("p", "direction"), [(0.8, "BUY"), (0.2, "SELL")])
def test_acts_on_the_side_of_p_net_of_cost(p, direction):
    signal = ask(p)
    assert (signal.direction, signal.reason) == (direction, "edge")
    assert signal.edge_pips == pytest.approx(0.6 * 10 - 1.0 - 0.4)
    assert signal.confidence == pytest.approx(0.6)


def test_a_hold_without_cost_would_have_been_a_trade():
    signal = ask(0.55)
    assert (signal.direction, signal.reason) == (Direction.HOLD, "edge_below_margin")
    assert signal.edge_pips == pytest.approx(1.0 - 1.4)


def test_the_edge_must_clear_the_margin_not_meet_it():
    free = CostModel(slippage_pips=0.0)
    at_margin = DecisionConfig(margin_pips=5.0, max_quote_age_ms=1, max_spread_pips=1)
    prediction = Prediction(0.75, "m", "1", "fp", 60, 10.0, True)
    signal = decide(prediction, 1.0, 1.0, 1e-4, 0, free, at_margin)
    assert signal.edge_pips == 5.0
    assert signal.reason == "edge_below_margin"


@pytest.mark.parametrize("age", [-1, 1_000_000_001])
def test_stale_or_future_quote(age):
    assert ask(age_ns=age).reason == "quote_stale"


@pytest.mark.parametrize("spread", [3.1, -0.1])
def test_abnormal_spread(spread):
    assert ask(spread=spread).reason == "spread_abnormal"


def test_an_unapproved_model_shows_its_scores():
    signal = ask(approved=False)
    assert (signal.direction, signal.reason) == (Direction.HOLD, "model_not_approved")
    assert signal.edge_pips > 0


@pytest.mark.parametrize(
    "bad",
    [{"p": math.nan}, {"p": 1.5}, {"move": math.inf}, {"bid": math.nan}, {"spread": math.nan}],
)
def test_what_is_not_finite_holds(bad):
    signal = ask(**bad)
    assert (signal.direction, signal.reason) == (Direction.HOLD, "not_finite")
    assert math.isfinite(signal.edge_pips)


def test_a_row_out_of_the_training_domain_holds_and_shows_its_scores():
    far = Prediction(0.9, "m", "1", "fp", 60, 10.0, True, in_domain=False)
    signal = decide(far, 1.1, 1.1 + 1e-4, 1e-4, 0, COSTS, CONFIG)
    assert (signal.direction, signal.reason) == (Direction.HOLD, "out_of_domain")
    assert signal.edge_pips == pytest.approx(0.8 * 10 - 1.0 - 0.4)
    watched = Prediction(0.9, "m", "1", "fp", 60, 10.0, False, in_domain=False)
    reason = decide(watched, 1.1, 1.1 + 1e-4, 1e-4, 0, COSTS, CONFIG).reason
    assert reason == "model_not_approved", "what may not trade anyway says so first"


@pytest.mark.parametrize(("p", "side"), [(0.9, "BUY"), (0.1, "SELL")])
def test_an_edge_that_is_small_beside_what_is_not_known_holds(p, side):
    # 0.8 of 10 pips less a cost of 1.4 are 6.6 pips.
    def said(radius, share):
        prediction = Prediction(p, "m", "1", "fp", 60, 10.0, True, radius_pips=radius)
        config = replace(CONFIG, min_sureness=share)
        return decide(prediction, 1.1, 1.1 + 1e-4, 1e-4, 0, COSTS, config)

    assert said(6.59, 1.0).direction == Direction[side], "a gain all over the interval"
    unsure = said(6.61, 1.0)
    assert (unsure.direction, unsure.reason) == (Direction.HOLD, "unsure")
    assert unsure.edge_pips == pytest.approx(6.6)
    assert said(20.0, 0.3).reason == "edge"
    assert said(20.0, 0.4).reason == "unsure"
    assert said(1e9, 0.0).reason == "edge", "nothing is asked for"
    assert said(math.nan, 0.5).reason == "unsure"


def test_no_model():
    assert decide(None, 1.1, 1.2, 1e-4, 0, COSTS, CONFIG).reason == "no_model"


def quantity(direction, position=0, aged=False, in_flight=False, state=TradingState.ACTIVE):
    return next_quantity(direction, position, 10, aged=aged, in_flight=in_flight, state=state)


@pytest.mark.parametrize(
    ("direction", "position", "expected"),
    [
        ("BUY", 0, 10), ("BUY", 4, 6), ("BUY", 10, 0), ("BUY", -7, 7), ("BUY", 12, -2),
        ("SELL", 0, -10), ("SELL", -4, -6), ("SELL", 7, -7),
        ("HOLD", 0, 0), ("HOLD", 5, 0),
    ],
)  # fmt: skip
def test_policy(direction, position, expected):
    assert quantity(Direction(direction), position) == expected


def test_hold_closes_what_has_aged():
    assert quantity(Direction.HOLD, 5, aged=True) == -5
    assert quantity(Direction.HOLD, -5, aged=True) == 5
    assert quantity(Direction.BUY, 10, aged=True) == 0


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("position", [-10, 0, 10])
def test_nothing_while_in_flight_or_halted(direction, position):
    assert quantity(direction, position, aged=True, in_flight=True) == 0
    assert quantity(direction, position, aged=True, state=TradingState.HALTED) == 0


def test_reducing_only_makes_smaller():
    state = TradingState.REDUCING
    assert quantity(Direction.BUY, 0, state=state) == 0
    assert quantity(Direction.BUY, 4, state=state) == 0
    assert quantity(Direction.SELL, 4, state=state) == -4
    assert quantity(Direction.HOLD, 4, aged=True, state=state) == -4
