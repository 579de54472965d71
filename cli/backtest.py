"""``tickpath backtest``: the held-out quotes with the serving model, or a session again."""

from pathlib import Path

from rich.console import Console

from backtest.report import Report
from cli.configured import load_config
from cli.console import make_console, table
from cli.learn import known
from cli.sessions import Replayed, newest_session, replay_session
from flows.replay_job import out_of_sample


def run_command(symbol: str | None, session: Path | None) -> int:
    """Backtest `symbol`, or replay `session` (the newest when neither is given)."""
    config = load_config()
    console = make_console()
    if symbol is not None:
        print_report(console, out_of_sample(config, known(symbol)), f"{symbol}: out of sample")
        return 0
    path = session or newest_session(config)
    return print_replay(console, replay_session(config, path), path)


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
