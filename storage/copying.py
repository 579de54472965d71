"""Copy the tick store or the ledger into another of its kind, resumable and verified."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from core.errors import FatalError
from storage.ports import Ticks
from storage.snapshot import DAY_NS, digest_of

Tell = Callable[[str, int], None]


class Copied(NamedTuple):
    """What became of one symbol: its rows, those that were new, and the checksum of both sides."""

    symbol: str
    rows: int
    new: int
    checksum: str


def copy_ticks(
    source: Ticks, target: Ticks, tell: Tell, symbols: Sequence[str] = ()
) -> list[Copied]:
    """Copy symbols (all when none is named) day by day.

    A day that the target holds already, by its checksum, is not written again; so a copy that was
    interrupted goes on where it stopped.

    Parameters
    ----------
    tell : callable
        Called with (symbol, rows so far) after each day.

    Raises
    ------
    FatalError
        When a symbol differs after its copy: the target held other quotes before.
    """
    return [_copy(source, target, tell, symbol) for symbol in symbols or source.symbols()]


def _copy(source: Ticks, target: Ticks, tell: Tell, symbol: str) -> Copied:
    rows = new = 0
    for day in source.scan(symbol):
        first = int(day.ts[0]) // DAY_NS * DAY_NS
        if target.snapshot_hash(symbol, first, first + DAY_NS) != digest_of([day.columns]):
            new += target.append(symbol, day.columns, day.sequence)
        rows += len(day)
        tell(symbol, rows)
    ours, theirs = source.snapshot_hash(symbol), target.snapshot_hash(symbol)
    count = sum(len(day) for day in target.scan(symbol))
    if ours != theirs or count != rows:
        raise FatalError(
            f"{symbol}: {rows} rows were copied and the target holds {count} others or more;"
            " it was not empty"
        )
    return Copied(symbol, rows, new, ours)
