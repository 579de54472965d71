"""Columns of quotes as compressed bytes, and back to the same bits.

Prices on a decimal grid are kept as whole numbers of it, and those and times as differences; the
open, high and low of ticks as what their bits differ from the mid's, which is nothing. Each of that
is tried and taken only where it gives the very bits back. blosc2 packs what is left.
"""

from collections.abc import Iterator

import blosc2
import numpy as np
from numpy.typing import NDArray

from core.columns import QuoteColumns

Column = NDArray[np.int64] | NDArray[np.float64]

RAW, FROM_MID = -1, -2
MOST_DIGITS = 7
_DERIVED = ("open", "high", "low")


def pack(columns: QuoteColumns, name: str) -> tuple[int, bytes]:
    """Compress one column of some quotes; return how it was written, and the frame."""
    column = np.ascontiguousarray(getattr(columns, name))
    if column.dtype.kind == "i":
        return 0, _compressed(_steps(column))
    if name in _DERIVED and not (bits := column.view(np.int64) ^ _mid(columns)).any():
        return FROM_MID, _compressed(bits)
    for digits in range(MOST_DIGITS + 1):
        whole = np.rint(column * 10.0**digits)
        if np.abs(whole).max(initial=0.0) < 2.0**52 and _same(whole / 10.0**digits, column):
            return digits, _compressed(_steps(whole.astype(np.int64)))
    if name in _DERIVED:
        return FROM_MID, _compressed(column.view(np.int64) ^ _mid(columns))
    return RAW, _compressed(column.view(np.int64))


def unpack(code: int, frame: bytes, kind: str, mid: NDArray[np.int64] | None) -> Column:
    """Return a column as it was; `kind` is ``i`` or ``f``, `mid` the bits of the mids."""
    numbers = np.frombuffer(blosc2.decompress2(frame), np.int64)
    if kind == "i":
        return np.cumsum(numbers)
    if code == RAW:
        return numbers.view(np.float64)
    if code == FROM_MID and mid is not None:
        return (numbers ^ mid).view(np.float64)
    found: NDArray[np.float64] = np.cumsum(numbers) / 10.0**code
    return found


def mid_bits(bid: NDArray[np.float64], ask: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bits of the mid as ticks have it in their open, high and low."""
    return (0.5 * (bid + ask)).view(np.int64)


def parts_of(columns: QuoteColumns, rows: int) -> Iterator[QuoteColumns]:
    """Cut columns into parts of at most `rows`."""
    for first in range(0, len(columns), rows):
        yield columns[first : first + rows]


def _mid(columns: QuoteColumns) -> NDArray[np.int64]:
    return mid_bits(np.asarray(columns.bid), np.asarray(columns.ask))


def _steps(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.diff(numbers, prepend=np.int64(0))


def _same(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return bool((a.view(np.int64) == b.view(np.int64)).all())


def _compressed(numbers: NDArray[np.int64]) -> bytes:
    packed: bytes = blosc2.compress2(
        np.ascontiguousarray(numbers), codec=blosc2.Codec.ZSTD, clevel=5, typesize=8, nthreads=1,
        filters=[blosc2.Filter.SHUFFLE],
    )  # fmt: skip
    return packed
