"""Histories in requests: quotes as columns."""

import msgspec

from core.columns import QuoteColumns
from core.errors import BadInput
from features.history import bars_of, ticks_of

# Digits of eight columns with their commas, and the rest of a request.
_BYTES_OF_QUOTE, _BYTES_BESIDE = 160, 4_096


class HistoryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Quotes of one symbol in time order, a list for each column.

    `ts` in ns UTC, prices in quote currency. With `span_ns` each quote stands for the time that
    ends with it, as a minute bar does, and `open`, `high` and `low` are mids over it.
    """

    ts: list[int]
    bid: list[float]
    ask: list[float]
    volume: list[float] | None = None
    span_ns: int = 0
    open: list[float] | None = None
    high: list[float] | None = None
    low: list[float] | None = None


def columns_of(body: HistoryBody, most: int) -> QuoteColumns:
    """Check a history and make columns of it; raises BadInput, which names what is wrong."""
    given = [getattr(body, name) is not None for name in ("open", "high", "low")]
    if not body.span_ns and not any(given):
        return ticks_of(body.ts, body.bid, body.ask, body.volume, most)
    if not body.span_ns or body.open is None or body.high is None or body.low is None:
        raise BadInput("history.span_ns, open, high and low go together: bars have all, ticks none")
    ohl = (body.open, body.high, body.low)
    return bars_of(body.ts, body.bid, body.ask, body.volume, ohl, body.span_ns, most)


def most_bytes(quotes: int) -> int:
    """Bytes that a request with a history of so many quotes may have."""
    return _BYTES_BESIDE + _BYTES_OF_QUOTE * quotes
