"""Decisions and latency samples on their way to ClickHouse: what a batch writer calls."""

import threading
from collections.abc import Sequence

from storage.clickhouse_connection import ClickHouse
from storage.clickhouse_records import Analysed, ClickHouseRecords


class AnalysisSink:
    """Stores rows on a server that may be away when the platform starts.

    Parameters
    ----------
    connection : ClickHouse
        Closed with the sink.
    """

    def __init__(self, connection: ClickHouse) -> None:
        self._connection = connection
        self._records: ClickHouseRecords | None = None
        self._lock = threading.Lock()

    def __call__(self, rows: Sequence[Analysed]) -> None:
        """Store a batch; raises Unavailable when the server does not take it."""
        self._opened().record(rows)

    def forget_before(self, ns: int) -> None:
        """Forget what was recorded before `ns`."""
        self._opened().forget_before(ns)

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()

    def _opened(self) -> ClickHouseRecords:
        with self._lock:
            if self._records is None:
                self._records = ClickHouseRecords(self._connection)
            return self._records
