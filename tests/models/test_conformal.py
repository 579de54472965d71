"""The interval covers what it promises on rows it has not seen, and no more than it must."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from models.conformal import Conformal, fit_conformal
from models.evaluation import Policy
from models.inference.artifact import load_verified
from models.pool import ModelPool
from tests.models.synthetic import COSTS, DECISION, PIP, Made
from trading.decision import decide


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.2, 0.8, n)
    return p, (2 * p - 1) * 4.0 + rng.standard_t(4, n)


def test_coverage_of_new_rows_is_the_level_on_average() -> None:
    covered = []
    for seed in range(200):
        p, move = drawn(seed, 99)
        found = fit_conformal(p, move, 4.0, 0.9)
        assert found is not None
        new_p, new_move = drawn(seed + 10_000, 200)
        covered.append(found.holds(new_p, new_move, 4.0).mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)


def test_the_radius_is_the_rank_of_the_paper() -> None:
    move = np.arange(1.0, 20.0)  # 19 residuals: the ceil(20 * 0.9) = 18th
    found = fit_conformal(np.full(19, 0.5), move, 3.0, 0.9)
    assert found == Conformal(0.9, 18.0)
    assert fit_conformal(np.full(8, 0.5), move[:8], 3.0, 0.9) is None
    assert fit_conformal(np.full(9, 0.5), move[:9], 3.0, 0.9) == Conformal(0.9, 9.0)
    assert Conformal(0.9, 2.0).interval(0.75, 4.0) == (0.0, 4.0)


def test_training_reports_coverage_and_writes_the_interval(made: Made) -> None:
    assert made.manifest.conformal is not None
    assert made.manifest.conformal == made.result.model.conformal
    assert made.result.total.coverage == pytest.approx(0.9, abs=0.04)
    for fold in made.result.folds:
        assert 0.8 < fold.coverage < 1.0


def test_an_unsure_model_holds_live_as_in_evaluation(made: Made) -> None:
    scored, conformal = made.result.out_of_sample, made.manifest.conformal
    assert conformal is not None
    pool = ModelPool(("EURUSD",))
    pool.swap(0, load_verified(made.folder, made.sha256), "1", approved=True)
    served = pool.predict(0, made.dataset.rows[100])
    assert served is not None
    assert served.radius_pips == conformal.radius_pips > 0.0
    sure = msgspec.structs.replace(served, p=0.99, in_domain=True)
    prices = 1.1, 1.1 + 0.5 * PIP, PIP, 0, COSTS
    plain = decide(sure, *prices, DECISION)
    assert plain.reason == "edge"
    share = plain.edge_pips / conformal.radius_pips
    for asked, reason in ((0.9 * share, "edge"), (1.1 * share, "unsure")):
        assert decide(sure, *prices, replace(DECISION, min_sureness=asked)).reason == reason
    trades = [
        len(scored.traded(Policy(decide, COSTS, replace(DECISION, min_sureness=asked))).rows)
        for asked in (0.0, 0.1, 1.0)
    ]
    assert trades[0] > trades[1] > trades[2], "the more is asked for, the less is traded"
