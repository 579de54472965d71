"""The command ``tickpath``. Heavy imports wait until their command runs."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.ingest_commands import ingest_app
from cli.keys_commands import keys
from cli.store_commands import store
from core.errors import AppError, BadInput

app = typer.Typer(
    name="tickpath",
    help="From a market tick to a filled order, and from a research idea to a promoted model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

features_app = typer.Typer(help="Features: what they promise.", no_args_is_help=True)
app.add_typer(features_app, name="features")

app.add_typer(keys, name="keys")

journal = typer.Typer(no_args_is_help=True, help="Look at the order journal.")
app.add_typer(journal, name="journal")
app.add_typer(store, name="store")

DataOption = Annotated[Path | None, typer.Option("--data", help="File or folder of market data.")]
SymbolOption = Annotated[str, typer.Option("--symbol", help="Instrument, such as EURUSD.")]
OptionalSymbol = Annotated[
    str | None, typer.Option("--symbol", help="Instrument; needed with --data.")
]

FamilyOption = Annotated[
    str | None,
    typer.Option(
        "--family", help="Models to train: trees, tcn, gru or mlp; the setting when absent."
    ),
]


@app.command()
def demo(
    data: DataOption = None, symbol: OptionalSymbol = None, family: FamilyOption = None
) -> None:
    """Go the whole way once, from ticks to fills, and stop everything again."""
    from cli.demo import run_demo

    raise typer.Exit(run_demo(data, symbol, family))


@app.command()
def up() -> None:
    """Start MLflow, Prefect, a worker, the venue and serving; Ctrl-C stops all of it."""
    from cli.up import run_up

    raise typer.Exit(run_up())


app.add_typer(ingest_app, name="ingest")


@ingest_app.callback()
def ingest(
    context: typer.Context,
    data: DataOption = None,
    symbol: SymbolOption = "EURUSD",
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop the symbol's quotes of another source first.")
    ] = False,
    max_bad_rows: Annotated[
        float | None, typer.Option(help="Share of rows that may be dropped; the setting if absent.")
    ] = None,
) -> None:
    """Load market data into the tick store (simulated data without --data)."""
    if context.invoked_subcommand:
        return
    from cli.learn import run_ingest

    run_ingest(data, symbol, replace=replace, max_bad_rows=max_bad_rows)


@app.command()
def train(symbol: SymbolOption = "EURUSD", family: FamilyOption = None) -> None:
    """Train a model on stored ticks and register the version."""
    from cli.learn import run_train

    run_train(symbol, family)


@app.command()
def tune(
    symbol: SymbolOption = "EURUSD",
    trials: Annotated[
        int, typer.Option(min=0, help="Trials in all; the setting tuning.trials when 0.")
    ] = 0,
) -> None:
    """Search for a model's parameters on every core, then train and register with the best."""
    from cli.learn import run_tune

    run_tune(symbol, trials)


@app.command()
def reproduce(
    version: Annotated[str, typer.Argument(help="Number of a registered version.")],
    symbol: SymbolOption = "EURUSD",
    any_code: Annotated[
        bool, typer.Option("--any-code", help="Try with another revision of the code as well.")
    ] = False,
) -> None:
    """Train a registered version again from stored quotes and compare the bytes."""
    from cli.reproduce import run_reproduce

    raise typer.Exit(run_reproduce(symbol, version, any_code=any_code))


@app.command()
def explain(
    version: Annotated[str, typer.Argument(help="Number of a registered version, of trees.")],
    symbol: SymbolOption = "EURUSD",
    at: Annotated[
        datetime | None, typer.Option(help="Last stored row at or before, UTC; newest if absent.")
    ] = None,
) -> None:
    """Say what each feature added to one decision of a version (TreeSHAP)."""
    from cli.explain import run_explain

    run_explain(symbol, version, at)


@app.command()
def promote(
    symbol: SymbolOption = "EURUSD",
    version: Annotated[str | None, typer.Option(help="Version; the newest when absent.")] = None,
) -> None:
    """Check the gates of a version and move the alias it has earned."""
    from cli.learn import run_promote

    run_promote(symbol, version)


@app.command()
def champion(
    symbol: SymbolOption = "EURUSD",
    at: Annotated[str | None, typer.Option(help="Time, UTC unless it says; now if absent.")] = None,
) -> None:
    """Say which version may trade, or might at a time, and why."""
    from cli.promotion import show_champion

    show_champion(symbol, at)


