"""Text that would be a statement stays text, in every store and on every way in."""

from decimal import Decimal

import msgspec
import numpy as np
import pytest

from core.errors import BadInput
from storage.clickhouse_connection import ClickHouse, NativeConnection
from storage.clickhouse_records import ClickHouseRecords
from storage.ledger_rows import AccountRow, AuditRow, LedgerQuote, LimitRow, PositionRow
from storage.ports import LedgerStore, Ticks
from tests.contracts.test_ledger import decision, fill, order, scenario
from tests.contracts.test_ticks import tape

_TAILS = ("", "--", "#", "/*", ";--", "\\", "%00", "' '")
_CORES = (
    "' OR 1=1", "'; DROP TABLE orders; ", "'); DELETE FROM fills; ", "\\'; DROP TABLE fills; ",
    "\" OR \"\"=\"", "' UNION SELECT * FROM accounts ", "$1; TRUNCATE audit; ", "?1 OR 1=1 ",
    "{symbol:String}' OR 1=1 ", "%(symbol)s' OR '1'='1", "'||(SELECT version())||'",
    "1; ALTER TABLE market_data DELETE WHERE 1 ", "\u02bc OR 1=1 ",
    "Robert'); DROP TABLE students;",
)  # fmt: skip
PAYLOADS = tuple(core + tail for core in _CORES for tail in _TAILS)[:100]
assert len(set(PAYLOADS)) == 100


def with_text(record: msgspec.Struct, text: str) -> list[msgspec.Struct]:
    """Copies of a record, each with the text in another of its text fields."""
    names = [n for n in record.__struct_fields__ if type(getattr(record, n)) is str]
    return [msgspec.structs.replace(record, **{name: text}) for name in names]


RECORDS: tuple[msgspec.Struct, ...] = (
    decision(1),
    order(1),
    fill(1),
    PositionRow("PAPER", 0, 1, 1, 0, 1),
    AccountRow("PAPER", "USD", *[Decimal(1)] * 3, 1),
    LimitRow("PAPER", "n", "1", "v", "w", 1),
    AuditRow("a", 1, "w", "a", "s", "d"),
    LedgerQuote("EURUSD", 1, 1, 1.0, 1.0),
)


def everything(ledger: LedgerStore, account: str) -> list[list[object]]:
    return [
        ledger.orders(), ledger.fills(), ledger.decisions(), ledger.accounts(), ledger.audit(),
        ledger.positions(account), ledger.limits(account), ledger.scenarios(),
        ledger.recent_quotes(0),
    ]  # fmt: skip


def test_every_text_of_every_row_is_kept_as_text(ledger: LedgerStore) -> None:
    for payload in PAYLOADS:
        for record in RECORDS:
            ledger.record(with_text(record, payload))
    assert {row.reason for row in ledger.orders(limit=9_999)} <= {"", *PAYLOADS}
    stored = {row.client_order_id: row for row in ledger.orders(limit=9_999)}
    assert set(PAYLOADS) < set(stored)
    assert {row.decision_id for row in ledger.decisions(limit=9_999)} == {"D1", *PAYLOADS}
    assert {row.exec_id for row in ledger.fills()} == {"O1-1", *PAYLOADS}
    assert {row.audit_id for row in ledger.audit(limit=9_999)} == {"a", *PAYLOADS}


def test_no_text_in_a_question_is_a_statement(ledger: LedgerStore) -> None:
    ledger.record(RECORDS)
    ledger.replace_scenarios([scenario(1)])
    before = everything(ledger, "PAPER")
    for payload in PAYLOADS:
        assert ledger.order(payload) is None
        for found in (
            ledger.orders(account=payload), ledger.fills(client_order_id=payload),
            ledger.decisions(symbol=payload), ledger.positions(payload), ledger.limits(payload),
            ledger.scenarios(payload), ledger.quotes(payload, 0, 2**62, 10),
        ):  # fmt: skip
            assert found == []
        assert ledger.replace_scenarios([], account=payload) == 0
    assert everything(ledger, "PAPER") == before


def test_no_symbol_is_a_statement(ticks: Ticks) -> None:
    rows = tape(n=40)
    ticks.append("EURUSD", rows)
    before = ticks.snapshot_hash("EURUSD")
    for payload in PAYLOADS:
        for ask in (ticks.read, ticks.snapshot_hash, ticks.clear):
            with pytest.raises(BadInput):
                ask(payload)
        with pytest.raises(BadInput):
            ticks.append(payload, rows)
        with pytest.raises(BadInput):
            ticks.bars(payload, 60_000_000_000)
    assert ticks.symbols() == ("EURUSD",)
    assert ticks.snapshot_hash("EURUSD") == before


@pytest.mark.servers
def test_text_that_reaches_clickhouse_stays_text(clickhouse_connection: ClickHouse) -> None:
    records = ClickHouseRecords(clickhouse_connection)
    rows = [row for payload in PAYLOADS for row in with_text(decision(1), payload)]
    records.record_decisions(rows)
    records.record_latencies([(payload, 1, 2) for payload in PAYLOADS])
    for payload in PAYLOADS:
        (found,) = clickhouse_connection.select(
            "SELECT count() FROM latency_samples WHERE stage = {stage:String}", stage=payload
        )
        assert int(found[0]) == 1
        assert {row.symbol for row in records.decisions(payload)} == {payload}


def test_no_name_of_a_table_or_column_is_a_statement() -> None:
    connection = NativeConnection("clickhouse://127.0.0.1:1/default")
    for payload in PAYLOADS:
        with pytest.raises(BadInput):
            connection.insert(payload, {"ts": np.array([1])})
        with pytest.raises(BadInput):
            connection.insert("latency_samples", {payload: np.array([1])})
