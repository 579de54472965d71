"""Every difference between a session and its replay is reported, however small."""

from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest

from backtest.outcome import Execution, Outcome, compare
from core.types import (
    Decision,
    Direction,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)

CENT = Decimal("0.01")
DECISION = Decision(
    decision_id="D1", symbol="EURUSD", direction=Direction.BUY, confidence=0.4, raw_score=0.7,
    edge_pips=1.5, reason="edge", model="m", model_version="1", spec_fingerprint="fp",
    quote_seq=7, ts_event=1, ts_decide=2, stages_us={"decide": 1.0},
)  # fmt: skip
ORDER = Order(
    client_order_id="c", key="k", account="A", strategy="manual", instrument=0, side=Side.BUY,
    quantity=10, type=OrderType.MARKET, limit_ticks=110_000, time_in_force=TimeInForce.IOC,
    created_ns=1, quote_seq=7, status=OrderStatus.FILLED, filled=10,
)  # fmt: skip
FILL = Fill("VENUE", "c-1", "c", 0, Side.BUY, 10, 110_000, 1, 7)
EXECUTION = Execution(FILL, Decimal("-0.10"), Decimal(1))
DEARER = msgspec.structs.replace(FILL, price_ticks=110_001)
SAME = Outcome(
    (DECISION,), (ORDER,), (EXECUTION,), Decimal("12.34"), Decimal("100012.34"), Decimal(100_000)
)
OTHER = {str: "another", int: 99, float: 0.123, Direction: Direction.SELL}
FIELDS = [name for name in Decision.__struct_fields__ if name != "stages_us"]


def changed(part: msgspec.Struct, **fields: object) -> tuple[msgspec.Struct, ...]:
    return (msgspec.structs.replace(part, **fields),)


def agreed(found) -> tuple[bool, bool, bool, bool]:
    return found.decisions, found.orders, found.fills, found.profit


def test_the_same_is_equal() -> None:
    found = compare(SAME, SAME)
    assert found.equal
    assert found.first_difference == ""
    assert all(agreed(found))


@pytest.mark.parametrize("field", FIELDS)
def test_one_field_of_one_decision(field: str) -> None:
    other = OTHER[type(getattr(DECISION, field))]
    found = compare(SAME, replace(SAME, decisions=changed(DECISION, **{field: other})))
    assert agreed(found) == (False, True, True, True)
    assert found.first_difference.startswith("decision 0: ")


def test_what_a_stage_took_is_no_difference() -> None:
    assert compare(SAME, replace(SAME, decisions=changed(DECISION, stages_us={}))).equal


@pytest.mark.parametrize(
    "change", [{"status": OrderStatus.CANCELED}, {"filled": 9}, {"limit_ticks": 1}, {"key": "x"}]
)
def test_one_field_of_one_order(change: dict[str, object]) -> None:
    found = compare(SAME, replace(SAME, orders=changed(ORDER, **change)))
    assert agreed(found) == (True, False, True, True)
    assert found.first_difference.startswith("order 0: ")


@pytest.mark.parametrize(
    "change",
    [
        {"fill": DEARER},
        {"profit": Decimal("-0.11")},
        {"profit": None},
        {"rate": Decimal("1.0001")},
    ],
    ids=["price", "profit", "no profit", "rate"],
)
def test_one_field_of_one_execution(change: dict[str, object]) -> None:
    found = compare(SAME, replace(SAME, executions=changed(EXECUTION, **change)))
    assert agreed(found) == (True, True, False, True)
    assert found.first_difference.startswith("fill 0: ")


@pytest.mark.parametrize("field", ["decisions", "orders", "executions"])
def test_one_missing_or_one_more(field: str) -> None:
    twice = replace(SAME, **{field: getattr(SAME, field) * 2})
    for found in (compare(SAME, twice), compare(twice, SAME)):
        assert not found.equal
        assert "session" in found.first_difference


@pytest.mark.parametrize(
    "money",
    [
        {"realised": SAME.realised + CENT},
        {"realised": SAME.realised - CENT},
        {"equity": Decimal("100012.35")},
        {"equity": None},
    ],
)
def test_a_cent(money: dict[str, Decimal | None]) -> None:
    found = compare(SAME, replace(SAME, **money))
    assert agreed(found) == (True, True, True, False)
    assert found.first_difference.startswith(("profit: ", "equity: "))


def test_less_than_a_cent_is_none() -> None:
    assert compare(SAME, replace(SAME, realised=SAME.realised + Decimal("0.004"))).equal


def test_what_was_found_on_the_way_counts() -> None:
    found = compare(SAME, SAME, ["a report is missing"])
    assert not found.equal
    assert found.first_difference == "a report is missing"
