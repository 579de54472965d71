"""Files to raw columns, by pyarrow's CSV and Parquet engines.

A text file is read with typed columns and all threads. Only when a line does not fit is it read
again as strings, single-threaded, with the line numbers of what could not be read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from core.errors import BadInput
from market.loaders.conversion import (
    floats,
    parsed_floats,
    parsed_stamps,
    stamp_bits,
    stamp_type,
    typed_stamps,
)
from market.loaders.layout import TIME_NAMES, Layout
from market.loaders.stamps import (
    epoch_unit_ns,
    from_epoch,
)

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]

_PARQUET_ROLES = ("bid", "ask", "volume", "span", "open", "high", "low")


@dataclass(frozen=True, slots=True, eq=False)
class RawRows:
    """Records of one file as they stand there, blank lines left out.

    Attributes
    ----------
    ts : int64[n]
        ns UTC, `BAD_STAMP` where the stamp could not be read.
    values : dict of float64[n]
        By role; NaN where the field is empty or no number. An empty volume is 0.
    lines : int64[n]
        Line of the record in the file, from 1.
    malformed : int64[k]
        Lines with a wrong number of fields.
    symbols : array of str [n], optional
        Instrument of each record, where the format states it.
    """

    ts: I8
    values: dict[str, F8]
    lines: I8
    malformed: I8
    symbols: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def rows_read(self) -> int:
        """Records in the file, the malformed ones too."""
        return len(self.ts) + len(self.malformed)


def read_text(path: Path, layout: Layout) -> RawRows:
    """Read a text file of the given layout.

    Raises
    ------
    BadInput
        When the engine cannot read the file at all.
    """
    try:
        return _read_typed(path, layout)
    except pa.ArrowInvalid:
        pass  # some line does not fit: find out which
    try:
        return _read_strings(path, layout)
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path.name} cannot be read as {layout.format}: {error}") from None


def read_parquet(path: Path) -> RawRows:
    """Read a Parquet file with the columns ts | timestamp | time, bid, ask and optional others.

    Raises
    ------
    BadInput
        When it is no Parquet file or lacks a column.
    """
    try:
        file = pq.ParquetFile(path)
        names = {name.lower(): name for name in file.schema_arrow.names}
        time_name = next((names[name] for name in TIME_NAMES if name in names), None)
        if time_name is None or not {"bid", "ask"} <= set(names):
            raise BadInput(f"{path.name} lacks a column: it needs ts, bid and ask")
        roles = {role: names[role] for role in _PARQUET_ROLES if role in names}
        table = file.read([time_name, *roles.values()])
        ts = _parquet_stamps(table[time_name])
        values = {role: floats(table[name].cast(pa.float64())) for role, name in roles.items()}
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path.name} cannot be read as Parquet: {error}") from None
    return RawRows(ts, _volume_filled(values), np.arange(1, len(ts) + 1), np.empty(0, np.int64))


def _parquet_stamps(column: Any) -> I8:
    if pa.types.is_timestamp(column.type):
        zone = column.type.tz
        return stamp_bits(column.cast(pa.timestamp("ns", zone) if zone else pa.timestamp("ns")))
    stamps = column.cast(pa.int64()).fill_null(0)
    counts: I8 = stamps.to_numpy()
    example = str(counts[np.flatnonzero(counts)[0]]) if counts.any() else "0"
    return from_epoch(counts, epoch_unit_ns(example))


def _read_typed(path: Path, layout: Layout) -> RawRows:
    types = {_name(at): pa.float64() for at in layout.values.values()}
    types[_name(layout.stamp_column)] = stamp_type(layout)
    if layout.symbol_column is not None:
        types[_name(layout.symbol_column)] = pa.string()
    table = _read_csv(path, layout, types, threads=True, handler=None)
    if _blank_rows(table).any():
        raise pa.ArrowInvalid(
            "blank lines: the columns read here cannot tell them from empty fields"
        )
    lines = np.arange(1, table.num_rows + 1) + layout.header_lines
    values = {role: floats(table[_name(at)]) for role, at in layout.values.items()}
    ts = typed_stamps(table[_name(layout.stamp_column)], layout)
    none = np.empty(0, np.int64)
    return RawRows(ts, _volume_filled(values), lines, none, _symbols(table, layout))


def _read_strings(path: Path, layout: Layout) -> RawRows:
    malformed: list[int] = []

    def note(row: Any) -> str:
        malformed.append(row.number)
        return "skip"

    types = {_name(at): pa.string() for at in range(layout.width)}
    table = _read_csv(path, layout, types, threads=False, handler=note)
    bad = np.array(malformed, np.int64)
    lines = np.arange(1, table.num_rows + len(bad) + 1) + layout.header_lines
    values = {role: parsed_floats(table[_name(at)], role) for role, at in layout.values.items()}
    ts = parsed_stamps(table[_name(layout.stamp_column)], layout)
    rows = RawRows(ts, values, np.setdiff1d(lines, bad), bad, _symbols(table, layout))
    return _without(rows, _blank_rows(table))


def _read_csv(
    path: Path,
    layout: Layout,
    types: dict[str, Any],
    *,
    threads: bool,
    handler: Callable[[Any], str] | None,
) -> Any:
    read = pa.csv.ReadOptions(
        use_threads=threads,
        column_names=[_name(at) for at in range(layout.width)],
        skip_rows=layout.header_lines,
        # Broken bytes must not stop the pass that has to name them.
        encoding="utf8" if threads else "latin-1",
    )
    parse = pa.csv.ParseOptions(
        delimiter=layout.delimiter,
        # A stray quote would swallow the lines behind it.
        quote_char='"' if layout.quoted else False,
        # Blank lines stay in, so that a row's position tells its line.
        ignore_empty_lines=False,
        invalid_row_handler=handler,
    )
    convert = pa.csv.ConvertOptions(
        column_types=types,
        include_columns=sorted(types),
        strings_can_be_null=True,
        check_utf8=False,
    )
    return pa.csv.read_csv(path, read, parse, convert)


def _name(column: int) -> str:
    return f"c{column:03d}"


def _volume_filled(values: dict[str, F8]) -> dict[str, F8]:
    volume = values.get("volume")
    if volume is None or not np.isnan(volume).any():
        return values
    return values | {"volume": np.where(np.isnan(volume), 0.0, volume)}


def _symbols(table: Any, layout: Layout) -> NDArray[np.str_] | None:
    if layout.symbol_column is None:
        return None
    column = pc.replace_substring(table[_name(layout.symbol_column)], "/", "")
    return np.asarray(column.fill_null("").to_numpy(zero_copy_only=False), np.str_)


def _blank_rows(table: Any) -> NDArray[np.bool_]:
    blank = np.ones(table.num_rows, np.bool_)
    for column in table.columns:
        if column.null_count == 0:
            return np.zeros(table.num_rows, np.bool_)
        blank &= column.is_null().to_numpy(zero_copy_only=False)
    return blank


def _without(rows: RawRows, drop: NDArray[np.bool_]) -> RawRows:
    if not drop.any():
        return rows
    keep = ~drop
    return RawRows(
        rows.ts[keep],
        {role: values[keep] for role, values in rows.values.items()},
        rows.lines[keep],
        rows.malformed,
        None if rows.symbols is None else rows.symbols[keep],
    )
