"""The tape: stored quotes of several instruments as one stream in time order.

The venue owns it. Position counts quotes over all instruments from 0; `Quote.seq` counts those of
one instrument from 1, so that a position says where every instrument stands.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.columns import QuoteColumns
from core.config import VenueConfig
from core.errors import BadInput
from core.instruments import InstrumentTable
from core.types import Quote

I8 = NDArray[np.int64]
_CHUNK = 4096
# Nights and weekends: silence on the tape beyond this is not waited for.
LONGEST_SILENCE_NS = 300 * 10**9


class QuoteReader(Protocol):
    """What the tape needs of the tick store."""

    def read(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> QuoteColumns:
        """Quotes of `symbol` with ``start_ns <= ts < end_ns``, in time order."""
        ...


class TapePart(msgspec.Struct, frozen=True):
    """Which stored quotes of one symbol are on the tape: the first `quotes` from `start_ns` on."""

    symbol: str
    start_ns: int
    quotes: int


class Tape:
    """Quotes of several instruments merged by time; equal times go by instrument id.

    Parameters
    ----------
    columns : mapping of instrument id to QuoteColumns
        Quotes in time order.
    limit : int
        Length of the tape in quotes over all instruments; 0 is all.
    """

    def __init__(self, columns: Mapping[int, QuoteColumns], limit: int = 0) -> None:
        self._columns = {key: columns[key] for key in sorted(columns)}
        self._owner, self._row = _merge(self._columns, limit)
        self._counts = {key: int(np.sum(self._owner == key)) for key in self._columns}
        self._ahead: Iterator[Quote] = iter(())
        self._next: Quote | None = None
        self.seek(0)

    def __len__(self) -> int:
        return len(self._owner)

    @property
    def columns(self) -> dict[int, QuoteColumns]:
        """Quotes on the tape by instrument id; row i has ``seq`` i + 1."""
        return {key: rows[slice(0, self._counts[key])] for key, rows in self._columns.items()}

    @property
    def position(self) -> int:
        """Quotes taken so far."""
        return self._position

    @property
    def upcoming(self) -> Quote | None:
        """Quote that `take` returns next; None at the end."""
        return self._next

    def take(self) -> Quote | None:
        """Move on by one quote and return it; None at the end."""
        quote = self._next
        if quote is not None:
            self._position += 1
            self._next = next(self._ahead, None)
        return quote

    def seek(self, position: int) -> None:
        """Go to `position`: that many quotes count as taken."""
        if not 0 <= position <= len(self):
            raise ValueError(f"position {position} on a tape of {len(self)} quotes")
        self._position = position
        self._ahead = self._read_on(position)
        self._next = next(self._ahead, None)

    def count(self, instrument: int) -> int:
        """Quotes of the instrument on the whole tape."""
        return self._counts.get(instrument, 0)

    def is_last(self, quote: Quote) -> bool:
        """Return True for an instrument's last quote."""
        return quote.seq == self._counts[quote.instrument]

    def parts(self, instruments: InstrumentTable) -> tuple[TapePart, ...]:
        """Describe what is on the tape, so that a replay can read the same."""
        return tuple(
            TapePart(
                instruments[key].symbol, int(rows.ts[0]) if len(rows) else 0, self._counts[key]
            )
            for key, rows in self._columns.items()
        )

    def fingerprint(self) -> str:
        """16 hex characters of a hash over the quotes of the tape."""
        digest = hashlib.blake2b(self._owner.tobytes(), digest_size=8)
        for key, rows in self._columns.items():
            cut = rows[slice(0, self._counts[key])]
            for column in fields(cut):
                digest.update(np.ascontiguousarray(getattr(cut, column.name)).tobytes())
        return digest.hexdigest()

    def _read_on(self, position: int) -> Iterator[Quote]:
        for start in range(position, len(self), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            owners, rows = self._owner[chunk], self._row[chunk]
            sources = {key: self._chunk(key, rows[owners == key]) for key in np.unique(owners)}
            yield from (next(sources[key]) for key in owners)

    def _chunk(self, instrument: int, rows: I8) -> Iterator[Quote]:
        first = int(rows[0])
        cut = self._columns[instrument][slice(first, first + len(rows))]
        return cut.quotes(int(instrument), first_seq=first + 1)


def load_tape(
    store: QuoteReader,
    instruments: InstrumentTable,
    symbols: Sequence[str],
    start_ns: int | Mapping[str, int],
    end_ns: int | None = None,
    limit: int = 0,
) -> Tape:
    """Read the tape from the tick store.

    Parameters
    ----------
    start_ns : int or mapping of symbol to int
        First time on the tape, ns UTC: where the hold-out of the symbol's model begins.
    end_ns : int, optional
        First time not on the tape.
    limit : int
        Length in quotes over all symbols; 0 is all.

    Raises
    ------
    BadInput
        When a symbol has no quotes in that range.
    """
    columns = {}
    for symbol in symbols:
        start = start_ns if isinstance(start_ns, int) else start_ns[symbol]
        columns[instruments.by_symbol(symbol).id] = rows = store.read(symbol, start, end_ns)
        if not len(rows):
            raise BadInput(f"no stored quotes of {symbol} in the range of the tape")
    return Tape(columns, limit)


def read_parts(store: QuoteReader, instruments: InstrumentTable, parts: Sequence[TapePart]) -> Tape:
    """Read the tape that `Tape.parts` described; raises BadInput when the store holds less."""
    columns = {}
    for part in parts:
        rows = store.read(part.symbol, part.start_ns, None)
        if len(rows) < part.quotes:
            raise BadInput(f"{part.symbol}: {len(rows)} stored quotes for a tape of {part.quotes}")
        columns[instruments.by_symbol(part.symbol).id] = rows[slice(0, part.quotes)]
    return Tape(columns)


def _merge(columns: Mapping[int, QuoteColumns], limit: int) -> tuple[I8, I8]:
    """Owner and row of each quote of the tape, in order."""
    keys = list(columns)
    lengths = [len(columns[key]) for key in keys]
    owner = np.repeat(np.array(keys, np.int64), lengths)
    row = np.concatenate([np.arange(n, dtype=np.int64) for n in lengths] or [owner])
    ts = np.concatenate([columns[key].ts for key in keys] or [owner])
    order = np.argsort(ts, kind="stable")[: limit or None]
    return owner[order], row[order]


class Pacer:
    """Says when each quote of the tape is due.

    Parameters
    ----------
    config : VenueConfig
        `speed` is tape time over real time, 0 does not wait for tape time; `max_quotes_per_sec`
        bounds the rate, 0 is no bound.
    """

    def __init__(self, config: VenueConfig) -> None:
        self._secs_per_ns = 1e-9 / config.speed if config.speed > 0 else 0.0
        self._least_gap = 1.0 / config.max_quotes_per_sec if config.max_quotes_per_sec > 0 else 0.0
        self._last_ts = 0
        self._last_due = 0.0

    def due(self, ts_event: int, now: float) -> float:
        """Monotonic time, in seconds, at which the quote of `ts_event` may leave.

        A venue that fell behind catches up at most a tenth of a second, so that a pause of the
        process does not end in a burst.
        """
        if not self._last_ts:
            return now
        gap = min(max(ts_event - self._last_ts, 0), LONGEST_SILENCE_NS)
        after = max(gap * self._secs_per_ns, self._least_gap)
        return max(self._last_due, now - 0.1 - after) + after

    def left(self, ts_event: int, due: float) -> None:
        """Note that the quote of `ts_event`, which was due at `due`, has left."""
        self._last_ts, self._last_due = ts_event, due
