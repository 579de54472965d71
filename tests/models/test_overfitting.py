"""Published figures, plain twins, and what each statistic must do on noise and on skill."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest

from models.overfitting import (
    Record,
    break_even_hit_rate,
    deflated_sharpe,
    expected_maximum,
    min_backtest_years,
    min_track_record,
    overfitting_logits,
    overfitting_probability,
    probabilistic_sharpe,
)


@pytest.mark.parametrize(("trials", "published"), [(100, 0.9004), (46, 0.9505)])
def test_deflated_sharpe_of_bailey_and_lopez_de_prado_2014(trials: int, published: float) -> None:
    # Annual Sharpe ratio 2.5 from 250 returns a year, annual variance of the trials' ratios 1/2.
    record = Record(2.5 / math.sqrt(250), 1250, skew=-3.0, kurtosis=10.0)
    assert deflated_sharpe(record, trials, 0.5 / 250) == pytest.approx(published, abs=5e-5)


def test_minimum_backtest_length_of_bailey_et_al_2014() -> None:
    assert min_backtest_years(45) == pytest.approx(5.0, abs=0.01)
    assert min_backtest_years(46) > 5.0 > min_backtest_years(44)
    assert min_backtest_years(45, annual_sharpe=2.0) == pytest.approx(1.25, abs=0.01)


def test_minimum_track_record_inverts_the_probabilistic_sharpe_ratio() -> None:
    # Bailey and López de Prado (2012): 2.73 years of daily normal returns at annual ratio 1 ...
    daily = Record(1.0 / math.sqrt(250), 1)
    assert min_track_record(daily) / 250 == pytest.approx(2.73, abs=0.02)
    for skew, kurtosis in ((0.0, 3.0), (-0.7, 5.0)):
        record = Record(0.1, 1, skew, kurtosis)
        n = min_track_record(record, 0.95)
        at = Record(0.1, math.ceil(n), skew, kurtosis)
        under = Record(0.1, math.floor(n) - 1, skew, kurtosis)
        assert probabilistic_sharpe(under) < 0.95 <= probabilistic_sharpe(at) < 0.951
    assert min_track_record(Record(0.0, 100)) == math.inf
    assert min_track_record(Record(-0.2, 100)) == math.inf


def test_break_even_hit_rate() -> None:
    assert break_even_hit_rate(1.0, 2.0) == 0.75
    assert break_even_hit_rate(0.0, 2.0) == 0.5
    assert break_even_hit_rate(3.0, 2.0) > 1.0


def test_expected_maximum_is_that_of_draws() -> None:
    rng = np.random.default_rng(0)
    for trials in (10, 50, 300):
        drawn = rng.normal(size=(4_000, trials)).max(axis=1).mean()
        assert expected_maximum(trials) == pytest.approx(drawn, rel=0.03)
    assert expected_maximum(1) == 0.0
    with pytest.raises(ValueError, match="at least one trial"):
        expected_maximum(0)


def test_record_equals_plain_moments() -> None:
    rng = np.random.default_rng(1)
    returns = rng.gamma(2.0, 1.0, 500) - 1.8
    record = Record.of(returns)
    mean, spread = returns.mean(), returns.std()
    assert record.n == 500
    assert record.sharpe == pytest.approx(mean / spread)
    assert record.skew == pytest.approx(np.mean((returns - mean) ** 3) / spread**3)
    assert record.kurtosis == pytest.approx(np.mean((returns - mean) ** 4) / spread**4)


@pytest.mark.parametrize(
    "returns", [np.array([]), np.array([3.0]), np.full(50, 0.1), np.array([1.0] * 9)]
)
def test_what_shows_nothing_scores_nothing(returns: np.ndarray) -> None:
    record = Record.of(returns)
    assert record.sharpe == 0.0
    assert deflated_sharpe(record, 1) == 0.0
    assert min_track_record(record) == math.inf


def test_nine_winning_trades_are_no_evidence() -> None:
    assert deflated_sharpe(Record.of(np.arange(9.0) + 10.0), 1) == 0.0
    assert deflated_sharpe(Record.of(np.arange(10.0) + 10.0), 1) > 0.99


def test_more_trials_deflate_and_noise_passes_rarely() -> None:
    rng = np.random.default_rng(2)
    returns = rng.normal(0.15, 1.0, 400)
    by_trials = [deflated_sharpe(Record.of(returns), trials) for trials in (1, 2, 10, 1_000)]
    assert by_trials == sorted(by_trials, reverse=True)
    assert by_trials[0] > 0.95 > by_trials[-1]
    # The best of 20 without skill looks like skill, unless the 20 are counted.
    best = [
        max((Record.of(x) for x in rng.normal(size=(20, 200))), key=_sharpe) for _ in range(300)
    ]
    assert np.mean([deflated_sharpe(record, 1) > 0.95 for record in best]) > 0.5
    assert np.mean([deflated_sharpe(record, 20) > 0.95 for record in best]) <= 0.05


def _sharpe(record: Record) -> float:
    return record.sharpe


def naive_logits(returns: np.ndarray, blocks: int) -> list[float]:
    edges = np.linspace(0, returns.shape[1], blocks + 1).astype(int)
    cut = [np.arange(a, b) for a, b in pairwise(edges)]

    def sharpes(chosen: tuple[int, ...]) -> list[float]:
        part = returns[:, np.concatenate([cut[k] for k in chosen])]
        return [x.mean() / x.std() if np.ptp(x) > 0 else 0.0 for x in part]

    out = []
    for chosen in combinations(range(blocks), blocks // 2):
        seen = sharpes(chosen)
        unseen = sharpes(tuple(k for k in range(blocks) if k not in chosen))
        own = unseen[int(np.argmax(seen))]
        rank = sum(x < own for x in unseen) + (sum(x == own for x in unseen) + 1) / 2
        w = rank / (len(seen) + 1)
        out.append(math.log(w / (1 - w)))
    return out


@pytest.mark.parametrize(("n", "periods", "blocks"), [(2, 16, 4), (7, 101, 6), (5, 60, 8)])
def test_logits_equal_the_naive_loop(n: int, periods: int, blocks: int) -> None:
    rng = np.random.default_rng(n)
    returns = rng.normal(size=(n, periods)) + 1e3 * (rng.random((n, 1)) > 0.5)
    returns[0, : periods // 2] = 0.0
    assert overfitting_logits(returns, blocks).tolist() == pytest.approx(
        naive_logits(returns, blocks)
    )


def test_pbo_tells_skill_from_selection() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(40, 320))
    skilled = noise.copy()
    skilled[17] += 0.6
    assert overfitting_probability(skilled) < 0.02
    # Configurations that take turns: whichever was best is the worst in what is left.
    turns = 0.01 * noise[:16]
    turns[np.arange(16), :] -= 1.0
    for k in range(16):
        turns[k, 20 * k : 20 * (k + 1)] += 16.0
    assert overfitting_probability(turns) > 0.95
    means = [overfitting_probability(rng.normal(size=(20, 160)), 8) for _ in range(60)]
    assert np.mean(means) == pytest.approx(0.5, abs=0.1)


def test_nothing_traded_is_overfit_by_definition() -> None:
    assert overfitting_probability(np.zeros((12, 160))) == 1.0


def test_few_periods_use_fewer_blocks() -> None:
    rng = np.random.default_rng(4)
    assert len(overfitting_logits(rng.normal(size=(3, 11)))) == math.comb(4, 2)
    with pytest.raises(ValueError, match="least to compare"):
        overfitting_logits(np.zeros((1, 100)))
