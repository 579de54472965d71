"""Trees stop growing where later rows gain nothing more; the same seed stops at the same one."""

from dataclasses import replace

import numpy as np

from models.boosted import BoostedParams, best_rounds
from models.export import write_artifact
from models.fitting import fit_calibrated
from models.inference.artifact import load_verified
from tests.models.synthetic import CONFIG, make_dataset, train_on

STOPPED = replace(CONFIG, trees=400, early_stopping=10)


def test_growth_stops_at_the_least_loss_on_later_rows() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(4_000, 5)).astype(np.float32)
    up = rows[:, 0] + 2.0 * rng.normal(size=4_000) > 0.0
    params = BoostedParams(trees=300, early_stopping=15, learning_rate=0.2)
    best = best_rounds(rows[:3_000], up[:3_000], rows[3_000:], up[3_000:], params)
    assert 2 <= best < 200
    noise = rng.random(4_000) < 0.5
    assert best_rounds(rows[:3_000], noise[:3_000], rows[3_000:], noise[3_000:], params) < best


def test_a_stopped_model_is_written_and_loads_like_any_other(tmp_path) -> None:
    dataset = make_dataset(2, n=2_500)
    result = train_on(dataset, STOPPED)
    kept = result.model.learned.n_trees
    assert 1 <= kept < 400
    manifest, sha256 = write_artifact(tmp_path / "a", result, dataset, code_revision="abc")
    assert manifest.parameters["num_boost_round"] == kept
    model = load_verified(tmp_path / "a", sha256)
    rows = dataset.holdout().rows
    assert np.array_equal(model.predict(rows), result.model.predict(rows))
    again = train_on(dataset, STOPPED)
    assert again.model.learned.ubjson() == result.model.learned.ubjson()


def test_stopping_looks_only_at_rows_that_teach() -> None:
    """The rows that calibrate must not choose the number of trees as well."""
    part = make_dataset(3, n=3_000).training()
    params = BoostedParams.of(STOPPED)
    start = round(len(part) * 0.8)
    late = np.arange(len(part)) >= start
    flipped = replace(part, up=np.where(late, ~part.up, part.up))
    one, other = (fit_calibrated(x, params, 10) for x in (part, flipped))
    assert one.learned.ubjson() == other.learned.ubjson()
    assert one.calibration != other.calibration


def test_stages_are_earlier_shares_of_the_same_trees() -> None:
    part = make_dataset(4, n=2_500).training()
    fitted = fit_calibrated(part, BoostedParams(trees=20, depth=3), 10)
    assert [n for n, _ in fitted.stages] == [5, 10, 15]
    few = fit_calibrated(part, BoostedParams(trees=1, depth=2), 10)
    assert all(0 < n <= 1 for n, _ in few.stages)
    rows = part.rows[:50]
    all_trees = fitted.learned.margins(rows, 20)
    assert np.array_equal(all_trees, fitted.learned.margins(rows))
    assert not np.array_equal(all_trees, fitted.learned.margins(rows, 5))
