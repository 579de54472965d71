"""Rows like those of training are in the domain, rows of another market are not."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from core.errors import ArtifactRefused
from core.types import Direction
from models import manifest as manifests
from models.domain import Domain, fit_domain, score_row
from models.inference.artifact import load_verified
from models.pool import ModelPool
from tests.models.synthetic import COSTS, DECISION, PIP, Made
from trading.decision import decide

NAMES = [f"x_{k}" for k in range(6)]


def normal(seed: int, n: int = 4_000) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)


def naive(domain: Domain, row: np.ndarray) -> float:
    total = 0.0
    for x, low, high in zip(row.tolist(), domain.low, domain.high, strict=True):
        if not np.isfinite(x):
            return np.inf
        total += max(low - x, x - high, 0.0) / (high - low)
    return total


def test_scores_equal_the_plain_rule_row_by_row() -> None:
    domain = fit_domain(normal(0), normal(1, 500), NAMES)
    rows = 3.0 * normal(2, 300)
    rows[5, 2], rows[6, 0] = np.nan, np.inf
    scores = domain.scores(rows)
    assert scores == pytest.approx([naive(domain, row) for row in rows], rel=1e-5)
    single = [score_row(row, *domain.arrays()) for row in rows]
    assert np.array_equal(scores, single)
    assert np.isinf(scores[[5, 6]]).all()


def test_like_rows_are_inside_and_shifted_ones_are_not() -> None:
    domain = fit_domain(normal(0), normal(1, 1_000), NAMES)
    assert np.mean(domain.scores(normal(3)) > domain.limit) < 0.002
    assert np.mean(domain.scores(normal(3) + 6.0) > domain.limit) > 0.99
    one = normal(3)
    one[:, 4] += 20.0
    assert np.mean(domain.scores(one) > domain.limit) > 0.99, "one column is enough"


def test_the_clock_may_go_on_and_so_may_what_no_tree_can_have_seen() -> None:
    rows, names = normal(0), ["day_sin", "session_tokyo", *NAMES[2:]]
    rows[:, 2] = 5.0
    domain = fit_domain(rows, rows[:100], names)
    later = rows[:50].copy()
    later[:, :3] = 40.0
    assert (domain.scores(later) <= domain.limit).all()
    later[:, 2] = np.nan
    assert (domain.scores(later) > domain.limit).all()
    assert domain.sound(6)


def test_a_rare_flag_that_was_seen_is_known_and_a_new_value_is_not() -> None:
    rows = normal(0)
    rows[:, 3] = 0.0
    rows[7, 3] = 1.0
    domain = fit_domain(rows, rows[:100], NAMES)
    later = np.zeros((3, 6), np.float32)
    later[:, 3] = [0.0, 1.0, 3.0]
    assert (domain.scores(later) > domain.limit).tolist() == [False, False, True]


@pytest.mark.parametrize(
    "broken",
    [
        Domain((0.0,), (1.0, 2.0), 1.0),
        Domain((2.0, 0.0), (1.0, 2.0), 1.0),
        Domain((0.0, np.nan), (1.0, 2.0), 1.0),
        Domain((0.0, 0.0), (1.0, 2.0), np.inf),
        Domain((0.0, 0.0), (1.0, 2.0), -1.0),
    ],
)
def test_ranges_out_of_order_are_refused_at_load(
    made: Made, tmp_path: Path, broken: Domain
) -> None:
    assert not broken.sound(2)
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in made.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    sha256 = manifests.write(folder, msgspec.structs.replace(made.manifest, domain=broken))
    with pytest.raises(ArtifactRefused, match="domain"):
        load_verified(folder, sha256)


def test_a_row_of_another_market_is_held_with_its_reason(made: Made) -> None:
    pool = ModelPool(("EURUSD",))
    model = load_verified(made.folder, made.sha256)
    pool.swap(0, model, "1", approved=True)
    known, far = made.dataset.rows[100].copy(), made.dataset.rows[100] + np.float32(50.0)
    far[0] = known[0]
    inside, outside = pool.predict(0, known), pool.predict(0, far)
    assert inside is not None
    assert outside is not None
    assert inside.in_domain
    assert not outside.in_domain
    sure = msgspec.structs.replace(outside, p=0.99, expected_move_pips=50.0)
    signal = decide(sure, 1.1, 1.1 + PIP, PIP, 0, COSTS, DECISION)
    assert (signal.direction, signal.reason) == (Direction.HOLD, "out_of_domain")
    assert signal.edge_pips > 0.0
    with pytest.raises(ValueError, match="number of features"):
        model.domain_score(known[:-1].copy())


def test_a_version_without_a_domain_knows_no_outside(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in made.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    sha256 = manifests.write(folder, msgspec.structs.replace(made.manifest, domain=None))
    model = load_verified(folder, sha256)
    assert model.domain_score(made.dataset.rows[0] + np.float32(1e6)) == 0.0 <= model.domain_limit


def test_evaluation_holds_where_live_would(made: Made) -> None:
    scored = made.result.out_of_sample
    from models.evaluation import Policy

    policy = Policy(decide, COSTS, DECISION)
    blind = replace(scored, in_domain=np.zeros(len(scored.p), bool))
    assert len(scored.traded(policy).rows) > 50
    assert len(blind.traded(policy).rows) == 0
