"""Stages over budget are counted, and each is told once."""

from monitoring.latency import StageLatencies
from trading.budgets import BUDGETS_NS, StageBudgets
from trading.engine import STAGES

MS = 1_000_000


def test_each_walk_over_budget_is_counted_and_told_once():
    latencies = StageLatencies(STAGES)
    budgets = StageBudgets(latencies)
    for stage, limit in BUDGETS_NS.items():
        latencies.record(stage, limit // 2)
    assert budgets.news() == {}
    latencies.record("send", 3 * MS)
    latencies.record("send", 5 * MS)
    latencies.record("risk", 2 * MS)
    assert budgets.news() == {"risk": 1, "send": 2}
    assert budgets.news() == {}
    assert budgets.over_budget()["send"] == (0.002, 2)


def test_the_engine_times_every_stage_with_a_budget(house):
    house.quote()
    order = house.submit("a").order
    house.report(order, "ACCEPT")
    summaries = house.engine.latencies.summaries()
    assert set(BUDGETS_NS) <= set(summaries)


def test_a_slow_send_makes_no_order_unknown(house):
    house.quote()
    order = house.submit("a").order
    house.engine.latencies.record("send", 10 * BUDGETS_NS["send"])
    assert StageBudgets(house.engine.latencies).over_budget()["send"][1] == 1
    assert house.account.book.get(order.client_order_id).status == "SUBMITTED"
