"""Trade the quotes that the serving version has not seen; what flow and command line both call."""

from pathlib import Path

from backtest.report import Report, draw, make_report
from backtest.run import ChosenModel, run_backtest
from core.columns import QuoteColumns
from core.config import Config
from core.errors import BadInput
from models.inference.artifact import load_verified
from models.manifest import model_name
from registry.loading import RegisteredVersion, RegistryReader, local_copies
from storage.adapters import open_ticks

_END_OF_TIME = 1 << 62


def serving_version(config: Config, symbol: str) -> RegisteredVersion:
    """Return the version that serves `symbol`; raises NotFound or Unavailable."""
    reader = RegistryReader(config.mlflow, local_copies(config.storage))
    return reader.resolve_serving(model_name(symbol))


def out_of_sample(config: Config, symbol: str) -> Report:
    """Trade the quotes that the serving model has not seen, whether it is approved or not.

    A version that only watches is traded here as if it were approved: the report shows what the
    gates have kept from the market.
    """
    version = serving_version(config, symbol)
    folder = RegistryReader(config.mlflow, local_copies(config.storage)).fetch(version)
    model = load_verified(folder, version.manifest_sha256)
    columns = _tapes(config, (symbol, *model.manifest.peers))
    start_ns = model.manifest.holdout_start_ns
    chosen = ChosenModel(model, version.version, approved=True)
    result = run_backtest(columns, {symbol: chosen}, config, start_ns, _END_OF_TIME)
    report = make_report(
        result.outcome, result.tape, result.instruments, config.costs, result.curve
    )
    draw(report, report_file(config, symbol), f"{symbol} version {version.version}, out of sample")
    return report


def _tapes(config: Config, symbols: tuple[str, ...]) -> dict[str, QuoteColumns]:
    store = open_ticks(config.storage)
    tapes = {symbol: store.read(symbol) for symbol in symbols}
    absent = [symbol for symbol, columns in tapes.items() if not len(columns)]
    if absent:
        raise BadInput(f"there are no stored quotes of {', '.join(absent)}")
    return tapes


def report_file(config: Config, symbol: str) -> Path:
    """Where the drawing of the newest report lies."""
    return config.storage.home / "reports" / f"{symbol}-out-of-sample.png"
