"""Dukascopy's tick archives: one file an hour, as LZMA of 20-byte records or as CSV.

A record is big-endian: ms since the hour, ask and bid in points, ask and bid volume in millions.
Months count from 0 in an address: ``EURUSD/2020/00/15/13h_ticks.bi5`` is the 15th of January. An
hour without ticks is an empty file, or none at all.
"""

import csv
import io
import lzma
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from core.columns import QuoteColumns, from_ticks
from core.errors import BadInput

Format = Literal["bi5", "csv"]
HOUR_NS = 3_600_000_000_000
_MOST_BYTES = 200_000_000
_RECORD = np.dtype(
    [("ms", ">u4"), ("ask", ">u4"), ("bid", ">u4"), ("ask_volume", ">f4"), ("bid_volume", ">f4")]
)
_CSV = ("Gmt time", "Ask", "Bid", "AskVolume", "BidVolume")
_STAMP = "%d.%m.%Y %H:%M:%S.%f"


def hours(start_ns: int, end_ns: int) -> Iterator[int]:
    """Yield the beginnings of the UTC hours from `start_ns` until before `end_ns`, ns.

    From Friday 22:00 to Sunday 21:00 UTC no market is open; those hours are left out.
    """
    for hour in range(start_ns // HOUR_NS, -(-end_ns // HOUR_NS)):
        of_week = (hour + 72) % 168  # the epoch was a Thursday; 0 is Monday 00:00
        if not 4 * 24 + 22 <= of_week < 6 * 24 + 21:
            yield hour * HOUR_NS


def path_of(symbol: str, hour_ns: int, kind: Format) -> str:
    """Return the path of an hour below the archive's root."""
    at = datetime.fromtimestamp(hour_ns // 10**9, UTC)
    return f"{symbol}/{at.year:04}/{at.month - 1:02}/{at.day:02}/{at.hour:02}h_ticks.{kind}"


def decode(data: bytes, symbol: str, hour_ns: int, kind: Format) -> QuoteColumns:
    """Read the file of one hour.

    Returns
    -------
    QuoteColumns
        Ticks by time; volume is that of both sides, in millions of units, to six decimals.

    Raises
    ------
    BadInput
        When the file is damaged, or holds what cannot be a tick of that hour.
    """
    if not data:
        return from_ticks(np.empty(0, np.int64), np.empty(0), np.empty(0))
    found = _binary(data, symbol, hour_ns) if kind == "bi5" else _text(data)
    _check(found, hour_ns, path_of(symbol, hour_ns, kind))
    return found


def points(symbol: str) -> float:
    """Points in one unit of price: three decimals for the yen, rouble and metals, else five."""
    return 1e3 if symbol[3:6] in {"JPY", "RUB"} or symbol[:3] in {"XAU", "XAG"} else 1e5


def _binary(data: bytes, symbol: str, hour_ns: int) -> QuoteColumns:
    name = path_of(symbol, hour_ns, "bi5")
    unpacker = lzma.LZMADecompressor()
    try:
        body = unpacker.decompress(data, _MOST_BYTES)
    except lzma.LZMAError as error:
        raise BadInput(f"{name} is damaged: {error}") from None
    if not unpacker.eof or len(body) % _RECORD.itemsize:
        raise BadInput(f"{name} is cut off or too large")
    rows = np.frombuffer(body, _RECORD)
    scale = points(symbol)
    volume = rows["ask_volume"].astype(np.float64) + rows["bid_volume"].astype(np.float64)
    ts = hour_ns + rows["ms"].astype(np.int64) * 1_000_000
    return from_ticks(ts, rows["bid"] / scale, rows["ask"] / scale, np.round(volume, 6))


def _text(data: bytes) -> QuoteColumns:
    try:
        rows = list(csv.DictReader(io.StringIO(data.decode("ascii")), strict=True))
        stamps = [datetime.strptime(row[_CSV[0]], _STAMP).replace(tzinfo=UTC) for row in rows]
        ask, bid, ask_volume, bid_volume = (
            np.array([float(row[name]) for row in rows]) for name in _CSV[1:]
        )
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise BadInput(f"no CSV of Dukascopy ({', '.join(_CSV)}): {error}") from None
    epoch = datetime.fromtimestamp(0, UTC)
    spans = [stamp - epoch for stamp in stamps]
    ts = [(one.days * 86_400 + one.seconds) * 10**9 + one.microseconds * 1_000 for one in spans]
    return from_ticks(np.array(ts, np.int64), bid, ask, np.round(ask_volume + bid_volume, 6))


def _check(rows: QuoteColumns, hour_ns: int, name: str) -> None:
    if len(rows) == 0:
        return
    sound = (rows.bid > 0) & (rows.bid <= rows.ask) & np.isfinite(rows.ask) & (rows.volume >= 0)
    if not bool(sound.all()):
        raise BadInput(f"{name}: row {int(np.argmin(sound))} is no tick: prices or volume")
    inside = rows.ts[0] >= hour_ns and rows.ts[-1] < hour_ns + HOUR_NS
    if not inside or bool((np.diff(rows.ts) < 0).any()):
        raise BadInput(f"{name}: stamps are not in order or not of that hour")
