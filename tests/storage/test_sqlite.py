import sqlite3
import threading
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from core.errors import BadInput, FatalError
from core.types import Decision, Direction, Fill, Order, OrderStatus, OrderType, Side, TimeInForce
from storage.sqlite import MIGRATIONS, Ledger

ORDER = Order(
    client_order_id="A1",
    key="k1",
    account="PAPER",
    strategy="manual",
    instrument=0,
    side=Side.BUY,
    quantity=10,
    type=OrderType.MARKET,
    limit_ticks=112_000,
    time_in_force=TimeInForce.IOC,
    created_ns=1_700_000_000_000_000_001,
    quote_seq=7,
)
FILL = Fill("VENUE", "A1-1", "A1", 0, Side.BUY, 10, 112_001, 1_700_000_000_000_000_002, 8)


class Scenario(msgspec.Struct, frozen=True):
    account: str
    symbol: str
    side: Side
    lots: Decimal
    steps: int
    verdict: str
    check: str
    reason: str
    limit_value: str
    observed: str
    margin_per_lot: Decimal
    price_low: int
    price_high: int
    limits_version: str
    instruments_version: str
    session_expiry_ns: int
    template: bytes
    created_ns: int


def scenario(account: str = "PAPER", steps: int = 10) -> Scenario:
    return Scenario(
        account,
        "EURUSD",
        Side.BUY,
        Decimal("0.10") * steps,
        steps,
        "pass",
        "",
        "",
        "",
        "",
        Decimal("3663.00"),
        110_000,
        113_000,
        "l1",
        "i1",
        2**62,
        b"35=D\x01",
        5,
    )


def decision(number: int, symbol: str = "EURUSD") -> Decision:
    return Decision(
        f"D{number}",
        symbol,
        Direction.HOLD,
        0.1,
        0.55,
        -0.5,
        "edge_below_margin",
        "m",
        "1",
        "abc",
        number,
        1,
        number,
        {"features": 3.25, "predict": 4.0},
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    with Ledger(tmp_path / "deep" / "ledger.sqlite") as opened:
        yield opened


def test_records_come_back_as_they_went_in(ledger: Ledger) -> None:
    ledger.record_orders([ORDER])
    ledger.record_fills([FILL])
    ledger.record_decisions([decision(1), decision(2, "GBPUSD")])
    assert ledger.orders() == [ORDER]
    assert ledger.fills(client_order_id="A1") == [FILL]
    assert ledger.decisions() == [decision(2, "GBPUSD"), decision(1)]
    assert ledger.decisions(symbol="EURUSD") == [decision(1)]
    assert ledger.fills(client_order_id="nobody's") == []


def test_an_order_is_replaced_and_a_repeat_changes_nothing(ledger: Ledger) -> None:
    done = msgspec.structs.replace(ORDER, status=OrderStatus.FILLED, filled=10)
    ledger.record_orders([ORDER])
    ledger.record_orders([done])
    for _ in range(2):
        ledger.record_fills([FILL])
        ledger.record_decisions([decision(1)])
    assert ledger.orders() == [done]
    assert ledger.fills() == [FILL]
    assert len(ledger.decisions()) == 1


def test_scenarios_are_replaced_whole(ledger: Ledger) -> None:
    ledger.replace_scenarios([scenario(steps=1), scenario(steps=2), scenario("OTHER")])
    assert ledger.replace_scenarios([scenario(steps=3)], account="PAPER") == 1
    assert [(row["account"], row["steps"]) for row in ledger.scenarios()] == [
        ("OTHER", 10),
        ("PAPER", 3),
    ]
    back = msgspec.convert(ledger.scenarios("PAPER"), list[Scenario], strict=False)
    assert back == [scenario(steps=3)]
    assert ledger.replace_scenarios([msgspec.structs.asdict(scenario())]) == 1
    assert len(ledger.scenarios()) == 1


def test_a_failing_replacement_leaves_the_old_rows(ledger: Ledger) -> None:
    ledger.replace_scenarios([scenario()])
    broken = msgspec.structs.asdict(scenario()) | {"template": None}
    with pytest.raises(BadInput, match="does not fit"):
        ledger.replace_scenarios([scenario(steps=4), broken])
    assert [row["steps"] for row in ledger.scenarios()] == [10]


def test_it_is_on_disk_in_wal_mode(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as one, Ledger(path) as other:
        one.record_orders([ORDER])
        assert other.orders() == [ORDER]
    with Ledger(path) as again:
        assert again.orders() == [ORDER]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    connection.close()


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(FatalError, match="newer"):
        Ledger(path)


def test_several_threads_may_write(ledger: Ledger) -> None:
    def write(first: int) -> None:
        for number in range(first, first + 50):
            ledger.record_decisions([decision(number)])

    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger.decisions()) == 150


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"these are no pages" * 400)
    with pytest.raises(FatalError, match="cannot be used as a ledger"):
        Ledger(path)
