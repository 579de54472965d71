"""Live quotes into a tick store: what a batch writer calls."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from core.columns import from_quotes
from core.instruments import InstrumentTable
from core.types import Quote
from storage.ports import Ticks


def tick_sink(store: Ticks, instruments: InstrumentTable) -> Callable[[Sequence[Quote]], None]:
    """Return a sink for quotes of any instruments; their tape numbers are their sequences."""

    def append(quotes: Sequence[Quote]) -> None:
        for instrument, rows in _by_instrument(quotes).items():
            sequence = np.array([quote.seq for quote in rows], np.int64)
            store.append(instruments[instrument].symbol, from_quotes(rows), sequence)

    return append


def _by_instrument(quotes: Iterable[Quote]) -> dict[int, list[Quote]]:
    found: dict[int, list[Quote]] = {}
    for quote in quotes:
        found.setdefault(quote.instrument, []).append(quote)
    return found
