"""Keep the minutes of the view and the quotes behind them the same, whatever an insert died of.

The server writes a block of quotes first and its minutes after: a crash between the two, or a
block that was sent again because its answer got lost, leaves them apart. Late quotes need nothing
of this, since the states of the view do not hang on the order of the inserts.
"""

import time
from collections.abc import Callable

import numpy as np

from core.errors import Unavailable
from storage.clickhouse_connection import ClickHouse
from storage.clickhouse_dialect import Value
from storage.snapshot import DAY_NS

_TABLES = ("market_data", "bars_minute")
_DAY_MINUTES = 1_440
_POLL_SECS = 0.01
_MUTATION_SECS = 300.0
DOUBT_SECS = 30.0
"""How long after a failure a block may still arrive that a hung server had taken."""


class MinuteRepair:
    """Finds the days on which quotes and minutes differ, and makes their minutes anew."""

    def __init__(
        self,
        connection: ClickHouse,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection, self._sleep, self._monotonic = connection, sleep, monotonic
        self._settled_until: dict[str, float] = {}
        ns = connection.dialect.ns_of("ts")
        self._day = f"intDiv({ns} - (span > 0), {DAY_NS})"
        self._month = f"toYYYYMM(toDateTime(intDiv({ns}, 1000000000), 'UTC'))"
        self._ns = ns

    def doubt(self, symbol: str) -> None:
        """Note that an insert failed: what the server has is unknown, and may still change."""
        self._settled_until[symbol] = self._monotonic() + DOUBT_SECS

    def settle(self, symbol: str) -> int:
        """Mend the symbol unless it is known to be sound; return the days that were mended.

        A symbol is looked at when this process first writes it and after a failure.
        """
        until = self._settled_until.get(symbol)
        if until == 0.0:
            return 0
        over = until is None or self._monotonic() >= until
        mended = self.repair(symbol)
        self._settled_until[symbol] = 0.0 if over else (until or 0.0)
        return mended

    def repair(self, symbol: str) -> int:
        """Look at all days of a symbol and mend those on which something is twice or missing."""
        self._drop_repeats(symbol)
        wrong = self._unequal_days(symbol)
        for day in wrong:
            self._rebuild(symbol, day)
        return len(wrong)

    def forget(self, condition: str, **values: Value) -> None:
        """Delete the rows of both tables for which a condition on the symbol holds."""
        for table in _TABLES:
            self._delete(table, condition, **values)

    def forget_days(self, first_kept: int) -> None:
        """Delete all UTC days before the one with this number."""
        kept = np.datetime64(first_kept, "D").astype("datetime64[M]")
        first_month = int(str(kept).replace("-", ""))
        columns = {"market_data": self._month,
                   "bars_minute": "toYYYYMM(toDateTime(minute * 60, 'UTC'))"}  # fmt: skip
        for table, month in columns.items():
            found = self._connection.select(
                f"SELECT {month} AS month FROM {table} GROUP BY month HAVING month < {{m:Int64}}",
                m=first_month,
            )
            for number in found[0].tolist() if found else ():
                drop = f"ALTER TABLE {table} DROP PARTITION {int(number)}"
                self._connection.command(drop)
        # A span that ends at midnight is a row of the next day, and its minute one of the last.
        self._delete("market_data", f"{self._ns} < {{ns:Int64}}", ns=first_kept * DAY_NS)
        self._delete("bars_minute", "minute < {m:Int64}", m=first_kept * _DAY_MINUTES - 1)
        last_minute = first_kept * _DAY_MINUTES - 1
        for symbol in self._symbols_in(last_minute):
            self._rebuild(symbol, last_minute // _DAY_MINUTES)

    def _symbols_in(self, minute: int) -> list[str]:
        found = self._connection.select(
            "SELECT DISTINCT symbol FROM bars_minute WHERE minute = {m:Int64}", m=minute
        )
        return found[0].tolist() if found else []

    def _drop_repeats(self, symbol: str) -> None:
        found = self._connection.select(
            f"SELECT {self._month} AS month FROM market_data WHERE symbol = {{symbol:String}}"
            " GROUP BY month HAVING count() > uniqExact((ts, sequence))",
            symbol=symbol,
        )
        for month in found[0].tolist() if found else ():
            self._connection.command(
                f"OPTIMIZE TABLE market_data PARTITION {int(month)} FINAL DEDUPLICATE"
            )

    def _unequal_days(self, symbol: str) -> list[int]:
        quotes = self._counts(
            f"SELECT {self._day} AS day, toInt64(count()) FROM market_data"
            " WHERE symbol = {symbol:String} GROUP BY day",
            symbol,
        )
        minutes = self._counts(
            f"SELECT intDiv(minute, {_DAY_MINUTES}) AS day, toInt64(countMerge(ticks))"
            " FROM bars_minute WHERE symbol = {symbol:String} GROUP BY day",
            symbol,
        )
        days = quotes.keys() | minutes.keys()
        return sorted(day for day in days if quotes.get(day) != minutes.get(day))

    def _counts(self, statement: str, symbol: str) -> dict[int, int]:
        found = self._connection.select(statement, symbol=symbol)
        return dict(zip(found[0].tolist(), found[1].tolist(), strict=True)) if found else {}

    def _rebuild(self, symbol: str, day: int) -> None:
        values: dict[str, Value] = {"symbol": symbol, "day": day}
        self._delete(
            "bars_minute",
            f"symbol = {{symbol:String}} AND intDiv(minute, {_DAY_MINUTES}) = {{day:Int64}}",
            **values,
        )
        self._connection.command(
            f"INSERT INTO bars_minute {self._connection.dialect.minute_states()}"
            f" WHERE symbol = {{symbol:String}} AND {self._day} = {{day:Int64}}"
            " GROUP BY symbol, minute",
            **values,
        )

    def _delete(self, table: str, condition: str, **values: Value) -> None:
        self._connection.command(f"ALTER TABLE {table} DELETE WHERE {condition}", **values)
        deadline = self._monotonic() + _MUTATION_SECS
        pending = (
            "SELECT count() FROM system.mutations WHERE database = currentDatabase()"
            " AND table = {table:String} AND NOT is_done"
        )
        while int(self._connection.select(pending, table=table)[0][0]):
            if self._monotonic() > deadline:
                raise Unavailable(f"clickhouse: rows of {table} are still being deleted")
            self._sleep(_POLL_SECS)
