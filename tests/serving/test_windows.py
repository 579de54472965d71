"""Models that read windows: rebuilds fill them, requests find them, a swap changes them whole."""

import numpy as np

from core.instruments import DEFAULT_INSTRUMENTS
from features.batch import compute
from features.source import ColumnsStore, FeatureSources
from features.spec import spec_named
from serving.live_features import samples, warmup_quotes
from tests.serving.test_decider import EURUSD, SECOND, Desk, ticks

SPEC = spec_named("core-tick")
WINDOW = 64


class OfWindows:
    """Notes what it was asked to score."""

    def __init__(self) -> None:
        self.asked: list[np.ndarray] = []

    def predict(self, instrument: int, row: np.ndarray) -> None:
        self.asked.append(row.copy())


def test_a_rebuild_reads_enough_of_the_tape_to_fill_the_window() -> None:
    columns = ticks(6_000)
    before_ns = int(columns.ts[-1]) + SECOND
    store = ColumnsStore({"EURUSD": columns})
    for window in (1, WINDOW, 2_000):
        stored = warmup_quotes(store, "EURUSD", SPEC, before_ns, window)
        assert samples(stored, SPEC) >= SPEC.warmup + window - 1
        sources = FeatureSources(DEFAULT_INSTRUMENTS)
        sources.use(EURUSD.id, SPEC, window=window)
        sources.rebuild(EURUSD.id, stored)
        assert sources.is_warm(EURUSD.id)


def test_a_longer_window_is_due_for_a_rebuild_and_a_shorter_one_is_not() -> None:
    sources = FeatureSources(DEFAULT_INSTRUMENTS)
    assert sources.use(EURUSD.id, SPEC)
    sources.rebuild(EURUSD.id, ticks())
    assert sources.use(EURUSD.id, SPEC, window=WINDOW)
    assert not sources.is_warm(EURUSD.id), "no row until the window is full"
    sources.rebuild(EURUSD.id, ticks())
    assert sources.is_warm(EURUSD.id)
    assert not sources.use(EURUSD.id, SPEC, window=WINDOW)
    assert not sources.use(EURUSD.id, SPEC, window=1)
    engine = sources.engine(EURUSD.id)
    assert engine is not None
    row = engine.last_row(EURUSD.id)
    assert row is not None
    assert row.shape == (SPEC.n_features,)


def test_a_state_that_was_built_for_another_window_is_not_installed() -> None:
    sources = FeatureSources(DEFAULT_INSTRUMENTS)
    sources.use(EURUSD.id, SPEC)
    refill = sources.prepare(EURUSD.id, ticks(), ColumnsStore({}), 0)
    sources.use(EURUSD.id, SPEC, window=WINDOW)
    assert not sources.install(EURUSD.id, refill)
    assert not sources.is_warm(EURUSD.id)
    again = sources.prepare(EURUSD.id, ticks(), ColumnsStore({}), 0)
    assert sources.install(EURUSD.id, again)
    assert sources.is_warm(EURUSD.id)


def test_requests_are_scored_on_the_live_window() -> None:
    desk = Desk(SPEC)
    desk.features.use(EURUSD.id, SPEC, window=WINDOW)
    desk.features.rebuild(EURUSD.id, ticks())
    desk.decider._predictor = scorer = OfWindows()  # type: ignore[assignment]
    desk.receive()
    desk.decider.decide("EURUSD")
    bid, ask, ts = desk.last.bid + 3e-5, desk.last.ask + 3e-5, desk.last.ts_event + SECOND
    desk.decider.decide_on("EURUSD", bid, ask, ts)
    live, wished = scorer.asked
    rows = compute(SPEC, ticks(), EURUSD.pip).rows
    assert live.tobytes() == rows[-WINDOW:].tobytes()
    assert wished[:-1].tobytes() == live[1:].tobytes()
    assert wished[-1].tobytes() != live[-1].tobytes()
