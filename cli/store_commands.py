"""``tickpath store``: its commands. Heavy imports wait until their command runs."""

from typing import Annotated

import typer

store = typer.Typer(no_args_is_help=True, help="Look after the stores that the settings name.")


@store.command("migrate")
def store_migrate() -> None:
    """Bring the schemas of the configured stores to this version."""
    from cli.store import migrate

    migrate()


@store.command("status")
def store_status() -> None:
    """Say what the configured stores hold, and whether they answer."""
    from cli.store import status

    status()


@store.command("maintain")
def store_maintain() -> None:
    """Move indexes forward, forget what is older than storage.keep_days, merge segments."""
    from cli.store import maintain

    maintain()


@store.command("copy")
def store_copy(
    symbol: Annotated[list[str] | None, typer.Option(help="Symbols; all when absent.")] = None,
) -> None:
    """Copy the embedded tick store into the configured server; start it again to go on."""
    from cli.store import copy

    copy(symbol or [])
