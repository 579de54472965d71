"""What every ledger does alike."""

import threading
from decimal import Decimal

import msgspec
import pytest

from core.errors import BadInput
from core.types import (
    Amendment,
    Decision,
    Direction,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from storage.ledger_rows import AccountRow, AuditRow, LedgerQuote, LimitRow, PositionRow
from storage.ports import LedgerStore

NOW_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000


def order(number: int, account: str = "PAPER", **changes: object) -> Order:
    made = Order(
        client_order_id=f"O{number}",
        key=f"k{number}",
        account=account,
        strategy="manual",
        instrument=0,
        side=Side.BUY,
        quantity=10,
        type=OrderType.MARKET,
        limit_ticks=112_000,
        time_in_force=TimeInForce.IOC,
        created_ns=NOW_NS + number,
        quote_seq=7,
    )
    return msgspec.structs.replace(made, **changes)


def fill(number: int, of: str = "O1") -> Fill:
    return Fill("VENUE", f"{of}-{number}", of, 0, Side.BUY, 10, 112_001, NOW_NS + number, 8)


def decision(number: int, symbol: str = "EURUSD") -> Decision:
    return Decision(
        f"D{number}", symbol, Direction.HOLD, 0.1, 0.55, -0.5, "edge_below_margin", "m", "1", "abc",
        number, NOW_NS, NOW_NS + number // 20, {"features": 3.25, "predict": 4.0},
    )  # fmt: skip


def scenario(steps: int, account: str = "PAPER") -> dict[str, object]:
    return {
        "account": account, "symbol": "EURUSD", "side": Side.BUY, "lots": Decimal("0.10") * steps,
        "steps": steps, "verdict": "passed", "check": None, "reason": "", "limit_value": None,
        "observed": None, "margin_per_lot": Decimal("3663.00"), "price_low": 110_000,
        "price_high": 113_000, "limits_version": "l1", "instruments_version": "i1",
        "session_expiry_ns": 2**62, "template": b"35=D\x01\x00'", "created_ns": 5,
    }  # fmt: skip


def test_rows_of_all_kinds_come_back_as_they_went_in(ledger: LedgerStore) -> None:
    account = AccountRow("PAPER", "USD", Decimal("100000.05"), Decimal("99999.9"), Decimal(0), 3)
    limit = LimitRow("PAPER", "max_order_lots", "1.5", "v1", "ops", 4)
    entry = AuditRow("a1", NOW_NS, "ops", "halt", "PAPER", "because")
    position = PositionRow("PAPER", 0, -5, -560_000, 12, NOW_NS)
    quote = LedgerQuote("EURUSD", NOW_NS, 1, 1.1, 1.1002, 2.5)
    rows = [order(1), fill(1), decision(1), account, limit, entry, position, quote]
    assert ledger.record(rows) == len(rows)
    assert ledger.orders() == [order(1)]
    assert ledger.order("O1") == order(1)
    assert ledger.fills() == [fill(1)]
    assert ledger.decisions() == [decision(1)]
    assert ledger.accounts() == [account]
    assert ledger.limits("PAPER") == [limit]
    assert ledger.audit() == [entry]
    assert ledger.positions("PAPER") == [position]
    assert ledger.quotes("EURUSD", 0, 2**62, 10) == [quote]


def test_every_term_of_an_order_comes_back(ledger: LedgerStore) -> None:
    terms = order(
        1, type=OrderType.STOP_LIMIT, time_in_force=TimeInForce.GTD, stop_ticks=5, expire_ns=2**60,
        reduce_only=True, take_ticks=6, loss_ticks=7, group="G'1", pending=Amendment(3, 4),
        asked=Amendment(limit_ticks=9),
    )  # fmt: skip
    ledger.record([terms, order(2)])
    assert ledger.order("O1") == terms
    assert ledger.orders() == [order(2), terms]


def test_what_stands_is_replaced_and_what_happened_stays(ledger: LedgerStore) -> None:
    filled = order(1, status=OrderStatus.FILLED, filled=10)
    ledger.record([order(1), fill(1), decision(1), PositionRow("PAPER", 0, 1, 1, 0, 1)])
    other_fill = msgspec.structs.replace(fill(1), quantity=99)
    other_decision = msgspec.structs.replace(decision(1), reason="edge")
    ledger.record([filled, other_fill, other_decision, PositionRow("PAPER", 0, 2, 2, 0, 2)])
    assert ledger.orders() == [filled]
    assert ledger.fills() == [fill(1)]
    assert ledger.decisions() == [decision(1)]
    assert ledger.positions("PAPER") == [PositionRow("PAPER", 0, 2, 2, 0, 2)]


def test_of_one_batch_the_last_order_and_the_first_fill_count(ledger: LedgerStore) -> None:
    filled = order(1, status=OrderStatus.FILLED)
    ledger.record([order(1), filled, fill(1), msgspec.structs.replace(fill(1), quantity=1)])
    assert ledger.orders() == [filled]
    assert ledger.fills() == [fill(1)]


def test_a_batch_again_writes_nothing_new(ledger: LedgerStore) -> None:
    batch = [decision(number) for number in range(300)] + [fill(number) for number in range(200)]
    assert ledger.record(batch) == 500
    assert ledger.record(batch) == 0
    assert ledger.record([]) == 0
    assert len(ledger.fills()) == 200


def test_newest_first_and_no_more_than_asked(ledger: LedgerStore) -> None:
    ledger.record([order(number) for number in range(30)])
    ledger.record([order(90, "OTHER")])
    ledger.record([decision(number) for number in range(40)])
    ledger.record([decision(99, "GBPUSD")])
    assert [row.client_order_id for row in ledger.orders(account="PAPER", limit=2)] == [
        "O29",
        "O28",
    ]
    assert [row.decision_id for row in ledger.decisions(symbol="EURUSD", limit=3)] == [
        "D39", "D38", "D37",
    ]  # fmt: skip
    assert ledger.decisions(limit=1) == [decision(99, "GBPUSD")]
    assert ledger.order("nobody's") is None


def test_fills_of_one_order_in_time_order(ledger: LedgerStore) -> None:
    ledger.record([fill(number, of) for of in ("O1", "O2") for number in (2, 11, 1)])
    assert ledger.fills(client_order_id="O2") == [fill(n, "O2") for n in (1, 2, 11)]
    assert ledger.fills(client_order_id="O3") == []


def test_scenarios_are_replaced_whole(ledger: LedgerStore) -> None:
    assert ledger.replace_scenarios([scenario(1), scenario(2), scenario(9, "OTHER")]) == 3
    assert ledger.replace_scenarios([scenario(3)], account="PAPER") == 1
    rows = ledger.scenarios()
    assert [(row["account"], row["steps"]) for row in rows] == [("OTHER", 9), ("PAPER", 3)]
    expected = scenario(3) | {"side": "BUY", "lots": "0.30", "margin_per_lot": "3663.00"}
    assert ledger.scenarios("PAPER") == [expected]
    assert ledger.replace_scenarios([]) == 0
    assert ledger.scenarios() == []


def test_a_row_that_does_not_fit_stores_nothing(ledger: LedgerStore) -> None:
    ledger.replace_scenarios([scenario(1)])
    with pytest.raises(BadInput):
        ledger.replace_scenarios([scenario(4), scenario(5) | {"template": None}])
    assert [row["steps"] for row in ledger.scenarios()] == [1]
    broken = order(2, venue_order_id=None)
    with pytest.raises(BadInput):
        ledger.record([order(1), broken, fill(1)])
    assert ledger.orders() == []
    assert ledger.fills() == []


def test_quotes_newest_first_and_recent_ones_of_all_symbols(ledger: LedgerStore) -> None:
    tape = [
        LedgerQuote(symbol, NOW_NS + at * SECOND_NS, at, 1.1 + at * 1e-5, 1.2)
        for at in range(50)
        for symbol in ("EURUSD", "GBPUSD")
    ]
    ledger.record(tape)
    ledger.record(tape[:10])
    newest = ledger.quotes("GBPUSD", NOW_NS + 10 * SECOND_NS, NOW_NS + 20 * SECOND_NS, 3)
    assert [row.sequence for row in newest] == [19, 18, 17]
    for _ in range(2):
        recent = ledger.recent_quotes(NOW_NS + 48 * SECOND_NS)
        assert [(row.sequence, row.symbol) for row in recent] == [
            (48, "EURUSD"), (48, "GBPUSD"), (49, "EURUSD"), (49, "GBPUSD"),
        ]  # fmt: skip
        ledger.maintain(NOW_NS + 49 * SECOND_NS)


def test_several_threads_may_write(ledger: LedgerStore) -> None:
    def write(first: int) -> None:
        for number in range(first, first + 20):
            ledger.record([decision(number)])

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.decisions()) == 60
