"""``tickpath keys``: its commands. Heavy imports wait until their command runs."""

from typing import Annotated

import typer

keys = typer.Typer(no_args_is_help=True, help="API keys: who may call serving.")


@keys.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="Who holds it; stands in the audit.")],
    role: Annotated[str, typer.Option(help="viewer, trader, risk or admin.")],
    account: Annotated[
        list[str] | None, typer.Option(help="Accounts of the holder, * for all; ours when absent.")
    ] = None,
    days: Annotated[int, typer.Option(min=0, help="Days it is good for; 0 for ever.")] = 90,
) -> None:
    """Make a key and show it, once."""
    from cli.keys import create

    create(name, role, account or [], days)


@keys.command("list")
def keys_list() -> None:
    """List the keys, without anything secret."""
    from cli.keys import show

    show()


@keys.command("revoke")
def keys_revoke(key_id: Annotated[str, typer.Argument(help="Id of the key.")]) -> None:
    """End a key at once; serving follows within two seconds."""
    from cli.keys import revoke

    revoke(key_id)


@keys.command("rotate")
def keys_rotate(
    key_id: Annotated[str, typer.Argument(help="Id of the key that is replaced.")],
    overlap_secs: Annotated[int, typer.Option(min=0, help="How long both are good.")] = 3_600,
) -> None:
    """Give the holder a new key; the old one ends after the overlap."""
    from cli.keys import rotate

    rotate(key_id, overlap_secs)
