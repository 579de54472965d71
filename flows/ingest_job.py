"""Bring quotes of one symbol into the tick store; what flow and command line both call."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from core.clock import SystemClock
from core.columns import QuoteColumns
from core.config import Config
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS, Instrument, InstrumentTable
from flows.dukascopy_job import DAY_NS, download
from flows.sources import DUKASCOPY, SIMULATOR, Sources
from market.loaders.load import load
from market.loaders.report import BadRow
from market.simulator import simulate
from storage.adapters import open_ticks
from storage.upkeep import maintain_ticks

# Eight weeks. The simulator's hidden drift lasts an hour and a half on average, so two weeks hold
# only some 160 spells of it: too few to tell skill from luck out of sample.
SIMULATED_DAYS = 40.0
_LISTED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingested:
    """What one ingest did.

    Attributes
    ----------
    format : str
        Format of the files, or "simulator".
    rows_read, rows_kept, rows_new : int
        In the source, sound ones, and those the store did not have yet.
    first_ns, last_ns : int
        Time span of the sound rows, ns UTC.
    bad_counts : mapping
        Dropped rows by reason.
    bad : tuple of BadRow
        The first of them, with file and line.
    """

    symbol: str
    source: str
    format: str
    files: tuple[str, ...]
    rows_read: int
    rows_kept: int
    rows_new: int
    first_ns: int
    last_ns: int
    bad_counts: Mapping[str, int]
    bad: tuple[BadRow, ...]


@dataclass(frozen=True, slots=True)
class _Read:
    columns: QuoteColumns
    format: str
    files: tuple[str, ...] = ()
    rows_read: int = 0
    bad_counts: Mapping[str, int] | None = None
    bad: tuple[BadRow, ...] = ()


def ingest(
    config: Config,
    symbol: str,
    source: str = "",
    *,
    replace: bool = False,
    instruments: InstrumentTable = DEFAULT_INSTRUMENTS,
) -> Ingested:
    """Load a symbol's quotes from its source and append what the store does not have.

    Parameters
    ----------
    source : str
        ``simulator``, ``dukascopy``, a file or a folder; when empty the source used last, else
        the simulator.
    replace : bool
        Drop the symbol's stored quotes first when they come from another source.

    Raises
    ------
    BadInput
        For an unknown symbol, an unreadable source, too many bad rows, or a mix of sources.
    """
    instrument = instruments.by_symbol(symbol)
    sources = Sources(config.storage.ticks)
    chosen = sources.resolve(symbol, source, replace=replace)
    if chosen == DUKASCOPY:
        return _downloaded(config, symbol, replace=replace)
    read = _read(chosen, instrument, config)
    store = open_ticks(config.storage)
    if sources.all().get(symbol) not in (None, chosen):
        store.clear(symbol)
    sources.remember(symbol, chosen)
    new = store.append(symbol, read.columns)
    maintain_ticks(store, config.storage.keep_days, SystemClock().now_ns())
    store.close()
    return Ingested(
        symbol=symbol,
        source=chosen,
        format=read.format,
        files=read.files,
        rows_read=read.rows_read or len(read.columns),
        rows_kept=len(read.columns),
        rows_new=new,
        first_ns=int(read.columns.ts[0]),
        last_ns=int(read.columns.ts[-1]),
        bad_counts=read.bad_counts or {},
        bad=read.bad,
    )


def _downloaded(config: Config, symbol: str, *, replace: bool) -> Ingested:
    """Ingest the newest days of Dukascopy's archives."""
    end_ns = SystemClock().now_ns()
    start_ns = (end_ns // DAY_NS - config.market.dukascopy_days) * DAY_NS
    done = download(config, symbol, start_ns, end_ns, replace=replace)
    return Ingested(
        symbol=symbol,
        source=DUKASCOPY,
        format="bi5",
        files=(),
        rows_read=done.rows,
        rows_kept=done.rows,
        rows_new=done.new,
        first_ns=start_ns,
        last_ns=end_ns,
        bad_counts={},
        bad=(),
    )


def _read(source: str, instrument: Instrument, config: Config) -> _Read:
    if source == SIMULATOR:
        return _Read(simulate(instrument, days=SIMULATED_DAYS).columns, SIMULATOR)
    path = Path(source)
    if not path.exists():
        raise BadInput(f"there is no file or folder {source}")
    loaded = load(path, instrument, config.market)
    report = loaded.report
    return _Read(
        loaded.columns, report.format, report.files, report.rows_read, report.counts, report.bad
    )


def known_symbols(config: Config) -> tuple[str, ...]:
    """Symbols that were ingested at least once."""
    return tuple(Sources(config.storage.ticks).all())


def bad_rows_table(result: Ingested) -> list[dict[str, str | int]]:
    """List the first fifty dropped rows for people."""
    return [
        {"file": row.file, "line": row.line, "reason": row.reason} for row in result.bad[:_LISTED]
    ]


def describe(result: Ingested) -> str:
    """Markdown paragraph on an ingest."""
    dropped = ", ".join(f"{count} {reason}" for reason, count in result.bad_counts.items())
    return (
        f"**{result.symbol}** from `{result.source}` ({result.format}): "
        f"{result.rows_read} rows read, {result.rows_kept} kept, {result.rows_new} new; "
        f"{_time(result.first_ns)} to {_time(result.last_ns)}. Dropped: {dropped or 'none'}."
    )


def _time(ns: int) -> str:
    return datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M UTC")
