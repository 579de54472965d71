"""Paths of combinatorial validation: five whole histories, each with a gain where skill is."""

from dataclasses import replace

from models.evaluation import Policy
from models.paths import evaluate_paths
from tests.models.synthetic import CONFIG, COSTS, DECISION, decide, make_dataset, train_on
from tests.models.test_report import declared

POLICY = Policy(decide, COSTS, DECISION)


def test_every_path_of_a_declared_edge_gains() -> None:
    dataset = make_dataset(0, n=2_500)
    result = train_on(dataset, replace(CONFIG, combinatorial=True))
    assert result.metrics["paths"] == 5
    assert result.metrics["paths_with_gain"] == 1.0
    assert result.metrics["paths_net_pips_least"] > 0.0
    assert "paths" not in train_on(dataset).metrics


def test_paths_cover_all_rows_and_differ() -> None:
    part = declared(0, slope=0.8, n=3_000).training()
    report = evaluate_paths(part, train_on(make_dataset(0, 1_500)).learner, CONFIG, POLICY)
    assert report.trades.shape == report.sharpe.shape == report.net_pips.shape == (5,)
    assert len(set(report.net_pips.tolist())) == 5
    assert (report.trades > 500).all()
    assert (report.sharpe > 0.1).all()
