"""Other futures: what could have come after a quote, with everything before it unchanged.

Each kind changes one thing about the quotes after a point, and `everything` all of them at once, so
that a leak of any of them moves a row, and a report can name what leaked.
"""

from collections.abc import Callable

import numpy as np

from core.columns import F8, QuoteColumns, concat

Perturb = Callable[[QuoteColumns, np.random.Generator], QuoteColumns]


def _prices(future: QuoteColumns, rng: np.random.Generator) -> QuoteColumns:
    """Walk away from the prices by a few basis points a quote, after a jump."""
    factor: F8 = np.exp(rng.normal(0.0, 1e-2) + np.cumsum(rng.normal(0.0, 1e-3, len(future))))
    c = future
    prices = (x * factor for x in (c.open, c.high, c.low))
    return QuoteColumns(c.ts, c.bid * factor, c.ask * factor, c.volume, c.span, *prices)


def _ranges(future: QuoteColumns, rng: np.random.Generator) -> QuoteColumns:
    """Move open, high and low alone."""
    c, n = future, len(future)
    up, down = np.exp(rng.uniform(0.0, 1e-2, n)), np.exp(-rng.uniform(0.0, 1e-2, n))
    open_ = c.low * down + (c.high * up - c.low * down) * rng.random(n)
    return QuoteColumns(c.ts, c.bid, c.ask, c.volume, c.span, open_, c.high * up, c.low * down)


def _spreads(future: QuoteColumns, rng: np.random.Generator) -> QuoteColumns:
    c = future
    mid = 0.5 * (c.bid + c.ask)
    half = (0.5 * np.abs(c.ask - c.bid) + 1e-5 * mid) * np.exp(rng.normal(0.5, 0.5, len(c)))
    return QuoteColumns(c.ts, mid - half, mid + half, c.volume, c.span, c.open, c.high, c.low)


def _volumes(future: QuoteColumns, rng: np.random.Generator) -> QuoteColumns:
    c = future
    volume = c.volume * rng.uniform(0.0, 3.0, len(c)) + rng.uniform(0.0, 1.0, len(c))
    return QuoteColumns(c.ts, c.bid, c.ask, volume, c.span, c.open, c.high, c.low)


def _times(future: QuoteColumns, rng: np.random.Generator) -> QuoteColumns:
    """Stretch the gaps between quotes; whole minutes for quotes that stand for a span."""
    c = future
    unit = int(c.span.max(initial=0)) or 1_000_000
    shift = unit * np.cumsum(rng.integers(0, 3, len(c)))
    ts = c.ts + shift + unit * int(rng.integers(0, 90))
    return QuoteColumns(ts, c.bid, c.ask, c.volume, c.span, c.open, c.high, c.low)


def _number(future: QuoteColumns, rng: np.random.Generator) -> QuoteColumns:
    """Drop some quotes and have others twice."""
    return future[np.sort(rng.integers(0, len(future), max(1, len(future) // 2)))]


def _nothing(future: QuoteColumns, rng: np.random.Generator) -> QuoteColumns:
    """Return no future at all: the tape ends here."""
    return future[:0]


def _everything(future: QuoteColumns, rng: np.random.Generator) -> QuoteColumns:
    for change in (_number, _times, _prices, _ranges, _spreads, _volumes):
        future = change(future, rng)
    return future


PERTURBATIONS: dict[str, Perturb] = {
    "everything": _everything,
    "prices": _prices,
    "ranges": _ranges,
    "spreads": _spreads,
    "volumes": _volumes,
    "times": _times,
    "number": _number,
    "nothing": _nothing,
}


def with_other_future(
    columns: QuoteColumns, point: int, kind: str, rng: np.random.Generator
) -> QuoteColumns:
    """Columns that are the same up to and with `point` and perturbed after it."""
    future = columns[point + 1 :]
    return concat([columns[: point + 1], PERTURBATIONS[kind](future, rng)])
