"""Ticks on a ClickHouse server, with minute bars kept by a materialized view."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from core.columns import I8, QuoteColumns
from core.errors import Unavailable
from storage.bars import MINUTE_NS, StoredBars, bucket_range
from storage.clickhouse_connection import ClickHouse, Column
from storage.clickhouse_minutes import MinuteRepair
from storage.clickhouse_schema import migrate
from storage.sequenced import (
    COLUMN_NAMES,
    Incoming,
    Sequenced,
    incoming,
    nothing,
    volume_of,
    volume_units,
)
from storage.snapshot import DAY_NS, checked_symbol, digest_of

BLOCK_ROWS = 65_536
_PRICES = ("bid", "ask", "open", "high", "low")
_FIRST_NS, _LAST_NS = 0, 2**62


class ClickHouseTicks:
    """The `storage.ports.Ticks` of a ClickHouse server.

    Only one process writes a symbol at a time; nothing on the server keeps a second one out.

    Parameters
    ----------
    connection : ClickHouse
        Closed with the store.
    block_rows : int
        Most rows of an insert.
    sleep : callable
        Waits between looks at what the server does in the background.
    """

    def __init__(
        self,
        connection: ClickHouse,
        *,
        block_rows: int = BLOCK_ROWS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection, self._block_rows = connection, block_rows
        self._dialect = connection.dialect
        migrate(connection)
        self._minutes = MinuteRepair(connection, sleep)
        self._lock = threading.RLock()
        self._last_ts: dict[str, int] = {}
        stamp = self._dialect.stamp_of
        self._range = (
            f"symbol = {{symbol:String}} AND ts >= {stamp('{start:Int64}')}"
            f" AND ts < {stamp('{end:Int64}')}"
        )
        names = [self._dialect.ns_of("ts"), *COLUMN_NAMES[1:], "sequence"]
        self._rows = f"SELECT {', '.join(names)} FROM market_data WHERE {self._range}"

    def append(self, symbol: str, columns: QuoteColumns, sequence: I8 | None = None) -> int:
        """Add the quotes that are not stored yet, in blocks.

        After a failure nobody knows which blocks the server took: the next append of the symbol
        looks at everything again, and mends the minutes of a block that reached the quotes and not
        the view.
        """
        checked_symbol(symbol)
        ready = incoming(columns, sequence)
        if len(ready.rows) == 0:
            return 0
        with self._lock:
            self._minutes.settle(symbol)
            rows = self._missing(symbol, ready)
            try:
                for first in range(0, len(rows), self._block_rows):
                    self._insert(symbol, rows[first : first + self._block_rows])
            except Unavailable:
                self._last_ts.pop(symbol, None)
                self._minutes.doubt(symbol)
                raise
            if len(rows):
                self._last_ts[symbol] = max(self._last_ts[symbol], int(rows.ts[-1]))
            return len(rows)

    def read(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> QuoteColumns:
        """Quotes of a range by (ts, sequence)."""
        return self._select(symbol, start_ns, end_ns).columns

    def scan(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[Sequenced]:
        """Yield the quotes day by day, one query for each day."""
        start, end = _bounds(start_ns, end_ns)
        day = f"intDiv({self._dialect.ns_of('ts')}, {DAY_NS})"
        found = self._connection.select(
            f"SELECT {day} AS day FROM market_data WHERE {self._range} GROUP BY day ORDER BY day",
            symbol=checked_symbol(symbol), start=start, end=end,
        )  # fmt: skip
        for number in found[0].tolist() if found else ():
            first = number * DAY_NS
            yield self._select(symbol, max(first, start), min(first + DAY_NS, end))

    def bars(
        self,
        symbol: str,
        interval_ns: int,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> StoredBars:
        """Bars that begin in the range, rolled up from the view's minutes."""
        first, last = bucket_range(interval_ns, start_ns, end_ns)
        minutes = interval_ns // MINUTE_NS
        found = self._connection.select(
            "SELECT intDiv(minute, {minutes:Int64}) AS bar, argMinMerge(open), maxMerge(high),"
            " minMerge(low), argMaxMerge(close), argMaxMerge(spread), sumMerge(volume),"
            " toInt64(countMerge(ticks)) FROM bars_minute WHERE symbol = {symbol:String}"
            " AND minute >= {first:Int64} AND minute < {last:Int64} GROUP BY bar ORDER BY bar",
            symbol=checked_symbol(symbol),
            minutes=minutes,
            first=first * minutes,
            last=last * minutes,
        )
        bar, *prices, volume, ticks = found or [np.empty(0)] * 8
        open_, high, low, close, spread = (np.asarray(price, np.float64) for price in prices)
        return StoredBars(
            (np.asarray(bar, np.int64) + 1) * interval_ns,
            open_,
            high,
            low,
            close,
            spread,
            volume_of(np.asarray(volume, np.int64)),
            np.asarray(ticks, np.int64),
        )

    def symbols(self) -> tuple[str, ...]:
        """Symbols with at least one quote."""
        found = self._connection.select("SELECT DISTINCT symbol FROM market_data ORDER BY symbol")
        return tuple(found[0].tolist()) if found else ()

    def snapshot_hash(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> str:
        """SHA-256 over the quotes."""
        return digest_of(day.columns for day in self.scan(symbol, start_ns, end_ns))

    def clear(self, symbol: str) -> None:
        """Forget all quotes of a symbol."""
        with self._lock:
            self._last_ts.pop(symbol, None)
            self._minutes.forget("symbol = {symbol:String}", symbol=checked_symbol(symbol))

    def forget_before(self, ns: int) -> None:
        """Forget whole days: whole months by their partitions, the rest row by row."""
        with self._lock:
            self._last_ts.clear()
            self._minutes.forget_days(ns // DAY_NS)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _missing(self, symbol: str, ready: Incoming) -> Sequenced:
        first, end = int(ready.rows.ts[0]), int(ready.rows.ts[-1]) + 1
        if symbol not in self._last_ts:
            newest = f"SELECT max({self._dialect.ns_of('ts')}) FROM market_data WHERE "
            found = self._connection.select(
                newest + "symbol = {symbol:String} HAVING count() > 0", symbol=symbol
            )
            self._last_ts[symbol] = int(found[0][0]) if found else -1
        near = self._select(symbol, first, end) if first <= self._last_ts[symbol] else nothing()
        return ready.missing_in(near)

    def _select(self, symbol: str, start_ns: int | None, end_ns: int | None) -> Sequenced:
        start, end = _bounds(start_ns, end_ns)
        found = self._connection.select(
            self._rows + " ORDER BY symbol, ts, sequence",
            symbol=checked_symbol(symbol), start=start, end=end,
        )  # fmt: skip
        if not found:
            return nothing()
        columns: dict[str, Column] = dict(zip(COLUMN_NAMES, found, strict=False))
        columns["volume"] = volume_of(columns["volume"])
        return Sequenced(QuoteColumns(**columns), np.asarray(found[-1], np.int64))

    def _insert(self, symbol: str, rows: Sequenced) -> None:
        quotes = rows.columns
        self._connection.insert(
            "market_data",
            {
                "symbol": np.full(len(rows), symbol, object),
                "ts": quotes.ts,
                "sequence": rows.sequence,
                **{name: getattr(quotes, name) for name in _PRICES},
                "volume": volume_units(quotes.volume),
                "span": quotes.span,
            },
        )


def _bounds(start_ns: int | None, end_ns: int | None) -> tuple[int, int]:
    start = _FIRST_NS if start_ns is None else max(start_ns, _FIRST_NS)
    return start, _LAST_NS if end_ns is None else min(max(end_ns, _FIRST_NS), _LAST_NS)
