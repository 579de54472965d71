"""The commands ``tickpath ingest ...``. Heavy imports wait until their command runs."""

from typing import Annotated

import typer

ingest_app = typer.Typer(invoke_without_command=True, help="Load market data into the tick store.")


@ingest_app.command("dukascopy")
def ingest_dukascopy(
    first: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD, UTC.")],
    until: Annotated[str, typer.Option("--to", help="Day after the last one, YYYY-MM-DD.")],
    symbol: Annotated[str, typer.Option("--symbol", help="Instrument, such as EURUSD.")] = "EURUSD",
    kind: Annotated[str, typer.Option("--format", help="bi5 or csv.")] = "bi5",
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop the symbol's quotes of another source first.")
    ] = False,
) -> None:
    """Download hours of ticks from Dukascopy; start it again to go on."""
    from cli.dukascopy import run_download

    run_download(symbol, first, until, kind, replace=replace)
