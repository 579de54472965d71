"""What the command line prints with: Rich on a terminal, plain text elsewhere."""

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 120


def make_console() -> Console:
    """Colours and boxes on a terminal; no escape codes and a fixed width when piped."""
    if sys.stdout.isatty():
        return Console(highlight=False)
    return Console(
        highlight=False, force_terminal=False, no_color=True, width=PLAIN_WIDTH, emoji=False
    )


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Group:
    """Build a titled table in which columns of numbers are right-aligned."""
    cells = [[str(cell) for cell in row] for row in rows]
    shape = box.SIMPLE_HEAVY if sys.stdout.isatty() else box.ASCII2
    drawn = Table(box=shape)
    for index, name in enumerate(columns):
        numeric = bool(cells) and all(_is_number(row[index]) for row in cells)
        drawn.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*row)
    return Group(Text(title, style="bold"), drawn)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").rstrip("%") or "0")
    except ValueError:
        return False
    return True
