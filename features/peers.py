"""The instruments that the dollar's strength is made of, and their series from stored tapes.

What a model was trained with must be what it is served with, so the symbols are part of a version's
manifest, in their order: the sum over them is one of floats.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from core.columns import QuoteColumns
from core.errors import BadInput
from core.instruments import InstrumentTable
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


def stored_strength(
    store: QuoteStore,
    symbols: tuple[str, ...],
    instruments: InstrumentTable,
    start_ns: int | None = None,
    end_ns: int | None = None,
) -> Strength | None:
    """Compute the series from stored tapes; None when there are no symbols.

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
    return usd_strength(tapes, sides)


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
