"""The instruments that the dollar's strength is made of, and their series from stored tapes.

What a model was trained with must be what it is served with, so the symbols are part of a version's
manifest, in their order: the sum over them is one of floats.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from core.columns import QuoteColumns
from core.errors import BadInput
from core.instruments import InstrumentTable
from features.perturbation import with_other_future
from features.spec import FeatureSpec
from features.strength import MINUTE_NS, SPANS, Strength, dollar_side, usd_strength

_FIRST_LOOK_NS = 2 * 3_600_000_000_000
# The longest span, the minute before it, and a few that are not complete yet.
_MINUTES = SPANS[-1] + 8


class QuoteStore(Protocol):
    """Stored quotes by symbol, see `storage.parquet.TickStore`."""

    def read(
        self, symbol: str, start_ns: int | None = None, end_ns: int | None = None
    ) -> QuoteColumns:
        """Return quotes with ``start_ns <= ts < end_ns``."""
        ...


def peers_of(spec: FeatureSpec, symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Return the symbols whose quotes the rows of a spec need besides their own; often none."""
    return symbols if spec.needs_strength else ()


def sides_of(symbols: tuple[str, ...], instruments: InstrumentTable) -> dict[str, int]:
    """Return `dollar_side` by symbol, in the order of `symbols`.

    Raises
    ------
    BadInput
        For an unknown symbol, one twice, or one that has no side in dollars.
    """
    if not symbols or len(set(symbols)) < len(symbols):
        raise BadInput(f"the dollar's strength needs distinct symbols, not {list(symbols)}")
    return {symbol: dollar_side(instruments.by_symbol(symbol)) for symbol in symbols}


@dataclass(frozen=True, slots=True, eq=False)
class DollarTapes:
    """What the dollar's strength is made of.

    Attributes
    ----------
    tapes : mapping of str to QuoteColumns
        By symbol.
    sides : mapping of str to int
        `dollar_side` by symbol; their order is that of the sum.
    """

    tapes: Mapping[str, QuoteColumns]
    sides: Mapping[str, int]

    def strength(self) -> Strength:
        """Compute the series."""
        return usd_strength(self.tapes, self.sides)

    def since(self, start_ns: int) -> "DollarTapes":
        """Leave out what came before."""
        return self._each(lambda columns: columns[columns.ts >= start_ns])

    def with_other_future(self, after_ns: int, rng: np.random.Generator) -> "DollarTapes":
        """Change everything that any tape told after an instant."""

        def changed(columns: QuoteColumns) -> QuoteColumns:
            told = np.flatnonzero(columns.ts <= after_ns)
            last = int(told[-1]) if len(told) else -1
            if last == len(columns) - 1:
                return columns
            return with_other_future(columns, last, "everything", rng)

        return self._each(changed)

    def _each(self, change: Callable[[QuoteColumns], QuoteColumns]) -> "DollarTapes":
        return replace(self, tapes={name: change(tape) for name, tape in self.tapes.items()})


def dollar_tapes(
    store: QuoteStore,
    symbols: tuple[str, ...],
    instruments: InstrumentTable,
    start_ns: int | None = None,
    end_ns: int | None = None,
) -> DollarTapes | None:
    """Read what the strength is made of from stored tapes; None when there are no symbols.

    Raises
    ------
    BadInput
        When a symbol has no stored quotes in that time.
    """
    if not symbols:
        return None
    sides = sides_of(symbols, instruments)
    tapes = {symbol: store.read(symbol, start_ns, end_ns) for symbol in symbols}
    for symbol, columns in tapes.items():
        if not len(columns):
            raise BadInput(
                f"the dollar's strength needs quotes of {symbol}, and none are stored; ingest some "
                "or leave it out of training.peers"
            )
    return DollarTapes(tapes, sides)


def newest_tapes(
    store: QuoteStore, symbols: tuple[str, ...], before_ns: int
) -> Mapping[str, QuoteColumns]:
    """Read enough of every symbol's stored quotes before an instant to know the strength there.

    The stretch grows until the tapes have the minutes of the longest span in common, or all that is
    stored was read.
    """
    look = _FIRST_LOOK_NS
    while True:
        start = max(0, before_ns - look)
        tapes = {symbol: store.read(symbol, start, before_ns) for symbol in symbols}
        if start == 0 or _common_minutes(tapes) >= _MINUTES:
            return tapes
        look *= 8


def _common_minutes(tapes: Mapping[str, QuoteColumns]) -> int:
    """Count the minutes with a quote of anyone, from where everyone has begun."""
    if any(not len(columns) for columns in tapes.values()):
        return 0
    first = max(int(columns.ts[0]) for columns in tapes.values()) // MINUTE_NS
    minutes = np.unique(np.concatenate([c.ts // MINUTE_NS for c in tapes.values()]))
    return int(np.count_nonzero(minutes > first))