@app.command()
def rollback(
    symbol: SymbolOption = "EURUSD",
    version: Annotated[
        str | None, typer.Option(help="Former champion; the last if absent.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
) -> None:
    """Make a former champion the champion again; works with MLflow and Prefect down."""
    from cli.promotion import run_rollback

    run_rollback(symbol, version, reason)


@app.command()
def approve(
    symbol: SymbolOption = "EURUSD",
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    refuse: Annotated[bool, typer.Option("--refuse", help="Say no.")] = False,
) -> None:
    """Answer a promotion that waits for a person (promotion.mode manual)."""
    from cli.promotion import run_approve

    run_approve(symbol, reason, refuse=refuse)


@app.command()
def drift(
    symbol: SymbolOption = "EURUSD",
    version: Annotated[
        str | None, typer.Option(help="Version; the one that serves when absent.")
    ] = None,
) -> None:
    """Compare the quotes after a version's training with those of the training."""
    from cli.learn import run_drift

    run_drift(symbol, version)


@app.command()
def lineage(
    version: Annotated[str, typer.Argument(help="Number of a registered version.")],
    symbol: SymbolOption = "EURUSD",
) -> None:
    """Draw everything that made a version as a tree."""
    from cli.lineage import show_lineage

    show_lineage(symbol, version)


@app.command()
def serve(
    take_over: Annotated[
        bool, typer.Option("--take-over", help="From the process that serves now, if any.")
    ] = False,
) -> None:
    """Serve decisions and orders over HTTP on loopback."""
    from cli.serve import run_serve

    run_serve(take_over=take_over)


@app.command()
def venue(
    symbol: Annotated[list[str] | None, typer.Option(help="Instruments on the tape.")] = None,
    quotes: Annotated[int, typer.Option(min=0, help="Length of the tape; 0 is all.")] = 0,
) -> None:
    """Run the simulated venue on the stored, held-out quotes."""
    from cli.venue import run_venue

    run_venue(symbol or [], quotes)


@app.command()
def backtest(
    symbol: OptionalSymbol = None,
    session: Annotated[
        Path | None, typer.Option(help="Recorded session to replay and compare.")
    ] = None,
) -> None:
    """Trade the held-out quotes with the serving model, or replay a recorded session."""
    from cli.backtest import run_command

    raise typer.Exit(run_command(symbol, session))


ReasonOption = Annotated[str, typer.Option(help="Why, for the record.")]
ScopeOption = Annotated[str, typer.Option(help="global, account:X, strategy:X or symbol:X.")]


@app.command()
def enable(reason: ReasonOption = "", scope: ScopeOption = "global") -> None:
    """Let the running service trade."""
    from cli.trading_state import change

    change("ACTIVE", reason, scope)


@app.command()
def halt(reason: ReasonOption = "", scope: ScopeOption = "global") -> None:
    """Stop the running service from opening positions."""
    from cli.trading_state import change

    change("HALTED", reason, scope)


@app.command()
def kill(reason: ReasonOption = "", scope: ScopeOption = "global") -> None:
    """Stop the running service and cancel every order that works (also: kill -USR1)."""
    from cli.trading_state import kill as kill_scope

    kill_scope(reason, scope)


@features_app.command()
def check(
    symbol: Annotated[list[str] | None, typer.Option(help="Instruments; all stored ones.")] = None,
    data: DataOption = None,
    spec: Annotated[list[str] | None, typer.Option(help="Specs; what training would use.")] = None,
) -> None:
    """Check stream = batch, no look-ahead and true warm-up, user-defined features included."""
    from cli.features import run_check

    raise typer.Exit(run_check(symbol or [], data, spec or []))


@journal.command("verify")
def journal_verify() -> None:
    """Look at every byte: segments, hash chain, what was synced, snapshots."""
    from cli.journal import verify_journal

    raise typer.Exit(verify_journal())


@journal.command("show")
def journal_show(
    order: Annotated[str | None, typer.Option(help="Client order id; all when absent.")] = None,
    last: Annotated[int, typer.Option(min=1, help="Newest records to show.")] = 20,
) -> None:
    """Show the newest records of the order journal, or those of one order."""
    from cli.journal import show

    show(order, last)


@journal.command("export")
def journal_export(
    out: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
) -> None:
    """Write all records as JSON lines, each with its number, its end and its chain."""
    from cli.journal import export

    export(out)


@features_app.command()
def rearm(symbol: SymbolOption = "EURUSD") -> None:
    """Lift the hold that the skew sentinel has put on a symbol of the running service."""
    from cli.trading_state import rearm as lift

    lift(symbol)


@app.command()
def audit(
    last: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 50,
) -> None:
    """Verify the audit of calls that changed something, and show the newest."""
    from cli.keys import show_audit

    show_audit(last)


@app.command()
def doctor() -> None:
    """Say what is configured, what answers, and what each missing thing costs."""
    from cli.console import make_console, table
    from cli.doctor import examine, versions
    from core.settings import load_config

    console = make_console()
    rows = [(f.name, f.where, "yes" if f.ok else "NO", "" if f.ok else f.cost)
            for f in examine(load_config())]  # fmt: skip
    console.print(table("tickpath", ("what", "where", "ok", "cost when missing"), rows))
    console.print(table("versions", ("package", "version"), versions().items()))


def main() -> None:
    """Run the command; bad input ends with one sentence and exit code 2."""
    try:
        app()
    except BadInput as error:
        _tell(error)
        sys.exit(2)
    except AppError as error:
        _tell(error)
        sys.exit(1)
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        _tell(error)
        sys.exit(2)


def _tell(error: Exception) -> None:
    sys.stderr.write(f"tickpath: {error}\n")


if __name__ == "__main__":
    main()
