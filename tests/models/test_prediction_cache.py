"""The cache gives what was predicted for exactly this row, for a while, and forgets in order."""

import numpy as np
import pytest

from models.prediction_cache import PredictionCache

SEC = 10**9


class Model:
    """Counts its calls; p is the mean of the row."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, row: np.ndarray) -> float:
        self.calls += 1
        return float(np.mean(row))


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def row(value: float) -> np.ndarray:
    return np.full(4, value, np.float32)


def test_the_same_bytes_are_predicted_once(clock: Clock) -> None:
    cache, model = PredictionCache(clock), Model()
    asked = [cache.score("m/1", "fp", row(0.25), model) for _ in range(3)]
    assert asked == [0.25] * 3
    assert (model.calls, cache.hits, cache.misses) == (1, 2, 1)


@pytest.mark.parametrize(
    ("version", "fingerprint", "other"),
    [("m/2", "fp", 0.25), ("m/1", "gp", 0.25), ("m/1", "fp", np.nextafter(np.float32(0.25), 1))],
)
def test_another_version_spec_or_row_is_another_prediction(
    clock: Clock, version: str, fingerprint: str, other: float
) -> None:
    cache, model = PredictionCache(clock), Model()
    cache.score("m/1", "fp", row(0.25), model)
    cache.score(version, fingerprint, row(other), model)
    assert (model.calls, cache.hits) == (2, 0)


def test_a_row_that_is_changed_in_place_is_another(clock: Clock) -> None:
    cache, model = PredictionCache(clock), Model()
    live = row(0.5)
    assert cache.score("m/1", "fp", live, model) == 0.5
    live[:] = 0.75
    assert cache.score("m/1", "fp", live, model) == 0.75


def test_an_entry_is_forgotten_at_its_age_and_not_before(clock: Clock) -> None:
    cache, model = PredictionCache(clock, ttl_secs=30.0), Model()
    cache.score("m/1", "fp", row(0.5), model)
    clock.now = 30 * SEC - 1
    cache.score("m/1", "fp", row(0.5), model)
    assert model.calls == 1, "and a hit does not make it younger"
    clock.now = 30 * SEC
    cache.score("m/1", "fp", row(0.5), model)
    assert model.calls == 2


def test_the_one_used_longest_ago_makes_room(clock: Clock) -> None:
    cache, model = PredictionCache(clock, entries=2), Model()
    for value in (0.1, 0.2, 0.1, 0.3):
        cache.score("m/1", "fp", row(value), model)
    assert len(cache) == 2
    assert model.calls == 3
    cache.score("m/1", "fp", row(0.1), model)
    assert model.calls == 3
    cache.score("m/1", "fp", row(0.2), model)
    assert model.calls == 4
