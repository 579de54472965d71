"""Quotes with their place on the tape, and which of them a store does not have yet.

A stored quote is known by (symbol, ts_event, sequence). A source that numbers its quotes gives the
sequence: the same key again is a duplicate, whatever else it says. A source without numbers, such
as a file, gives none: a row that is stored already is a duplicate, any other takes the next free
number at its stamp. Either way adding the same quotes again changes nothing.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from core.columns import I8, QuoteColumns, concat
from core.errors import BadInput

VOLUME_UNIT = 1e-6
"""Volumes are whole numbers of this in every store, so that sums do not hang on their order."""
_UNITS = 1_000_000
_MOST_UNITS = float(2**53)

COLUMN_NAMES = tuple(column.name for column in fields(QuoteColumns))
COLUMN_TYPES = {name: "<i8" if name in ("ts", "span") else "<f8" for name in COLUMN_NAMES}
_ROW = np.dtype(list(COLUMN_TYPES.items()))
_KEY = np.dtype([("ts", "<i8"), ("sequence", "<i8")])


@dataclass(frozen=True, slots=True, eq=False)
class Sequenced:
    """Quotes of one symbol in the order of (ts, sequence).

    Attributes
    ----------
    columns : QuoteColumns
    sequence : int64[n]
        Number among the quotes of the symbol; with the stamp it is the key of the row.
    """

    columns: QuoteColumns
    sequence: I8

    def __len__(self) -> int:
        return len(self.sequence)

    def __getitem__(self, rows: slice | NDArray[np.bool_] | I8) -> "Sequenced":
        return Sequenced(self.columns[rows], self.sequence[rows])

    @property
    def ts(self) -> I8:
        """Stamps, ns UTC."""
        return self.columns.ts

    def between(self, start_ns: int, end_ns: int) -> "Sequenced":
        """Rows with ``start_ns <= ts < end_ns``."""
        first, last = np.searchsorted(self.ts, [start_ns, end_ns], side="left")
        return self[int(first) : int(last)]


def no_quotes() -> QuoteColumns:
    """Columns without rows."""
    return QuoteColumns(*(np.empty(0, kind) for kind in COLUMN_TYPES.values()))


def nothing() -> Sequenced:
    """No rows."""
    return Sequenced(no_quotes(), np.empty(0, np.int64))


def joined(parts: list[Sequenced]) -> Sequenced:
    """Put parts together in the order of (ts, sequence)."""
    columns = concat([no_quotes(), *(part.columns for part in parts)])
    sequence = np.concatenate([np.empty(0, np.int64), *(part.sequence for part in parts)])
    return in_order(Sequenced(columns, sequence))


def in_order(rows: Sequenced) -> Sequenced:
    """Sort by (ts, sequence)."""
    before, after = rows.ts[:-1], rows.ts[1:]
    numbers_rise = rows.sequence[1:] >= rows.sequence[:-1]
    if ((after > before) | ((after == before) & numbers_rise)).all():
        return rows
    return rows[np.lexsort((rows.sequence, rows.ts))]


def volume_units(volume: NDArray[np.float64]) -> I8:
    """Volumes as whole numbers of `VOLUME_UNIT`, rounded to the nearest.

    Raises
    ------
    BadInput
        For a volume that is negative, not finite or too large to be counted exactly.
    """
    units = np.rint(volume * _UNITS)
    if not ((units >= 0) & (units <= _MOST_UNITS)).all():
        raise BadInput("a volume is not a number from 0 to nine billion")
    return units.astype(np.int64)


def volume_of(units: I8) -> NDArray[np.float64]:
    """Volumes from whole numbers of `VOLUME_UNIT`."""
    return units / _UNITS


@dataclass(frozen=True, slots=True, eq=False)
class Incoming:
    """Quotes on their way into a store: in order, without repeated keys, volumes in whole units.

    `numbered` is False for a source without sequences; `rows.sequence` means nothing then.
    """

    rows: Sequenced
    numbered: bool

    def missing_in(self, stored: Sequenced) -> Sequenced:
        """Rows that are not stored, with the sequences that they get.

        Parameters
        ----------
        stored : Sequenced
            All stored rows between the first and the last stamp of ours, both included.
        """
        if self.numbered:
            return self.rows[~np.isin(_keys(self.rows), _keys(stored))]
        return numbered_after(
            self.rows.columns[~np.isin(_records(self.rows.columns), _records(stored.columns))],
            stored,
        )


def incoming(columns: QuoteColumns, sequence: I8 | None) -> Incoming:
    """Prepare quotes for a store.

    Raises
    ------
    BadInput
        For a volume that cannot be stored, or sequences that are not one for each quote.
    """
    volume = volume_of(volume_units(columns.volume))
    others = {name: getattr(columns, name) for name in COLUMN_NAMES if name != "volume"}
    columns = QuoteColumns(**others, volume=volume)
    if sequence is None:
        ordered = _in_time_order(columns)
        return Incoming(Sequenced(ordered, np.zeros(len(ordered), np.int64)), numbered=False)
    if len(sequence) != len(columns):
        raise BadInput(f"{len(columns)} quotes came with {len(sequence)} sequences")
    rows = in_order(Sequenced(columns, np.asarray(sequence, np.int64)))
    again = (rows.ts[1:] == rows.ts[:-1]) & (rows.sequence[1:] == rows.sequence[:-1])
    if again.any():
        rows = rows[np.concatenate([[True], ~again])]
    return Incoming(rows, numbered=True)


def numbered_after(columns: QuoteColumns, stored: Sequenced) -> Sequenced:
    """Give each row the next free sequence at its stamp, in order; 0 is the first."""
    ts = columns.ts
    ordinal = np.arange(len(ts)) - np.searchsorted(ts, ts, side="left")
    last = np.searchsorted(stored.ts, ts, side="right") - 1
    if len(stored) == 0:
        return Sequenced(columns, ordinal.astype(np.int64))
    taken = (last >= 0) & (stored.ts[last] == ts)
    first_free = np.where(taken, stored.sequence[last] + 1, 0)
    return Sequenced(columns, first_free + ordinal)


def _in_time_order(rows: QuoteColumns) -> QuoteColumns:
    """Sort rows by stamp; equal stamps keep their order."""
    if (rows.ts[1:] >= rows.ts[:-1]).all():
        return rows
    return rows[np.argsort(rows.ts, kind="stable")]


def _keys(rows: Sequenced) -> NDArray[np.void]:
    keys = np.empty(len(rows), _KEY)
    keys["ts"], keys["sequence"] = rows.ts, rows.sequence
    return keys.view(np.dtype((np.void, _KEY.itemsize)))


def _records(rows: QuoteColumns) -> NDArray[np.void]:
    """Rows as opaque bytes, so that they compare as wholes (and NaN equals itself)."""
    records = np.empty(len(rows), _ROW)
    for name in COLUMN_NAMES:
        records[name] = getattr(rows, name)
    return records.view(np.dtype((np.void, _ROW.itemsize)))
