"""Ports of the stores: what every adapter, embedded or server, must do alike.

``tests/contracts`` holds one suite for each.
"""

from collections.abc import Iterator
from typing import Protocol

from core.columns import I8, QuoteColumns
from storage.bars import StoredBars
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
