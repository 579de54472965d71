"""Ports of the stores: what every adapter, embedded or server, must do alike.

``tests/contracts`` holds one suite for each.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

from core.columns import I8, QuoteColumns
from core.types import Decision, Fill, Order
from storage.bars import StoredBars
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
)
from storage.sequenced import Sequenced


class Ticks(Protocol):
    """Quotes by symbol; one writer at a time for a symbol, any number of readers.

    Every method raises BadInput for a symbol that is none, and Unavailable when the store does not
    answer.
    """

    def append(self, symbol: str, columns: QuoteColumns, sequence: I8 | None = None) -> int:
        """Add the quotes that are not stored yet; see `storage.sequenced` for which they are.

        Parameters
        ----------
        sequence : int64[n], optional
            Numbers that the source gave the quotes; absent for a source without.

        Returns
        -------
        int
            Rows written. They are stored when this returns.
        """
        ...

    def read(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> QuoteColumns:
        """Quotes with ``start_ns <= ts < end_ns`` by (ts, sequence); none for an unknown symbol."""
        ...

    def scan(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[Sequenced]:
        """Yield the quotes of `read` UTC day by UTC day, with their sequences."""
        ...

    def bars(
        self,
        symbol: str,
        interval_ns: int,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> StoredBars:
        """Bars that begin in the range; `interval_ns` is a whole number of minutes."""
        ...

    def symbols(self) -> tuple[str, ...]:
        """Symbols with at least one quote, in order."""
        ...

    def snapshot_hash(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> str:
        """SHA-256 over the quotes; the same in every store that holds the same."""
        ...

    def clear(self, symbol: str) -> None:
        """Forget all quotes of a symbol."""
        ...

    def forget_before(self, ns: int) -> None:
        """Forget the quotes of all UTC days that ended before `ns`, of all symbols."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


class LedgerStore(Protocol):
    """Orders and what surrounds them, for people, reports and start-up; safe among threads.

    Every method raises Unavailable when the store does not answer; what stores rows raises BadInput
    when one does not fit, and stores none of them then.
    """

    def record(self, rows: Iterable[Recorded]) -> int:
        """Store rows of any kinds in one transaction; returns how many were written.

        An order, a position, an account or a limit takes the place of what was known of it; what
        happened (a decision, a fill, an entry of the audit, a quote) stays as it was first told.
        """
        ...

    def replace_scenarios(self, rows: Iterable[Record], *, account: str | None = None) -> int:
        """Put `rows` in place of all scenarios (of one account when given), in one transaction."""
        ...

    def scenarios(self, account: str | None = None) -> list[Row]:
        """Rows of the table `scenarios`, by account, symbol, side and size; decimals as text."""
        ...

    def decisions(self, *, symbol: str | None = None, limit: int = 1_000) -> list[Decision]:
        """Newest decisions first."""
        ...

    def orders(self, *, account: str | None = None, limit: int = 1_000) -> list[Order]:
        """Newest orders first."""
        ...

    def order(self, client_order_id: str) -> Order | None:
        """Return the order with this id."""
        ...

    def fills(self, *, client_order_id: str | None = None) -> list[Fill]:
        """Return fills in time order, of one order when given."""
        ...

    def positions(self, account: str) -> list[PositionRow]:
        """Positions of an account, by instrument."""
        ...

    def accounts(self) -> list[AccountRow]:
        """All accounts as they stand."""
        ...

    def limits(self, account: str) -> list[LimitRow]:
        """Limits of an account, by name."""
        ...

    def audit(self, *, limit: int = 1_000) -> list[AuditRow]:
        """Newest entries of the audit first."""
        ...

    def projection(self, name: str) -> ProjectionRow | None:
        """How far a log was copied; None for one that was not begun."""
        ...

    def parked(self, name: str) -> list[ParkedRow]:
        """Return the records of a log that were put aside, in its order."""
        ...

    def quotes(self, symbol: str, start_ns: int, end_ns: int, limit: int) -> list[LedgerQuote]:
        """Newest quotes of a symbol first, with ``start_ns <= ts < end_ns``."""
        ...

    def recent_quotes(self, since_ns: int) -> list[LedgerQuote]:
        """Quotes of all symbols from `since_ns` on, in time order."""
        ...

    def maintain(self, now_ns: int) -> None:
        """Do what must be done now and then; safe at any time."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
