"""Arrow columns to ns and float64, from typed columns and from strings that may hold anything."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from market.loaders.layout import Layout
from market.loaders.stamps import BAD_STAMP, StampKind, compact_width, from_compact, from_epoch

F8 = NDArray[np.float64]
I8 = NDArray[np.int64]

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(inf|infinity|Inf|Infinity|INF)$"


def stamp_type(layout: Layout) -> Any:
    """Arrow type in which the CSV engine reads the stamps of a layout."""
    if layout.stamp is StampKind.EPOCH:
        return pa.int64()
    if layout.stamp is StampKind.ISO_ZONED:
        return pa.timestamp("ns", "UTC")
    if layout.stamp is StampKind.ISO_NAIVE:
        return pa.timestamp("ns")
    return pa.binary(compact_width(layout.stamp))


def typed_stamps(column: Any, layout: Layout) -> I8:
    """Stamps that the engine read, as ns UTC; `BAD_STAMP` where it read none."""
    if layout.stamp is StampKind.EPOCH:
        return from_epoch(column.fill_null(0).to_numpy(), layout.unit_ns)
    if layout.stamp in (StampKind.ISO_ZONED, StampKind.ISO_NAIVE):
        return stamp_bits(column)
    width = compact_width(layout.stamp)
    parts = [_compact_part(chunk, width, layout) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _compact_part(chunk: Any, width: int, layout: Layout) -> I8:
    if chunk.null_count:
        chunk = chunk.fill_null(b" " * width)
    flat = np.frombuffer(chunk.buffers()[1], np.uint8)
    text = flat[chunk.offset * width : (chunk.offset + len(chunk)) * width].reshape(-1, width)
    return from_compact(text, layout.stamp, layout.utc_offset_hours)


def parsed_stamps(column: Any, layout: Layout) -> I8:
    """Stamps from strings; what is no stamp becomes `BAD_STAMP`."""
    column = pc.ascii_trim_whitespace(column)
    fits = pc.match_substring_regex(column, f"^({layout.stamp.value})$")
    fitting = pc.if_else(fits, column, pa.scalar(None, pa.string()))
    if layout.stamp in (StampKind.COMPACT, StampKind.COMPACT_COLONS):
        width = compact_width(layout.stamp)
        filled = fitting.fill_null(" " * width).cast(pa.binary()).cast(pa.binary(width))
        return typed_stamps(filled, layout)
    return typed_stamps(_cast_or_null(fitting, stamp_type(layout)), layout)


def parsed_floats(column: Any, role: str) -> F8:
    """Numbers from strings; what is no number becomes NaN, an empty volume 0."""
    column = pc.ascii_trim_whitespace(column)
    fits = pc.match_substring_regex(column, _NUMBER)
    numbers = pc.if_else(fits, column, pa.scalar(None, pa.string())).cast(pa.float64())
    if role == "volume":
        numbers = pc.if_else(column.is_null(), 0.0, numbers)
    return floats(numbers)


def _cast_or_null(column: Any, to: Any) -> Any:
    """Cast strings that look right; halve what fails until the culprits stand alone."""
    try:
        return pa.chunked_array([chunk.cast(to) for chunk in column.chunks], to)
    except pa.ArrowInvalid:
        if len(column) == 1:
            return pa.chunked_array([pa.nulls(1, to)])
    middle = len(column) // 2
    halves = (_cast_or_null(column[:middle], to), _cast_or_null(column[middle:], to))
    return pa.chunked_array([chunk for half in halves for chunk in half.chunks], to)


def stamp_bits(column: Any) -> I8:
    """Arrow timestamps as ns UTC; null and what lies before 1970 become `BAD_STAMP`."""
    stamps: NDArray[np.datetime64] = column.to_numpy()
    bits = stamps.astype("M8[ns]").view(np.int64)
    return np.where(bits > 0, bits, BAD_STAMP)


def floats(column: Any) -> F8:
    """Arrow numbers as float64, null as NaN."""
    values: F8 = column.to_numpy()
    return values.astype(np.float64)
