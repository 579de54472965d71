"""What both ledgers have in common: every question that can be asked, and what goes in."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from decimal import Decimal
from typing import Self

import msgspec

from core.types import Decision, Fill, Order
from storage.ledger_rows import (
    AccountRow,
    AuditRow,
    LedgerQuote,
    LimitRow,
    ParkedRow,
    PositionRow,
    ProjectionRow,
    Record,
    Recorded,
    Row,
    Table,
    by_table,
    plain,
)


class LedgerBase(ABC):
    """A `storage.ports.LedgerStore` but for how statements reach the database.

    Statements name their parameters ``?1``, ``?2``.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of all connections."""

    @abstractmethod
    def _fetch(self, statement: str, *values: object) -> list[Row]:
        """Rows of an answer."""

    @abstractmethod
    def _store(self, groups: Iterable[tuple[Table, list[Row]]]) -> int:
        """Store rows in one transaction; returns how many were written."""

    @abstractmethod
    def _replace_scenarios(self, rows: list[Row], account: str | None) -> int:
        """Put rows in place of the scenarios of an account, or of all."""

    def record(self, rows: Iterable[Recorded]) -> int:
        """Store rows of any kinds, all or none; what is known already stays or is replaced."""
        return self._store(by_table(rows).values())

    def replace_scenarios(self, rows: Iterable[Record], *, account: str | None = None) -> int:
        """Put `rows` in place of all scenarios (of one account when given), in one transaction."""
        return self._replace_scenarios([plain(row) for row in rows], account)

    def scenarios(self, account: str | None = None) -> list[Row]:
        """Rows of the table `scenarios`, by account, symbol, side and size; decimals as text."""
        rows = self._fetch(
            f"SELECT * FROM scenarios{_where('account', account)}"
            " ORDER BY account, symbol, side, steps",
            *_given(account),
        )
        return [{name: _text(value) for name, value in row.items()} for row in rows]

    def record_decisions(self, decisions: Iterable[Decision]) -> int:
        """Store decisions; one that is stored already stays as it is."""
        return self.record(decisions)

    def record_orders(self, orders: Iterable[Order]) -> int:
        """Store orders as they stand now, in place of what was known of them."""
        return self.record(orders)

    def record_fills(self, fills: Iterable[Fill]) -> int:
        """Store fills; one of the same venue and execution id is stored once."""
        return self.record(fills)

    def decisions(self, *, symbol: str | None = None, limit: int = 1_000) -> list[Decision]:
        """Newest decisions first."""
        rows = self._fetch(
            f"SELECT * FROM decisions{_where('symbol', symbol)} ORDER BY ts_decide DESC,"
            f" length(decision_id) DESC, decision_id DESC LIMIT {int(limit)}",
            *_given(symbol),
        )
        for row in rows:
            row["stages_us"] = msgspec.json.decode(str(row["stages_us"]), type=dict)
        return msgspec.convert(rows, list[Decision])

    def orders(self, *, account: str | None = None, limit: int = 1_000) -> list[Order]:
        """Newest orders first."""
        rows = self._fetch(
            f"SELECT * FROM orders{_where('account', account)}"
            f" ORDER BY created_ns DESC, client_order_id DESC LIMIT {int(limit)}",
            *_given(account),
        )
        return [_order(row) for row in rows]

    def order(self, client_order_id: str) -> Order | None:
        """Return the order with this id."""
        rows = self._fetch("SELECT * FROM orders WHERE client_order_id = ?1", client_order_id)
        return _order(rows[0]) if rows else None

    def fills(self, *, client_order_id: str | None = None) -> list[Fill]:
        """Return fills in time order, of one order when given."""
        rows = self._fetch(
            f"SELECT * FROM fills{_where('client_order_id', client_order_id)}"
            " ORDER BY ts_event, quote_seq, length(exec_id), exec_id",
            *_given(client_order_id),
        )
        return msgspec.convert(rows, list[Fill])

    def positions(self, account: str) -> list[PositionRow]:
        """Positions of an account, by instrument."""
        rows = self._fetch(
            "SELECT * FROM positions WHERE account = ?1 ORDER BY instrument", account
        )
        return msgspec.convert(rows, list[PositionRow])

    def accounts(self) -> list[AccountRow]:
        """All accounts as they stand."""
        return msgspec.convert(
            self._fetch("SELECT * FROM accounts ORDER BY account"), list[AccountRow]
        )

    def limits(self, account: str) -> list[LimitRow]:
        """Limits of an account, by name."""
        rows = self._fetch("SELECT * FROM limits WHERE account = ?1 ORDER BY name", account)
        return msgspec.convert(rows, list[LimitRow])

    def audit(self, *, limit: int = 1_000) -> list[AuditRow]:
        """Newest entries of the audit first."""
        rows = self._fetch(
            f"SELECT * FROM audit ORDER BY ts DESC, audit_id DESC LIMIT {int(limit)}"
        )
        return msgspec.convert(rows, list[AuditRow])

    def projection(self, name: str) -> ProjectionRow | None:
        """How far a log was copied; None for one that was not begun."""
        rows = self._fetch("SELECT * FROM journal_copies WHERE projection = ?1", name)
        return msgspec.convert(rows[0], ProjectionRow) if rows else None

    def parked(self, name: str) -> list[ParkedRow]:
        """Return the records of a log that were put aside, in its order."""
        rows = self._fetch(
            "SELECT * FROM parked_records WHERE projection = ?1 ORDER BY position", name
        )
        return msgspec.convert(rows, list[ParkedRow])

    def quotes(self, symbol: str, start_ns: int, end_ns: int, limit: int) -> list[LedgerQuote]:
        """Newest quotes of a symbol first, with ``start_ns <= ts < end_ns``."""
        rows = self._fetch(
            "SELECT symbol, ts, sequence, bid, ask, volume FROM market_data WHERE symbol = ?1"
            " AND ts >= ?2 AND ts < ?3 ORDER BY ts DESC, sequence DESC LIMIT ?4",
            symbol,
            start_ns,
            end_ns,
            limit,
        )
        return msgspec.convert(rows, list[LedgerQuote])

    def recent_quotes(self, since_ns: int) -> list[LedgerQuote]:
        """Quotes of all symbols from `since_ns` on, in time order."""
        rows = self._fetch(
            "SELECT symbol, ts, sequence, bid, ask, volume FROM market_data"
            f" WHERE {self._recent(since_ns)} ts >= ?1 ORDER BY ts, symbol, sequence",
            since_ns,
        )
        return msgspec.convert(rows, list[LedgerQuote])

    @abstractmethod
    def maintain(self, now_ns: int) -> None:
        """Do what must be done now and then; safe at any time."""

    def _recent(self, since_ns: int) -> str:
        """Return a condition that holds for all rows from `since_ns` on, or nothing."""
        return ""


def _order(row: Row) -> Order:
    asked = {name: _decoded(row[name]) for name in ("pending", "asked")}
    return msgspec.convert(row | {"reduce_only": bool(row["reduce_only"])} | asked, Order)


def _decoded(text: object) -> object:
    return None if text is None else msgspec.json.decode(str(text))


def _where(column: str, value: object) -> str:
    return "" if value is None else f" WHERE {column} = ?1"


def _given(value: object) -> tuple[object, ...]:
    return () if value is None else (value,)


def _text(value: object) -> object:
    return format(value, "f") if isinstance(value, Decimal) else value
