"""Strength of the US dollar over all pairs, as a series of minutes of its own.

``index(T) = 1e4 * mean(side * ln(mid))`` over the instruments, where `mid` is each one's last
before minute T ends, and `side` is 1 where the dollar is the base currency and -1 where it is the
quote currency. Minutes in which nobody quoted are not in the series. The values are changes of the
index over 1 and 15 such minutes, in bps.

The series is made first, from the tapes alone, and joined as-of: a row that comes with a quote of
time t uses the newest minute T with ``T + LAG_NS <= t``. The lag is what makes it the same
everywhere: by then every tape has told its prices up to T, however their quotes were interleaved,
so that batch, stream and a shard that is sent the series see one and the same value. `usd_strength`
computes it from history, `StrengthMeter` quote by quote.
"""

import math
from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.columns import F8, I8, QuoteColumns
from core.errors import BadInput
from core.instruments import Instrument
from core.types import Quote
from features.blocks import F4
from features.sample import COLD_BLOCKS, MINUTE

MINUTE_NS = 60_000_000_000
LAG_NS = MINUTE_NS
SPANS = (1, 15)
N_VALUES = len(SPANS)

# Slice: whether there is a value, the values, how many minutes wait, and those: minute and values.
_HAS, _VALUES, _WAITING = 0, 1, 1 + N_VALUES
_QUEUE, _ENTRY, DEPTH = _WAITING + 1, 1 + N_VALUES, 8
SIZE = _QUEUE + DEPTH * _ENTRY


@dataclass(frozen=True, slots=True, eq=False)
class Strength:
    """Strength by minute.

    Attributes
    ----------
    minute : int64[k]
        End of each minute in minutes since 1970, strictly increasing.
    values : float64[k, 2]
        Change of the index over 1 and 15 minutes of the series, bps.
    """

    minute: I8
    values: F8

    def __len__(self) -> int:
        return len(self.minute)

    def newest(self, n: int) -> "Strength":
        """Return the last `n` minutes."""
        first = max(0, len(self) - n)
        return Strength(self.minute[first:], self.values[first:])


def dollar_side(instrument: Instrument) -> int:
    """Return 1 where the dollar is the base currency, -1 where it is the quote currency.

    Raises
    ------
    BadInput
        When the dollar is neither.
    """
    if instrument.base == "USD":
        return 1
    if instrument.quote_currency == "USD":
        return -1
    raise BadInput(f"{instrument.symbol} has no side in US dollars")


def _index(mids: Sequence[float], sides: Sequence[int]) -> float:
    pairs = zip(sides, mids, strict=True)
    return 1e4 * sum(side * math.log(mid) for side, mid in pairs) / len(sides)


def usd_strength(tapes: Mapping[str, QuoteColumns], sides: Mapping[str, int]) -> Strength:
    """Compute the series from the tapes of several instruments.

    Parameters
    ----------
    tapes : mapping of str to QuoteColumns
        By symbol; late and malformed quotes do not count.
    sides : mapping of str to int
        `dollar_side` by symbol, at least one; the tape of each must be there.
    """
    return _of_index(*_indices([_clean(tapes[symbol]) for symbol in sides], tuple(sides.values())))


def _indices(clean: Sequence[QuoteColumns], sides: tuple[int, ...]) -> tuple[I8, list[float]]:
    """Minutes with a quote of anyone, from where everyone has had one, and the index of each."""
    ends = [_minutes(c) for c in clean]
    minutes = np.unique(np.concatenate(ends))
    at = [np.searchsorted(end, minutes, side="right") - 1 for end in ends]
    everyone = np.all([place >= 0 for place in at], axis=0)
    mids = [
        (0.5 * (c.bid + c.ask))[place[everyone]].tolist()
        for c, place in zip(clean, at, strict=True)
    ]
    return minutes[everyone], [_index(row, sides) for row in zip(*mids, strict=True)]


def _minutes(columns: QuoteColumns) -> I8:
    """Minute that each quote belongs to, by its end."""
    return (columns.ts - (columns.span > 0)) // MINUTE_NS + 1


def _of_index(minutes: I8, index: Sequence[float]) -> Strength:
    first = SPANS[-1]
    values = [_changes(index[i - first : i + 1]) for i in range(first, len(index))]
    return Strength(minutes[first:], np.array(values, np.float64).reshape(-1, N_VALUES))


def _changes(index: Sequence[float]) -> tuple[float, ...]:
    return tuple(index[-1] - index[-1 - span] for span in SPANS)


def _clean(columns: QuoteColumns) -> QuoteColumns:
    columns = columns[_sound(columns)]
    return columns[columns.ts >= np.maximum.accumulate(columns.ts)] if len(columns) else columns


def clock(columns: QuoteColumns) -> I8:
    """Time, ns UTC, that a tape has reached with each quote; malformed ones move nothing on."""
    return np.maximum.accumulate(np.where(_sound(columns), columns.ts, 0))


def _sound(columns: QuoteColumns) -> NDArray[np.bool_]:
    """Which quotes the kernel does not call malformed."""
    c = columns
    prices = (c.bid, c.ask, c.open, c.high, c.low)
    with np.errstate(invalid="ignore"):
        finite: NDArray[np.bool_] = np.isfinite(sum(prices, c.volume))
    return finite & (np.minimum.reduce(prices) > 0.0)


def _is_sound(q: Quote) -> bool:
    total = q.bid + q.ask + q.open + q.high + q.low + q.volume
    return min(q.bid, q.ask, q.open, q.high, q.low) > 0.0 and math.isfinite(total)


