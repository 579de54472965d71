"""One reference swaps a model whole; what does not fit is refused."""

import threading

import numpy as np
import pytest

from core.errors import ArtifactRefused
from models.inference.artifact import LoadedModel, load_verified
from models.pool import ModelPool
from tests.models.synthetic import Made

SYMBOLS = ("GBPUSD", "EURUSD")


@pytest.fixture
def model(made: Made) -> LoadedModel:
    return load_verified(made.folder, made.sha256)


def test_prediction_says_where_it_comes_from(made: Made, model: LoadedModel) -> None:
    pool = ModelPool(SYMBOLS)
    row = made.dataset.rows[7]
    assert pool.predict(1, row) is None
    assert pool.current(1) is None
    assert not pool.approved(1)
    pool.swap(1, model, "3", approved=True)
    prediction = pool.predict(1, row)
    assert prediction is not None
    assert prediction.p == model.predict_row(row)
    assert type(prediction.p) is float
    assert (prediction.model, prediction.model_version) == ("direction-EURUSD", "3")
    assert prediction.spec_fingerprint == made.manifest.spec_fingerprint
    assert prediction.horizon_ns == made.manifest.horizon_ns
    assert prediction.expected_move_pips == made.manifest.expected_move_pips
    assert prediction.approved
    assert pool.approved(1)
    assert pool.current(1) is model
    assert model.version == "3"
    assert pool.predict(0, row) is None


def test_a_model_of_another_symbol_is_refused_and_the_old_one_stays(
    made: Made, model: LoadedModel
) -> None:
    pool = ModelPool(SYMBOLS)
    pool.swap(1, model, "1", approved=True)
    with pytest.raises(ArtifactRefused, match="is for EURUSD, not GBPUSD"):
        pool.swap(0, model, "2", approved=True)
    assert pool.predict(0, made.dataset.rows[0]) is None
    prediction = pool.predict(1, made.dataset.rows[0])
    assert prediction is not None
    assert prediction.model_version == "1"


def test_readers_never_see_a_mixed_version(made: Made) -> None:
    """Version "a" is approved, "b" is not; a prediction must never pair them otherwise."""
    pool = ModelPool(SYMBOLS)
    models = [load_verified(made.folder, made.sha256) for _ in range(2)]
    pool.swap(1, models[0], "a", approved=True)
    row = np.ascontiguousarray(made.dataset.rows[0])
    seen: set[tuple[str, bool]] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            prediction = pool.predict(1, row)
            assert prediction is not None
            seen.add((prediction.model_version, prediction.approved))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for turn in range(400):
            pool.swap(1, models[turn % 2], "ab"[turn % 2], approved=turn % 2 == 0)
    finally:
        done.set()
        reader.join()
    assert seen <= {("a", True), ("b", False)}
    assert seen
