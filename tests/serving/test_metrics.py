"""What a scrape shows of the newest predictions."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from core.clock import ManualClock
from core.instruments import DEFAULT_INSTRUMENTS
from monitoring.prediction_ring import RECORD, PredictionRing
from serving.metrics import PlatformCollector, registry_of, render
from serving.outlets import Outlets


def test_the_spread_of_predictions_is_shown_for_symbols_that_have_any() -> None:
    ring = PredictionRing(np.zeros(100, RECORD))
    nobody = cast(Any, SimpleNamespace())
    outlets = Outlets(DEFAULT_INSTRUMENTS, nobody, nobody, nobody, ManualClock(1), ring)
    none = outlets.spreads()
    for p in (0.25, 0.75, 0.25, 0.75):
        ring.push(1, 1, DEFAULT_INSTRUMENTS.by_symbol("GBPUSD").id, p, 0.0)
    shown = render(registry_of(PlatformCollector(dict, dict, dict, dict, outlets.spreads)))
    lines = [line for line in shown.decode().splitlines() if line.startswith("tickpath_prediction")]
    assert none == {}
    assert lines == [
        'tickpath_prediction_n{symbol="GBPUSD"} 4.0',
        'tickpath_prediction_mean{symbol="GBPUSD"} 0.5',
        'tickpath_prediction_sigma{symbol="GBPUSD"} 0.25',
    ]
