"""``tickpath backtest``: the held-out quotes with the serving model, or a session again."""

from pathlib import Path

from rich.console import Console

from backtest.report import Report, draw, make_report
from backtest.run import ChosenModel, run_backtest
from cli.configured import load_config
from cli.console import make_console, table
from cli.learn import known
from cli.sessions import Replayed, newest_session, replay_session
from core.columns import QuoteColumns
from core.config import Config
from core.errors import BadInput
from models.inference.artifact import load_verified
from models.manifest import model_name
from registry.loading import RegisteredVersion, RegistryReader
from serving.homes import homes_of
from storage.adapters import open_ticks

_END_OF_TIME = 1 << 62


def run_command(symbol: str | None, session: Path | None) -> int:
    """Backtest `symbol`, or replay `session` (the newest when neither is given)."""
    config = load_config()
    console = make_console()
    if symbol is not None:
        print_report(console, out_of_sample(config, known(symbol)), f"{symbol}: out of sample")
        return 0
    path = session or newest_session(config)
    return print_replay(console, replay_session(config, path), path)


def serving_version(config: Config, symbol: str) -> RegisteredVersion:
    """Return the version that serves `symbol`; raises NotFound or Unavailable."""
    reader = RegistryReader(config.mlflow, homes_of(config).models)
    return reader.resolve_serving(model_name(symbol))


def out_of_sample(config: Config, symbol: str) -> Report:
    """Trade the quotes that the serving model has not seen, whether it is approved or not.

    A version that only watches is traded here as if it were approved: the report shows what the
    gates have kept from the market.
    """
    version = serving_version(config, symbol)
    folder = RegistryReader(config.mlflow, homes_of(config).models).fetch(version)
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


def print_report(console: Console, report: Report, title: str) -> None:
    """Print the figures of a report."""
    console.print(table(title, ("figure", "value"), report.rows()))


def print_replay(console: Console, replayed: Replayed, path: Path) -> int:
    """Print whether session and replay are equal; return the exit code."""
    found = replayed.comparison
    session, replay = replayed.session, replayed.replay
    rows = [
        ("decisions", len(session.decisions), len(replay.decisions), _word(found.decisions)),
        ("orders", len(session.orders), len(replay.orders), _word(found.orders)),
        ("fills", len(session.executions), len(replay.executions), _word(found.fills)),
        ("realised profit", f"{session.realised:.2f}", f"{replay.realised:.2f}",
         _word(found.profit)),
    ]  # fmt: skip
    console.print(table(f"replay of {path.name}", ("what", "session", "replay", "equal"), rows))
    for difference in found.differences:
        console.print(f"DIFFERENT: {difference}")
    return 0 if found.equal else 1


def _word(equal: bool) -> str:
    return "yes" if equal else "NO"
