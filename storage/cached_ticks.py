"""A tick store whose bars are kept in a query cache."""

from collections.abc import Iterator

from core.columns import I8, QuoteColumns
from storage.bars import StoredBars
from storage.ports import Ticks
from storage.query_cache import QueryCache
from storage.sequenced import Sequenced


class CachedTicks:
    """A `storage.ports.Ticks` in front of another.

    What this process writes is seen at once; what another process writes after the cache's time to
    live.
    """

    def __init__(self, store: Ticks, cache: QueryCache) -> None:
        self._store, self._cache = store, cache

    def bars(
        self,
        symbol: str,
        interval_ns: int,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> StoredBars:
        """Bars that begin in the range; asked for once in the cache's time to live."""
        values = symbol, interval_ns, start_ns, end_ns
        return self._cache.get("bars", values, (symbol,), lambda: self._store.bars(*values))

    def append(self, symbol: str, columns: QuoteColumns, sequence: I8 | None = None) -> int:
        """Add quotes; also when that fails, nobody knows what was stored."""
        try:
            return self._store.append(symbol, columns, sequence)
        finally:
            self._cache.written(symbol)

    def clear(self, symbol: str) -> None:
        """Forget all quotes of a symbol."""
        try:
            self._store.clear(symbol)
        finally:
            self._cache.written(symbol)

    def forget_before(self, ns: int) -> None:
        """Forget old days."""
        symbols = self._store.symbols()
        try:
            self._store.forget_before(ns)
        finally:
            for symbol in symbols:
                self._cache.written(symbol)

    def read(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> QuoteColumns:
        """Quotes of a range; too large and too seldom the same to be kept."""
        return self._store.read(symbol, start_ns, end_ns)

    def scan(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> Iterator[Sequenced]:
        """Quotes day by day."""
        return self._store.scan(symbol, start_ns, end_ns)

    def symbols(self) -> tuple[str, ...]:
        """Symbols with at least one quote."""
        return self._store.symbols()

    def snapshot_hash(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> str:
        """SHA-256 over the quotes."""
        return self._store.snapshot_hash(symbol, start_ns, end_ns)

    def close(self) -> None:
        """Close the store behind."""
        self._cache.clear()
        self._store.close()
