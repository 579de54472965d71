"""Decisions and latency samples on ClickHouse."""

import msgspec
import pytest

from storage.clickhouse_connection import ClickHouse
from storage.clickhouse_records import ClickHouseRecords
from tests.contracts.test_ledger import decision

pytestmark = pytest.mark.servers


@pytest.fixture
def records(clickhouse_connection: ClickHouse) -> ClickHouseRecords:
    return ClickHouseRecords(clickhouse_connection)


def test_a_decision_is_stored_once(records: ClickHouseRecords) -> None:
    made = [decision(number) for number in range(50)]
    for _ in range(2):
        records.record_decisions(made)
    records.record_decisions([msgspec.structs.replace(decision(7), symbol="GBPUSD")])
    records.record_decisions([])
    assert records.decisions("EURUSD", limit=3) == made[:-4:-1]
    assert len(records.decisions("EURUSD")) == 50
    assert records.decisions("XAUUSD") == []


def test_quantiles_of_a_stage(records: ClickHouseRecords) -> None:
    records.record_latencies([("predict", 1_000 + at, at) for at in range(1_001)])
    records.record_latencies([("risk", 1_500, 7), *[("predict", 10**18, 10**9)] * 2])
    records.record_latencies([])
    assert records.latency_quantiles("predict", 0, 10**6) == (500.0, 950.0, 990.0, 999.0)
    assert records.latency_quantiles("send", 0, 10**6) == ()