class StrengthMeter:
    """The same series from quotes as they come; the tapes' clocks may differ by less than the lag.

    A quote of a minute that has been told already is left out.

    Parameters
    ----------
    sides : mapping of int to int
        Side in dollars by dense instrument id, in the order of `usd_strength`'s.
    """

    def __init__(self, sides: Mapping[int, int]) -> None:
        self._sides = tuple(sides.values())
        self._place = {instrument: place for place, instrument in enumerate(sides)}
        self._mids: list[float | None] = [None] * len(sides)
        self._newest = [0] * len(sides)
        # Last mid by minute and instrument, of minutes that are not told yet.
        self._open: dict[int, dict[int, float]] = {}
        self._minutes: list[int] = []
        self._index: list[float] = []
        self._told = -1

    def resume(self, tapes: Sequence[QuoteColumns]) -> Strength:
        """Forget everything and go on as if the quotes of these tapes had come, in time order.

        Parameters
        ----------
        tapes : sequence of QuoteColumns
            One per instrument, in the order of `sides`.

        Returns
        -------
        Strength
            The minutes that are told by then.
        """
        clean = [_clean(columns) for columns in tapes]
        now = max((int(columns.ts[-1]) for columns in clean if len(columns)), default=0)
        self._told = (now - LAG_NS) // MINUTE_NS
        minutes, index = _indices(clean, self._sides)
        told = int(np.searchsorted(minutes, self._told, side="right"))
        self._index = index[:told][-SPANS[-1] - 1 :]
        self._open = {}
        for place, columns in enumerate(clean):
            self._place_tape(place, columns)
        self._minutes = sorted(self._open)
        return _of_index(minutes[:told], index[:told])

    def _place_tape(self, place: int, columns: QuoteColumns) -> None:
        """Take the last mid of the told minutes, and of each minute after those."""
        self._newest[place] = int(columns.ts[-1]) if len(columns) else 0
        self._mids[place] = None
        near = columns[max(0, int(np.searchsorted(_minutes(columns), self._told + 1)) - 1) :]
        mids = (0.5 * (near.bid + near.ask)).tolist()
        for minute, mid in zip(_minutes(near).tolist(), mids, strict=True):
            if minute <= self._told:
                self._mids[place] = mid
            else:
                self._open.setdefault(minute, {})[place] = mid

    def update(self, quote: Quote) -> Iterator[tuple[int, tuple[float, ...]]]:
        """Take a quote; yield the minutes (and their values) that are complete by its time.

        Push what comes to the feature engine before the quote itself.
        """
        if not _is_sound(quote):
            return
        yield from self._complete(quote.ts_event)
        place = self._place.get(quote.instrument)
        if place is None or quote.ts_event < self._newest[place]:
            return
        self._newest[place] = quote.ts_event
        minute = (quote.ts_event - (quote.span_ns > 0)) // MINUTE_NS + 1
        if minute <= self._told:
            return
        if minute not in self._open:
            self._open[minute] = {}
            insort(self._minutes, minute)
        self._open[minute][place] = quote.mid

    def _complete(self, now: int) -> Iterator[tuple[int, tuple[float, ...]]]:
        while self._minutes and self._minutes[0] * MINUTE_NS + LAG_NS <= now:
            minute = self._told = self._minutes.pop(0)
            for place, mid in self._open.pop(minute).items():
                self._mids[place] = mid
            mids = [mid for mid in self._mids if mid is not None]
            if len(mids) < len(self._mids):
                continue
            self._index = [*self._index[-SPANS[-1] :], _index(mids, self._sides)]
            if len(self._index) > SPANS[-1]:
                yield minute, _changes(self._index)


def push(state: F8, base: int, minute: int, values: Sequence[float]) -> None:
    """Let a minute wait in the slice of a `strength_block` until the quotes reach it.

    When `DEPTH` minutes wait, the oldest is taken: quotes that do not know it are that much late.
    """
    if state[base + _WAITING] == DEPTH:
        _take_oldest(state, base)
    at = base + _QUEUE + int(state[base + _WAITING]) * _ENTRY
    state[at] = minute
    state[at + 1 : at + 1 + N_VALUES] = values
    state[base + _WAITING] += 1.0


def clear_waiting(state: F8, base: int) -> None:
    """Drop the minutes that wait, to be told them again."""
    state[base + _WAITING] = 0.0


@njit(forceinline=True)
def _shift(state: F8, base: int) -> None:
    first = base + _QUEUE
    for k in range(N_VALUES):
        state[base + _VALUES + k] = state[first + 1 + k]
    for k in range((DEPTH - 1) * _ENTRY):
        state[first + k] = state[first + _ENTRY + k]
    state[base + _WAITING] -= 1.0
    state[base + _HAS] = 1.0


def _take_oldest(state: F8, base: int) -> None:
    _shift.py_func(state, base)


@njit(forceinline=True)
def strength_block(state: F8, base: int, row: F4, at: int) -> None:
    """Strength at the newest minute that the quote may know; the row is withheld until one is."""
    while state[base + _WAITING] > 0.0 and state[base + _QUEUE] + 1.0 <= state[MINUTE]:
        _shift(state, base)
    for k in range(N_VALUES):
        row[at + k] = state[base + _VALUES + k]
    if state[base + _HAS] == 0.0:
        state[COLD_BLOCKS] += 1.0
