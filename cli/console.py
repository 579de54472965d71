"""What the command line prints with: Rich on a terminal, plain text elsewhere."""

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

PLAIN_WIDTH = 110


def make_console() -> Console:
    """Colours and boxes on a terminal; no escape codes and a fixed width when piped."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(
        highlight=False, force_terminal=False, no_color=True, width=PLAIN_WIDTH, emoji=False
    )


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Build a table whose columns after the first are right-aligned."""
    drawn = Table(title=title, title_justify="left", title_style="bold")
    for index, name in enumerate(columns):
        drawn.add_column(name, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*(str(cell) for cell in row))
    return drawn
