"""Hours of Dukascopy: addresses, records, and files that are none."""

import lzma
import struct
from datetime import UTC, datetime

import numpy as np
import pytest

from core.errors import BadInput
from market.dukascopy import HOUR_NS, decode, hours, path_of, points

HOUR = int(datetime(2020, 1, 15, 13, tzinfo=UTC).timestamp()) * 10**9
Row = tuple[int, int, int, float, float]
ROWS: list[Row] = [
    (0, 110_012, 110_000, 1.5, 0.75),
    (7, 110_013, 110_001, 0.1, 0.2),
    (7, 110_013, 110_001, 0.1, 0.2),
    (3_599_999, 110_020, 110_005, 2.0, 3.0),
]


def packed(rows: list[Row]) -> bytes:
    body = b"".join(struct.pack(">IIIff", *row) for row in rows)
    return lzma.compress(body, lzma.FORMAT_ALONE)


def as_csv(rows: list[Row], hour_ns: int = HOUR) -> bytes:
    lines = ["Gmt time,Ask,Bid,AskVolume,BidVolume"]
    for ms, ask, bid, ask_volume, bid_volume in rows:
        at = datetime.fromtimestamp(hour_ns // 10**9 + ms // 1_000, UTC)
        stamp = f"{at:%d.%m.%Y %H:%M:%S}.{ms % 1_000:03}"
        lines.append(f"{stamp},{ask / 1e5:.5f},{bid / 1e5:.5f},{ask_volume},{bid_volume}")
    return ("\n".join(lines) + "\n").encode()


def test_records_and_csv_are_the_same_ticks_as_were_written() -> None:
    found = decode(packed(ROWS), "EURUSD", HOUR, "bi5")
    assert found.ts.tolist() == [HOUR + row[0] * 1_000_000 for row in ROWS]
    assert found.ask.tolist() == [row[1] / 1e5 for row in ROWS]
    assert found.bid.tolist() == [1.10000, 1.10001, 1.10001, 1.10005]
    assert found.volume.tolist() == [2.25, 0.3, 0.3, 5.0]
    assert not found.span.any()
    text = decode(as_csv(ROWS), "EURUSD", HOUR, "csv")
    for name in ("ts", "bid", "ask", "volume", "open", "high", "low"):
        assert np.array_equal(getattr(text, name), getattr(found, name)), name


def test_addresses_count_months_from_zero() -> None:
    assert path_of("EURUSD", HOUR, "bi5") == "EURUSD/2020/00/15/13h_ticks.bi5"
    december = int(datetime(2021, 12, 31, 0, tzinfo=UTC).timestamp()) * 10**9
    assert path_of("USDJPY", december, "csv") == "USDJPY/2021/11/31/00h_ticks.csv"
    assert (points("EURUSD"), points("USDJPY"), points("XAUUSD")) == (1e5, 1e3, 1e3)


def test_a_week_has_119_hours_of_trading() -> None:
    monday = int(datetime(2020, 1, 13, tzinfo=UTC).timestamp()) * 10**9
    found = list(hours(monday, monday + 7 * 24 * HOUR_NS))
    assert len(found) == 7 * 24 - 47
    stamps = [datetime.fromtimestamp(ns // 10**9, UTC) for ns in found]
    assert max(one for one in stamps if one.weekday() == 4).hour == 21
    assert not [one for one in stamps if one.weekday() == 5]
    assert min(one for one in stamps if one.weekday() == 6).hour == 21
    assert list(hours(monday + 5, monday + 6)) == [monday]
    assert list(hours(monday, monday)) == []


@pytest.mark.parametrize("kind", ["bi5", "csv"])
def test_an_hour_without_ticks_is_empty(kind) -> None:
    assert len(decode(b"", "EURUSD", HOUR, kind)) == 0


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"<html>not found</html>", "damaged"),
        (packed(ROWS)[:-9], "damaged|cut off"),
        (lzma.compress(bytes(21), lzma.FORMAT_ALONE), "cut off"),
        (packed([(1, 100, 200, 1.0, 1.0)]), "no tick"),
        (packed([(1, 100, 0, 1.0, 1.0)]), "no tick"),
        (packed([(1, 110, 100, float("nan"), 1.0)]), "no tick"),
        (packed(ROWS[::-1]), "order"),
        (packed([(3_600_000, 110, 100, 1.0, 1.0)]), "that hour"),
    ],
)
def test_files_that_are_none_are_refused_by_name(data: bytes, cause: str) -> None:
    with pytest.raises(BadInput, match=cause):
        decode(data, "EURUSD", HOUR, "bi5")


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b"Gmt time,Ask\n1,2\n",
        as_csv(ROWS)[:-30] + b",,",
        "Ünd".encode(),
        as_csv(ROWS, 0),
    ],
)
def test_csv_that_is_none_is_refused(data: bytes) -> None:
    if data == b"<html>":
        assert len(decode(data, "EURUSD", HOUR, "csv")) == 0  # one line: a header without rows
        return
    with pytest.raises(BadInput):
        decode(data, "EURUSD", HOUR, "csv")
