"""Versioned schemas: ``<dialect>/<number>_<what>.sql``, applied in order, each at most once."""

import re
from importlib import resources
from typing import NamedTuple

_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


class Migration(NamedTuple):
    """One step of a schema; `statements` are run in order."""

    version: int
    name: str
    statements: tuple[str, ...]


def migrations(dialect: str) -> tuple[Migration, ...]:
    """Return the steps of a dialect, oldest first.

    A semicolon with a blank line behind it ends a statement; one within a statement (such as in the
    body of a function) has none.
    """
    found = []
    for file in resources.files(__name__).joinpath(dialect).iterdir():
        match = _NAME.fullmatch(file.name)
        if match:
            text = re.sub(r"^\s*--.*$", "", file.read_text(), flags=re.MULTILINE)
            parts = re.split(r";[ \t]*(?:\n\s*\n|\s*$)", text)
            statements = tuple(part.strip() for part in parts if part.strip())
            found.append(Migration(int(match[1]), match[2], statements))
    return tuple(sorted(found))
