"""Decision requests read the live state and never move it."""

import math
from typing import Any

import numpy as np
import pytest

from core.clock import ManualClock
from core.columns import QuoteColumns, from_ticks
from core.config import DecisionConfig
from core.costs import CostModel
from core.errors import BadInput, Unavailable, UnknownInstrument
from core.instruments import DEFAULT_INSTRUMENTS
from core.types import Direction, Prediction
from features.spec import FeatureSpec, spec_named
from serving.decider import LiveDecider
from serving.live_features import LiveFeatures
from trading.marks import Marks

EURUSD = DEFAULT_INSTRUMENTS.by_symbol("EURUSD")
SECOND = 10**9
NOW = 1_800_000_000 * SECOND


class Predictor:
    """p from the first column of the row, so that another row gives another score."""

    def __init__(self) -> None:
        self.silent = False

    def predict(self, instrument: int, row: Any) -> Prediction | None:
        if self.silent:
            return None
        p = 1.0 / (1.0 + math.exp(-float(row[0])))
        return Prediction(p, "direction-EURUSD", "7", "print", 60 * SECOND, 5.0, True)


class Quiet:
    """Nothing is being rebuilt unless said so."""

    def __init__(self) -> None:
        self.rebuilding = False

    def is_rebuilding(self, instrument: int) -> bool:
        return self.rebuilding


def ticks(n: int = 3_000) -> QuoteColumns:
    rng = np.random.default_rng(3)
    mid = 1.1 + 1e-5 * np.cumsum(rng.integers(-3, 4, n))
    ts = 1_700_000_010 * SECOND + SECOND * np.arange(n, dtype=np.int64)
    return from_ticks(ts, mid - 1e-5, mid + 1e-5)


class Desk:
    """A decider over real features, fed `n` quotes."""

    def __init__(self, spec: FeatureSpec, n: int = 3_000) -> None:
        columns = ticks(n)
        self.clock = ManualClock(NOW)
        self.features = LiveFeatures(DEFAULT_INSTRUMENTS)
        self.features.use(EURUSD.id, spec)
        self.features.rebuild(EURUSD.id, columns)
        self.marks = Marks(DEFAULT_INSTRUMENTS, "USD")
        self.last = list(columns.quotes(EURUSD.id))[-1]
        self.predictor, self.quiet = Predictor(), Quiet()
        self.decider = LiveDecider(
            instruments=DEFAULT_INSTRUMENTS, features=self.features, predictor=self.predictor,
            marks=self.marks, admission=self.quiet, clock=self.clock,  # type: ignore[arg-type]
            costs=CostModel(), policy=DecisionConfig(max_quote_age_ms=1_000), prefix="R",
        )  # fmt: skip

    def receive(self) -> None:
        import msgspec

        self.marks.update(msgspec.structs.replace(self.last, ts_recv=NOW))


@pytest.fixture
def desk() -> Desk:
    made = Desk(spec_named("core-tick"))
    made.receive()
    return made


def bare(decision: Any) -> tuple[Any, ...]:
    return decision.direction, decision.raw_score, decision.edge_pips, decision.reason


def test_requests_leave_the_live_state_alone(desk: Desk) -> None:
    engine = desk.features.engine(EURUSD.id)
    assert engine is not None
    before = engine.last_row(EURUSD.id)
    first = desk.decider.decide("EURUSD")
    jump = desk.decider.decide_on("EURUSD", desk.last.bid + 0.01, desk.last.ask + 0.01, None)
    again = desk.decider.decide("EURUSD")
    assert bare(first) == bare(again)
    assert jump.raw_score != first.raw_score
    after = engine.last_row(EURUSD.id)
    assert before is not None
    assert after is not None
    assert np.array_equal(before, after)
    assert first.quote_seq == desk.last.seq
    assert first.decision_id != again.decision_id


def test_a_quote_of_ones_own_scores_as_it_would_live(desk: Desk) -> None:
    engine = desk.features.engine(EURUSD.id)
    assert engine is not None
    bid, ask, ts = desk.last.bid + 3e-5, desk.last.ask + 3e-5, desk.last.ts_event + SECOND
    asked = desk.decider.decide_on("EURUSD", bid, ask, ts)
    from core.types import tick

    live = engine.update(tick(EURUSD.id, desk.last.seq + 1, ts, bid, ask))
    assert live is not None
    wanted = desk.predictor.predict(EURUSD.id, live)
    assert wanted is not None
    assert asked.raw_score == wanted.p


def test_on_the_bar_cadence_a_quote_inside_the_bar_is_answered_too() -> None:
    desk = Desk(spec_named("core-bar"), n=60 * 1_200)
    desk.receive()
    assert desk.decider.decide("EURUSD").model_version == "7"
    assert desk.decider.decide_on("EURUSD", 1.1, 1.1001, None).model_version == "7"


def test_a_stale_live_quote_holds(desk: Desk) -> None:
    desk.clock.advance(2 * SECOND)
    decision = desk.decider.decide("EURUSD")
    assert (decision.direction, decision.reason) == (Direction.HOLD, "quote_stale")
    fresh = desk.decider.decide_on("EURUSD", desk.last.bid, desk.last.ask, None)
    assert fresh.reason != "quote_stale"


def test_what_is_missing_is_the_reason(desk: Desk) -> None:
    desk.predictor.silent = True
    assert desk.decider.decide("EURUSD").reason == "no_model"
    desk.quiet.rebuilding = True
    assert desk.decider.decide("EURUSD").reason == "warming_up"
    cold = Desk(spec_named("core-tick"), n=10)
    cold.receive()
    assert cold.decider.decide("EURUSD").reason == "warming_up"


@pytest.mark.parametrize(
    ("bid", "ask", "ts", "word"),
    [
        (math.nan, 1.1, None, "quote.bid"),
        (1.1, math.inf, None, "quote.ask"),
        (-1.0, 1.1, None, "quote.bid"),
        (1.2, 1.1, None, "crossed"),
        (1.1, 1.2, 5, "before the live quote"),
    ],
)
def test_an_unsound_quote_is_refused_by_name(
    desk: Desk, bid: float, ask: float, ts: int | None, word: str
) -> None:
    with pytest.raises(BadInput, match=word):
        desk.decider.decide_on("EURUSD", bid, ask, ts)


def test_unknown_and_silent_symbols_are_told_apart(desk: Desk) -> None:
    with pytest.raises(UnknownInstrument, match="NOPE"):
        desk.decider.decide("NOPE")
    with pytest.raises(Unavailable, match="XAUUSD"):
        desk.decider.decide("XAUUSD")
