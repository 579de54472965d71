"""Decisions and latency samples on a ClickHouse server, for analysis."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from core.types import Decision
from storage.clickhouse_connection import ClickHouse, Column
from storage.clickhouse_schema import migrate
from storage.ledger_rows import LatencySample, plain

_COLUMNS: Mapping[str, type] = {
    **dict.fromkeys(Decision.__struct_fields__, str),
    **dict.fromkeys(("confidence", "raw_score", "edge_pips"), float),
    **dict.fromkeys(("quote_seq", "ts_event", "ts_decide"), int),
}
Analysed = Decision | LatencySample
_DTYPES: Mapping[type, Any] = {str: object, float: np.float64, int: np.int64}


class ClickHouseRecords:
    """What the platform decided and how long it took.

    A decision that is stored again is stored once; a latency sample is not.

    Parameters
    ----------
    connection : ClickHouse
        Of the caller, who also closes it.
    """

    def __init__(self, connection: ClickHouse) -> None:
        self._connection = connection
        migrate(connection)
        ns_of = connection.dialect.ns_of
        names = (ns_of(name) if name.startswith("ts_") else name for name in _COLUMNS)
        self._decisions = f"SELECT {', '.join(names)} FROM decisions FINAL"

    def record(self, rows: Sequence[Analysed]) -> None:
        """Store decisions and samples of stages; a decision's own stages are samples too."""
        decisions = [row for row in rows if isinstance(row, Decision)]
        self.record_decisions(decisions)
        samples = [
            (row.stage, row.ts, row.elapsed_ns) for row in rows if not isinstance(row, Decision)
        ]
        for made in decisions:
            samples += [
                (name, made.ts_decide, round(us * 1e3)) for name, us in made.stages_us.items()
            ]
        self.record_latencies(samples)

    def forget_before(self, ns: int) -> None:
        """Forget what was recorded before `ns`; the server deletes it in its own time."""
        stamp = self._connection.dialect.stamp_of("{ns:Int64}")
        for table, column in (("decisions", "ts_decide"), ("latency_samples", "ts")):
            self._connection.command(f"ALTER TABLE {table} DELETE WHERE {column} < {stamp}", ns=ns)

    def record_decisions(self, decisions: Iterable[Decision]) -> None:
        """Store decisions in one block."""
        rows = [plain(decision) for decision in decisions]
        if rows:
            self._connection.insert("decisions", _columns(rows))

    def decisions(self, symbol: str, *, limit: int = 1_000) -> list[Decision]:
        """Newest decisions of a symbol first."""
        found = self._connection.select(
            f"{self._decisions} WHERE symbol = {{symbol:String}}"
            " ORDER BY ts_decide DESC, length(decision_id) DESC, decision_id DESC"
            " LIMIT {limit:Int64}",
            symbol=symbol,
            limit=limit,
        )
        rows = zip(*(column.tolist() for column in found), strict=True)
        return [_decision(dict(zip(_COLUMNS, row, strict=True))) for row in rows]

    def record_latencies(self, samples: Sequence[tuple[str, int, int]]) -> None:
        """Store samples (stage, stamp in ns UTC, elapsed ns) in one block."""
        if samples:
            stages, stamps, elapsed = zip(*samples, strict=True)
            columns = {
                "stage": np.array(stages, object),
                "ts": np.array(stamps, np.int64),
                "elapsed_ns": np.array(elapsed, np.int64),
            }
            self._connection.insert("latency_samples", columns)

    def latency_quantiles(self, stage: str, start_ns: int, end_ns: int) -> tuple[float, ...]:
        """p50, p95, p99 and p99.9 of a stage in ns over a time range; empty without samples."""
        stamp = self._connection.dialect.stamp_of
        found = self._connection.select(
            "SELECT arrayJoin(quantilesExact(0.5, 0.95, 0.99, 0.999)(elapsed_ns))"
            f" FROM latency_samples WHERE stage = {{stage:String}}"
            f" AND ts >= {stamp('{start:Int64}')} AND ts < {stamp('{end:Int64}')}"
            " HAVING count() > 0",
            stage=stage,
            start=start_ns,
            end=end_ns,
        )
        return tuple(float(value) for value in found[0]) if found else ()


def _columns(rows: list[dict[str, object]]) -> dict[str, Column]:
    return {
        name: np.array([row[name] for row in rows], _DTYPES[kind])
        for name, kind in _COLUMNS.items()
    }


def _decision(row: dict[str, Any]) -> Decision:
    return msgspec.convert(row | {"stages_us": msgspec.json.decode(row["stages_us"])}, Decision)
