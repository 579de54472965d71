"""Quotes that a caller sends: made columns, or refused by name before anything is computed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from core.columns import F8, I8, QuoteColumns, from_ticks
from core.errors import BadInput

# Stamps up to the year 2096 and prices of any instrument there is: the kernels multiply both.
LAST_NS = 4 * 10**18
LEAST_PRICE, MOST_PRICE = 1e-6, 1e7
MOST_SPAN_NS = 7 * 86_400 * 10**9

Numbers = Sequence[float]


def ticks_of(
    ts: Sequence[int], bid: Numbers, ask: Numbers, volume: Numbers | None, most: int
) -> QuoteColumns:
    """Columns of single ticks.

    Parameters
    ----------
    ts : sequence of int
        ns UTC, none before the one in front of it.
    bid, ask : sequence of float
        Prices in quote currency.
    volume : sequence of float or None
        Zeros when absent.
    most : int
        Largest number of quotes that is taken.

    Raises
    ------
    BadInput
        Naming the column and the first place in it that is wrong.
    """
    _check_lengths(most, ts=ts, bid=bid, ask=ask, volume=volume)
    stamps = _stamps(ts)
    bids, asks = _prices("bid", bid), _prices("ask", ask)
    _refuse("ask", asks < bids, "lies below bid: the quote is crossed")
    return from_ticks(stamps, bids, asks, _volumes(volume))


def bars_of(
    ts: Sequence[int],
    bid: Numbers,
    ask: Numbers,
    volume: Numbers | None,
    ohl: tuple[Numbers, Numbers, Numbers],
    span_ns: int,
    most: int,
) -> QuoteColumns:
    """Columns of quotes that each stand for the `span_ns` before them, as minute bars do.

    Parameters
    ----------
    ohl : three sequences of float
        Open, high and low of the mid over the span, quote currency.

    Raises
    ------
    BadInput
        As `ticks_of`; also when high and low do not enclose open and mid.
    """
    if not 0 < span_ns <= MOST_SPAN_NS:
        raise BadInput(f"history.span_ns must lie in 1..{MOST_SPAN_NS}, not {span_ns}")
    columns = ticks_of(ts, bid, ask, volume, most)
    _check_lengths(most, ts=ts, open=ohl[0], high=ohl[1], low=ohl[2])
    open_, high, low = (
        _prices(name, values) for name, values in zip(("open", "high", "low"), ohl, strict=True)
    )
    # A mid that was computed elsewhere may differ in its last bits.
    slack = 1e-9 * columns.open
    _refuse("high", high + slack < np.maximum(open_, columns.open), "lies below open or mid")
    _refuse("low", low - slack > np.minimum(open_, columns.open), "lies above open or mid")
    spans = np.full(len(columns), span_ns, np.int64)
    return QuoteColumns(
        columns.ts, columns.bid, columns.ask, columns.volume, spans, open_, high, low
    )


def _check_lengths(most: int, ts: Sequence[int], **others: Numbers | None) -> None:
    n = len(ts)
    if not 1 <= n <= most:
        raise BadInput(f"history must have 1..{most} quotes, not {n}")
    for name, column in others.items():
        if column is not None and len(column) != n:
            raise BadInput(f"history.{name} has {len(column)} values and history.ts has {n}")


def _stamps(ts: Sequence[int]) -> I8:
    try:
        stamps = np.array(ts, np.int64)
    except OverflowError:
        raise BadInput("history.ts holds a number that is no time in ns") from None
    _refuse("ts", (stamps <= 0) | (stamps > LAST_NS), "is no time in ns UTC")
    back = np.zeros(len(stamps), np.bool_)
    back[1:] = stamps[1:] < stamps[:-1]
    _refuse("ts", back, "lies before the one in front of it: the history is unsorted")
    return stamps


def _prices(name: str, values: Numbers) -> F8:
    prices = np.array(values, np.float64)
    _refuse(name, ~np.isfinite(prices), "is not a finite number")
    wrong = (prices < LEAST_PRICE) | (prices > MOST_PRICE)
    _refuse(name, wrong, f"is no price in {LEAST_PRICE:g}..{MOST_PRICE:g}")
    return prices


def _volumes(values: Numbers | None) -> F8 | None:
    if values is None:
        return None
    volumes = np.array(values, np.float64)
    _refuse("volume", ~(np.isfinite(volumes) & (volumes >= 0.0)), "is no finite volume from zero")
    return volumes


def _refuse(name: str, wrong: NDArray[np.bool_], why: str) -> None:
    if wrong.any():
        raise BadInput(f"history.{name}[{int(np.argmax(wrong))}] {why}")
