"""Load a file or a folder: find, read, clean, judge, join."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.columns import QuoteColumns, concat
from core.config import MarketConfig
from core.errors import BadInput
from core.instruments import Instrument
from market.loaders import assembly, cleaning, sources
from market.loaders.layout import Layout
from market.loaders.reader import RawRows, read_parquet, read_text
from market.loaders.report import MAX_LISTED, Faults, Loaded, LoadReport
from market.loaders.sources import Source

_NAMED_ROWS = 3


@dataclass(frozen=True, slots=True)
class _Part:
    source: Source
    columns: QuoteColumns
    faults: Faults

    @property
    def rows_read(self) -> int:
        return len(self.columns) + self.faults.total


def load(path: Path, instrument: Instrument, config: MarketConfig) -> Loaded:
    """Load the quotes of one instrument.

    Parameters
    ----------
    path : Path
        A file, or a folder with files of the instrument (told by their names).
    instrument : Instrument
        Whose quotes are wanted.
    config : MarketConfig
        How many bad rows are borne, and the spread of mid-only bars.

    Returns
    -------
    Loaded
        Columns in time order, ns UTC, and the report. A bar is one row at its end.

    Raises
    ------
    BadInput
        In one sentence: nothing there, wrong, empty, damaged or mixed files, too many bad rows.
    """
    parts = [
        _load_source(source, instrument, config) for source in sources.find(path, instrument.symbol)
    ]
    parts.sort(key=lambda part: int(part.columns.ts[0]))
    joined = _join(path, parts)
    for part in parts:
        _judge(part, config.max_bad_rows)
    return Loaded(joined, _report(parts, len(joined)))


def _load_source(source: Source, instrument: Instrument, config: MarketConfig) -> _Part:
    part = _Part(source, _clean(source, instrument, config, faults := Faults()), faults)
    name = source.paths[0].name
    if part.rows_read == 0:
        raise BadInput(f"{name} holds no rows")
    _judge(part, config.max_bad_rows)
    if len(part.columns) == 0:
        raise BadInput(f"{name} holds no sound row")
    return part


def _clean(
    source: Source, instrument: Instrument, config: MarketConfig, faults: Faults
) -> QuoteColumns:
    path = source.paths[0]
    if source.format == "parquet":
        return assembly.quotes(path, read_parquet(path), instrument, faults)
    rows = [_read(*pair) for pair in zip(source.paths, source.layouts, strict=True)]
    if source.format == "fxcm":
        bid, ask = source.paths
        return assembly.paired_bars((bid, ask), (rows[0], rows[1]), instrument, faults)
    if source.format == "bars":
        return assembly.mid_bars(path, rows[0], instrument, config.mid_spread_pips, faults)
    return assembly.quotes(path, rows[0], instrument, faults)


def _read(path: Path, layout: Layout) -> RawRows:
    with sources.readable(path):
        return read_text(path, layout)


def _judge(part: _Part, max_bad_rows: float) -> None:
    bad, read = part.faults.total, part.rows_read
    if bad <= max_bad_rows * read:
        return
    first = "; ".join(str(row) for row in part.faults.listed[:_NAMED_ROWS])
    raise BadInput(
        f"{part.source.paths[0].name}: {bad} of {read} rows are bad ({bad / read:.2%}), more than "
        f"the {max_bad_rows:.2%} allowed; the first are {first}"
    )


def _join(path: Path, parts: list[_Part]) -> QuoteColumns:
    spans = {int(span) for part in parts for span in np.unique(part.columns.span)}
    if len(spans) > 1:
        raise BadInput(f"{path.name} mixes ticks and bars, or bars of different lengths")
    kept = [parts[0].columns]
    last_ts = int(kept[0].ts[-1])
    for part in parts[1:]:
        first = cleaning.first_after(part.columns.ts, last_ts, repeats=spans == {0})
        # The lines are not known any more; the file and the count are.
        part.faults.counts[cleaning.OVERLAP] += first
        kept.append(part.columns[first:])
        last_ts = max(last_ts, int(part.columns.ts[-1]))
    return kept[0] if len(kept) == 1 else concat(kept)


def _report(parts: list[_Part], rows_kept: int) -> LoadReport:
    counts: Counter[str] = Counter()
    for part in parts:
        counts += part.faults.counts
    return LoadReport(
        format=parts[0].source.format,
        files=tuple(path.name for part in parts for path in part.source.paths),
        rows_read=rows_kept + counts.total(),
        rows_kept=rows_kept,
        bad=tuple(row for part in parts for row in part.faults.listed)[:MAX_LISTED],
        counts=dict(counts),
    )
