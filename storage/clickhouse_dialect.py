"""The two ways of speaking to ClickHouse: to servers of any age, and to those of today.

Statements are written once, with typed parameters ``{name:Type}``. A modern server binds them
itself; for a portable one each is checked against its type and written as a literal. Only the
stamps differ otherwise: ``ts`` is Int64 ns there and DateTime64(9) here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.errors import BadInput

Value = str | int | float
_PARAMETER = re.compile(r"\{(\w+):(String|Int64|Float64)\}")
_FIRST_MODERN = (23, 3)
_ESCAPES = {"\b": r"\b", "\f": r"\f", "\r": r"\r", "\n": r"\n", "\t": r"\t", "\0": r"\0",
            "\a": r"\a", "\v": r"\v", "\\": "\\\\", "'": r"\'"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of server wants it.

    Attributes
    ----------
    name : str
        Folder of `storage.migrations`.
    binds : bool
        Whether the server takes ``{name:Type}`` itself.
    ns_of, stamp_of : callable
        Expression for the ns of a stamp column, and for a stamp from an expression in ns.
    """

    name: str
    binds: bool
    ns_of: Callable[[str], str]
    stamp_of: Callable[[str], str]

    def minute_states(self) -> str:
        """Query of the minute view, ready for a WHERE clause; ends before its GROUP BY."""
        return (
            f"SELECT symbol, intDiv({self.ns_of('ts')} - (span > 0), 60000000000) AS minute,"
            " argMinState(open, (ts, sequence)) AS open, maxState(high) AS high,"
            " minState(low) AS low, argMaxState(0.5 * (bid + ask), (ts, sequence)) AS close,"
            " argMaxState(ask - bid, (ts, sequence)) AS spread, sumState(volume) AS volume,"
            " countState() AS ticks FROM market_data"
        )


def _as_is(expression: str) -> str:
    return expression


PORTABLE = Dialect("clickhouse_portable", binds=False, ns_of=_as_is, stamp_of=_as_is)
MODERN = Dialect(
    "clickhouse_modern",
    binds=True,
    ns_of=lambda stamp: f"toUnixTimestamp64Nano({stamp})",
    stamp_of=lambda ns: f"fromUnixTimestamp64Nano({ns}, 'UTC')",
)


def dialect_for(version: tuple[int, ...]) -> Dialect:
    """Choose by the server's version, (year, release)."""
    return MODERN if version[:2] >= _FIRST_MODERN else PORTABLE


def with_literals(statement: str, values: Mapping[str, Value]) -> str:
    """Write the parameters of a statement as literals, each checked against its type.

    Raises
    ------
    BadInput
        When a value is not of the type that the statement names.
    """

    def literal(found: re.Match[str]) -> str:
        return _literal(found[1], found[2], values[found[1]])

    return _PARAMETER.sub(literal, statement)


def _literal(name: str, kind: str, value: Value) -> str:
    if kind == "String" and isinstance(value, str):
        return "'" + "".join(_ESCAPES.get(char, char) for char in value) + "'"
    if kind == "Int64" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if kind == "Float64" and isinstance(value, float):
        return repr(value)
    raise BadInput(f"parameter {name} is of type {kind}, not {value!r}")
