import numpy as np
import pytest

from monitoring.prediction_ring import RECORD, SHOWN, PredictionRing


def test_the_newest_are_kept_in_their_order_without_copies() -> None:
    records = np.zeros(5, RECORD)
    ring = PredictionRing(records)
    assert ring.spread(0).n == 0
    for k in range(7):
        ring.push(k, 10 * k, k % 2, k / 10, -k)
    parts = ring.newest(100)
    assert np.concatenate([part["ts_event"] for part in parts]).tolist() == [2, 3, 4, 5, 6]
    assert all(np.shares_memory(part, records) for part in parts)
    (part,) = ring.newest(2)
    assert part.tolist() == [(5, 50, 1, 0.5, -5.0), (6, 60, 0, 0.6, -6.0)]


def test_the_spread_is_of_one_instrument_and_of_the_newest() -> None:
    ring = PredictionRing(np.zeros(3 * SHOWN, RECORD))
    for k in range(2 * SHOWN):
        ring.push(k, k, k % 2, 0.9 if k < SHOWN else 0.25 + 0.5 * (k % 4 < 2), 0.0)
    found = ring.spread(1)
    assert found.n == SHOWN / 2
    assert found.mean == pytest.approx(0.5)
    assert found.sigma == pytest.approx(0.25)
    with pytest.raises(ValueError, match="at least one"):
        PredictionRing(np.zeros(0, RECORD))
