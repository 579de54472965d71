"""Live rows that processes show each other: each symbol is served by one of them.

The one that serves a symbol tells its newest row now and then, under a key with the tick sequence,
and after it which sequence is the newest. A reader asks for that sequence first, so it never takes
the row of one tick for that of another; how old the row is, is for the reader to judge.
"""

import msgspec

from features.cache import FeatureRow, RowCache, encode_row, newest_key, tick_key
from features.spec import FeatureSpec

ROW_SECS = 30.0

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(int).decode


class SharedRows:
    """Tells and reads newest live rows over the second level of a cache.

    Parameters
    ----------
    cache : RowCache

    Attributes
    ----------
    told, read : int
        Rows that were told, and that were found.
    """

    def __init__(self, cache: RowCache) -> None:
        self._cache = cache
        self._last: dict[tuple[str, str], int] = {}
        self.told = self.read = 0

    def tell(self, symbol: str, spec: FeatureSpec, pip: float, row: FeatureRow) -> bool:
        """Tell a row unless it was told already; it is written behind."""
        if self._last.get((symbol, spec.fingerprint)) == row.seq:
            return False
        self._last[symbol, spec.fingerprint] = row.seq
        second = self._cache.second
        second.put(tick_key(spec, symbol, pip, row.seq), encode_row(row), ROW_SECS)
        second.put(newest_key(spec, symbol, pip), _encode(row.seq), ROW_SECS)
        self.told += 1
        return True

    async def newest(self, symbol: str, spec: FeatureSpec, pip: float) -> FeatureRow | None:
        """Return the row that was told last, or None when there is none or nobody can say."""
        data = await self._cache.second.get(newest_key(spec, symbol, pip))
        if data is None:
            return None
        try:
            seq = _decode(data)
        except msgspec.DecodeError:
            return None
        key = tick_key(spec, symbol, pip, seq)
        row = self._cache.find(key) or await self._cache.fetch(key, spec)
        if row is None or row.seq != seq:
            return None
        self.read += 1
        return row
