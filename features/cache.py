"""Feature rows that were asked for on demand, kept for the next one who asks.

Two levels: rows of this process (`KeptRows`), then bytes in a store that processes may share
(`storage.guarded`). The tick path uses neither: it reads its own last-row slot.

A key names everything that a row depends on: the digest of the kernels' sources, the fingerprint of
the spec, the symbol, and then what the row was made from: the tick sequence of a live tape, or a
digest of the history that was sent. A key of the minute would serve stale values, since a feature
moves within the minute it is computed in.
"""

import hashlib
from time import perf_counter_ns

import cachebox
import msgspec
import numpy as np

from core.clock import Clock
from core.columns import QuoteColumns
from features.blocks import F4
from features.kernel import SOURCES
from features.spec import FeatureSpec
from monitoring.latency import StageLatencies
from storage.guarded import GuardedCache

FIRST, SECOND, HIT_AGE = "cache_l1", "cache_l2", "cache_hit_age"
# Share of the rows that were asked for again; see ADR 0015 for how it was found.
_KEPT = 0.7


class FeatureRow(msgspec.Struct, frozen=True):
    """A warm row, or a window of them, and what it was made from.

    Attributes
    ----------
    values : float32[n_features] or float32[window, n_features]
        Read-only; the newest row is the last.
    fingerprint : str
        Of the spec.
    seq : int
        Sequence of the newest quote in it, 0 for a history.
    ts_event : int
        Time of that quote, ns UTC.
    made_ns : int
        Wall time at which it was computed, ns UTC.
    """

    values: F4
    fingerprint: str
    seq: int
    ts_event: int
    made_ns: int


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """A row as msgpack holds it; the values are little-endian float32."""

    values: bytes
    fingerprint: str
    seq: int
    ts_event: int
    made_ns: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


def encode_row(row: FeatureRow) -> bytes:
    """Row as msgpack."""
    values = np.ascontiguousarray(row.values, "<f4").tobytes()
    return _encode(_Stored(values, row.fingerprint, row.seq, row.ts_event, row.made_ns))


def decode_row(data: bytes, spec: FeatureSpec, window: int = 1) -> FeatureRow | None:
    """Row or window of `spec`, or None when the bytes are not one: a store may hold anything."""
    try:
        stored = _decode(data)
        values = np.frombuffer(stored.values, "<f4")
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None
    if stored.fingerprint != spec.fingerprint or len(values) != window * spec.n_features:
        return None
    if not np.isfinite(values).all():
        return None
    if window > 1:
        values = values.reshape(window, spec.n_features)
    return FeatureRow(values, stored.fingerprint, stored.seq, stored.ts_event, stored.made_ns)


def _made_from(spec: FeatureSpec, symbol: str, pip: float) -> str:
    return f"tickpath:{SOURCES}:{spec.fingerprint}:{symbol}@{pip!r}"


def tick_key(spec: FeatureSpec, symbol: str, pip: float, seq: int) -> str:
    """Key of the row that the live tape of `symbol` had after the quote `seq`."""
    return f"{_made_from(spec, symbol, pip)}:{seq}"


def newest_key(spec: FeatureSpec, symbol: str, pip: float) -> str:
    """Key of the sequence of the newest live row that was told."""
    return f"{_made_from(spec, symbol, pip)}:newest"


def history_key(
    spec: FeatureSpec, symbol: str, pip: float, columns: QuoteColumns, window: int = 1
) -> str:
    """Key of the newest row, or window of rows, of a history, by its bytes."""
    digest = hashlib.blake2b(digest_size=16)
    for column in (columns.ts, columns.bid, columns.ask, columns.volume, columns.span):
        digest.update(np.ascontiguousarray(column).data)
    if columns.span.any():  # of ticks the other prices are the mid
        for column in (columns.open, columns.high, columns.low):
            digest.update(np.ascontiguousarray(column).data)
    made_from = _made_from(spec, symbol, pip)
    return f"{made_from}:{len(columns)}:{digest.hexdigest()}:{window}"


class KeptRows:
    """At most `capacity` rows; a flood of keys that come once does not wash out the others.

    A segmented LRU (Karedla, Love, Wherry: "Caching strategies to improve disk system performance",
    1994): a new row is on probation, one that is asked for again is moved to the kept ones, and
    what falls out there is on probation again. Both segments are LRU caches of `cachebox`.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 2:
            raise ValueError(f"a cache of rows holds at least 2, not {capacity}")
        self._n_kept = max(1, int(capacity * _KEPT))
        self._kept: cachebox.LRUCache[str, FeatureRow] = cachebox.LRUCache(self._n_kept)
        self._new: cachebox.LRUCache[str, FeatureRow] = cachebox.LRUCache(capacity - self._n_kept)

    def __len__(self) -> int:
        return len(self._kept) + len(self._new)

    def get(self, key: str) -> FeatureRow | None:
        """Return the row, or None."""
        row = self._kept.get(key)
        return self._again(key) if row is None else row

    def put(self, key: str, row: FeatureRow) -> None:
        """Keep a row."""
        segment = self._kept if key in self._kept else self._new
        segment.insert(key, row)

    def _again(self, key: str) -> FeatureRow | None:
        row = self._new.pop(key, None)
        if row is None:
            return None
        if len(self._kept) >= self._n_kept:
            self._new.insert(*self._kept.popitem())
        self._kept.insert(key, row)
        return row


class RowCache:
    """Both levels, with counts.

    Parameters
    ----------
    rows : int
        Bound of the first level.
    second : GuardedCache
    clock : Clock
        Its wall time ages the rows.

    Attributes
    ----------
    hits, misses : int
        Of the first level; the second counts its own.
    foreign : int
        Values of the second level that were no row of the spec asked for.
    """

    def __init__(self, rows: int, second: GuardedCache, clock: Clock) -> None:
        self._rows = KeptRows(rows)
        self._clock = clock
        self.second = second
        self.latencies = StageLatencies((FIRST, SECOND, HIT_AGE))
        self.hits = self.misses = self.foreign = 0

    def __len__(self) -> int:
        """Rows of the first level."""
        return len(self._rows)

    def find(self, key: str) -> FeatureRow | None:
        """Look into the first level."""
        started = perf_counter_ns()
        row = self._rows.get(key)
        self.latencies.record(FIRST, perf_counter_ns() - started)
        if row is None:
            self.misses += 1
            return None
        self.hits += 1
        self._note_age(row)
        return row

    async def fetch(self, key: str, spec: FeatureSpec, window: int = 1) -> FeatureRow | None:
        """Look into the second level; what is found goes to the first."""
        asked, started = self.second.breaker.is_closed, perf_counter_ns()
        data = await self.second.get(key)
        row = None if data is None else decode_row(data, spec, window)
        if asked:  # else it was not looked into, and took no time worth to be told
            self.latencies.record(SECOND, perf_counter_ns() - started)
        if row is None:
            self.foreign += data is not None
            return None
        self._rows.put(key, row)
        self._note_age(row)
        return row

    def put(self, key: str, row: FeatureRow) -> None:
        """Keep a row in the first level now, and in the second soon."""
        self._rows.put(key, row)
        self.second.put(key, encode_row(row))

    def _note_age(self, row: FeatureRow) -> None:
        self.latencies.record(HIT_AGE, self._clock.now_ns() - row.made_ns)
