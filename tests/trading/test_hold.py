"""A held instrument decides HOLD for its own reason; the scores stay, the others go on."""

import msgspec

from core.types import Decision, Direction
from trading.decision import FEATURE_SKEW
from trading.events import Event, HoldInstrument


def decisions(house):
    return [output for output in house.outputs if isinstance(output, Decision)]


def test_a_held_instrument_holds_with_its_scores_until_it_is_let_go(house):
    house.process(HoldInstrument(house.now, 0, FEATURE_SKEW))
    house.quote(p=0.9)
    house.quote(150.0, 150.02, instrument=2, p=0.9)
    held, other = decisions(house)[-2:]
    assert (held.direction, held.reason, held.raw_score) == (Direction.HOLD, "feature_skew", 0.9)
    assert held.edge_pips > 0
    assert held.model_version == other.model_version != ""
    assert (other.direction, other.reason) == (Direction.BUY, "edge")
    assert [order.instrument for order in house.broker.sent] == [2]
    house.process(HoldInstrument(house.now, 0, ""))
    house.process(HoldInstrument(house.now, 0, ""))
    house.quote(p=0.9)
    assert decisions(house)[-1].direction is Direction.BUY
    assert house.engine.holds == {}


def test_a_hold_is_an_event_that_a_recording_keeps():
    event = HoldInstrument(5, 1, FEATURE_SKEW)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(event), type=Event)
    assert again == event
