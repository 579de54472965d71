"""``tickpath features check``: every promise of the features, on stored or given quotes."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from cli.configured import load_config
from cli.console import make_console, table
from cli.learn import known
from core.columns import QuoteColumns
from core.config import Config
from core.errors import BadInput
from core.instruments import DEFAULT_INSTRUMENTS
from features.check import FeatureReport, part_to_check, run_checks
from features.parity import ParityReport
from features.peers import QuoteStore, dollar_tapes, peers_of
from features.source import ColumnsStore
from features.spec import FeatureSpec, spec_named
from market.loaders.load import load
from market.simulator import simulate
from models.dataset import spec_for
from storage.adapters import open_ticks

_SIMULATED_DAYS = 10.0


class _Tapes(NamedTuple):
    """What is checked on, and where it came from."""

    columns: dict[str, QuoteColumns]
    source: str
    store: QuoteStore


def run_check(symbols: list[str], data: Path | None, specs: list[str]) -> int:
    """Check specs on the tapes of symbols; print what was found; exit code 1 when anything fails.

    Parameters
    ----------
    symbols : list of str
        All that are stored when empty; needed with `data`.
    data : Path or None
        File or folder to read in place of the store.
    specs : list of str
        The one that a training would use when empty.
    """
    config, console = load_config(), make_console()
    tapes = _tapes(config, [known(symbol) for symbol in symbols], data)
    console.print(f"features check on {tapes.source}")
    reports = list(_reports(config, tapes, specs, console))
    rows = [_row(symbol, report) for symbol, report in reports]
    columns = ("symbol", "spec", "quotes", "rows", "stream = batch", "restored", "leak points",
               "warm-up measured", "result")  # fmt: skip
    console.print(table("features", columns, rows))
    failed = [(symbol, report) for symbol, report in reports if not report.ok]
    for symbol, report in failed:
        for problem in report.problems:
            console.print(f"FAILED: {symbol} {report.spec}: {problem}", markup=False)
    return 1 if failed else 0


def _reports(
    config: Config, tapes: _Tapes, names: list[str], console: Console
) -> Iterator[tuple[str, FeatureReport]]:
    for symbol, columns in tapes.columns.items():
        specs = [spec_named(name) for name in names] or [spec_for(columns, config.training)]
        for spec in specs:
            part = part_to_check(columns, spec)
            console.print(f"   {symbol}: {spec.name}, {spec.n_features} columns")
            yield symbol, _check(config, tapes.store, symbol, spec, part)


def _check(
    config: Config, store: QuoteStore, symbol: str, spec: FeatureSpec, part: QuoteColumns
) -> FeatureReport:
    peers = peers_of(spec, config.training.peers)
    dollar = dollar_tapes(store, peers, DEFAULT_INSTRUMENTS)
    pip = DEFAULT_INSTRUMENTS.by_symbol(symbol).pip
    return run_checks(spec, part, pip, dollar=dollar)


def _tapes(config: Config, symbols: list[str], data: Path | None) -> _Tapes:
    if data is not None:
        if not symbols:
            raise BadInput("--data needs --symbol, which instrument the quotes are of")
        loaded = {
            symbol: load(data, DEFAULT_INSTRUMENTS.by_symbol(symbol), config.market).columns
            for symbol in symbols
        }
        return _Tapes(loaded, str(data), ColumnsStore(loaded))
    store = open_ticks(config.storage)
    chosen = symbols or list(store.symbols())
    if not chosen:
        names = config.training.peers
        tapes = {name: _simulated(name) for name in names}
        source = f"{_SIMULATED_DAYS:g} simulated days, for no quotes are stored"
        return _Tapes(tapes, source, ColumnsStore(tapes))
    tapes = {symbol: store.read(symbol) for symbol in chosen}
    for symbol, columns in tapes.items():
        if not len(columns):
            raise BadInput(f"there are no stored quotes of {symbol}; ingest some first")
    return _Tapes(tapes, "stored quotes", store)


def _simulated(symbol: str) -> QuoteColumns:
    return simulate(DEFAULT_INSTRUMENTS.by_symbol(symbol), days=_SIMULATED_DAYS).columns


def _row(symbol: str, report: FeatureReport) -> tuple[object, ...]:
    longest = max(report.warmup.measured.values(), default=0)
    return (
        symbol,
        report.spec,
        report.quotes,
        report.parity.warm_rows,
        _word(report.parity),
        _word(report.snapshots),
        report.leaks.points,
        longest,
        "ok" if report.ok else "FAILED",
    )


def _word(report: ParityReport) -> str:
    if report.equal and not report.warm_rows:
        return "nothing to compare"
    return "yes" if report.ok else "NO"
