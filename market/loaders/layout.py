"""Which format a file has, told from its head.

=========  =====================================================  ===============  ==========
format     record                                                 stamp            price
=========  =====================================================  ===============  ==========
histdata   ``20200101 170000065,bid,ask,volume``, no header       fixed EST (-5)   bid, ask
truefx     ``EUR/USD,20130101 22:00:00.295,bid,ask``, no header,  UTC              bid, ask
           or header ``timestamp,bid,ask`` with zoned stamps
fxcm       ``timestamp,open,high,low,close``, a bid file and an   UTC, bar open    bid | ask
           ask file (told by their names)
bars       time, open, high, low, close[, volume]                 UTC, bar open    mid
csv        ts | timestamp | time, bid, ask[, volume]              UTC, ISO, epoch  bid, ask
parquet    the columns of csv [, span, open, high, low]           UTC              bid, ask
=========  =====================================================  ===============  ==========

An ISO stamp without a zone is UTC.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from core.errors import BadInput
from market.loaders.stamps import StampKind, epoch_unit_ns

TIME_NAMES = ("ts", "timestamp", "time", "date", "datetime", "")
_HEAD_BYTES = 1 << 16
_PROBED_LINES = 20
_HISTDATA = re.compile(r"\d{8} \d{9}([,;])[^,;]*\1[^,;]*(\1[^,;]*)?$")
_TRUEFX = re.compile(r"[A-Z]{3}/[A-Z]{3},\d{8} \d\d:\d\d:\d\d\.\d{3},[^,]*,[^,]*$")
_PRICE_SIDE = re.compile(r"(?<![A-Za-z])(bid|ask)(?![A-Za-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the values stand in a text file.

    Attributes
    ----------
    format : str
        Name of the format.
    delimiter : str
        Between the fields.
    width : int
        Fields of a record.
    header_lines : int
        Lines before the first record.
    stamp : StampKind
        How time is written.
    stamp_column : int
        Field of the time stamp.
    values : dict
        Role ("bid", "ask", "volume", "open", "high", "low", "close") to field.
    utc_offset_hours : int
        Zone of the stamps.
    unit_ns : int
        Unit of an epoch stamp.
    quoted : bool
        Whether fields may be quoted.
    symbol_column : int, optional
        Field that names the instrument.
    """

    format: str
    delimiter: str
    width: int
    header_lines: int
    stamp: StampKind
    stamp_column: int
    values: dict[str, int]
    utc_offset_hours: int = 0
    unit_ns: int = 1
    quoted: bool = False
    symbol_column: int | None = None


def price_side(path: Path) -> str | None:
    """Side that the file name states ("bid" or "ask"), or None."""
    found = _PRICE_SIDE.search(path.name)
    return found.group(1).lower() if found else None


def is_parquet(path: Path) -> bool:
    """Whether the file begins as Parquet files do."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def detect(path: Path) -> Layout:
    """Tell the layout of a text file.

    Raises
    ------
    BadInput
        When the file is empty, is no text, or has no known format.
    """
    lines, header_lines = _head_lines(path)
    first = lines[0]
    if found := _majority(_HISTDATA, lines):
        return _histdata(found)
    if _majority(_TRUEFX, lines):
        values = {"bid": 2, "ask": 3}
        stamp = StampKind.COMPACT_COLONS
        return Layout("truefx", ",", 4, 0, stamp, 1, values, symbol_column=0)
    delimiter = max(",;\t", key=first.count)
    names = _names(first, delimiter)
    if {"bid", "ask"} <= set(names):
        return _from_header(path, lines, header_lines, delimiter, ("bid", "ask", "volume"))
    if {"open", "high", "low", "close"} <= set(names):
        roles = ("open", "high", "low", "close", "volume")
        return _from_header(path, lines, header_lines, delimiter, roles)
    raise BadInput(
        f"{path.name} has no known format (histdata, truefx, fxcm, bars, csv or parquet); "
        f"it begins with {first[:60]!r}"
    )


def _head_lines(path: Path) -> tuple[list[str], int]:
    """First lines that are not blank, and the number of the first of them."""
    try:
        with pa.input_stream(path, compression="detect") as stream:
            head: bytes = stream.read(_HEAD_BYTES)
    except OSError as error:
        raise BadInput(f"{path.name} cannot be read: {error}") from None
    if not head.strip():
        raise BadInput(f"{path.name} is empty")
    if b"\0" in head:
        raise BadInput(f"{path.name} is neither text nor Parquet")
    text = head.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    lines = [line.rstrip("\r") for line in text.split("\n")]
    blank = next(at for at, line in enumerate(lines) if line.strip())
    return [line for line in lines if line.strip()][: _PROBED_LINES + 1], blank + 1


def _majority(pattern: re.Pattern[str], lines: list[str]) -> re.Match[str] | None:
    matches = [match for line in lines if (match := pattern.match(line))]
    return matches[0] if 2 * len(matches) > len(lines) else None


def _histdata(example: re.Match[str]) -> Layout:
    delimiter = example.group(1)
    width = example.group(0).count(delimiter) + 1
    values = {"bid": 1, "ask": 2} | ({"volume": 3} if width == 4 else {})
    return Layout("histdata", delimiter, width, 0, StampKind.COMPACT, 0, values, -5)


def _names(header: str, delimiter: str) -> list[str]:
    return [name.strip().strip('"').lower() for name in header.split(delimiter)]


def _from_header(
    path: Path, lines: list[str], header_lines: int, delimiter: str, roles: tuple[str, ...]
) -> Layout:
    names = _names(lines[0], delimiter)
    times = [names.index(name) for name in TIME_NAMES if name in names]
    if not times:
        raise BadInput(f"{path.name} has no time column (ts, timestamp or time)")
    if len(lines) == 1:
        raise BadInput(f"{path.name} has a header and no rows")
    stamp, example = _stamp_of(path, lines[1:], delimiter, times[0])
    return Layout(
        format=_header_format(path, names, stamp),
        delimiter=delimiter,
        width=len(names),
        header_lines=header_lines,
        stamp=stamp,
        stamp_column=times[0],
        values={role: names.index(role) for role in roles if role in names},
        unit_ns=epoch_unit_ns(example) if stamp is StampKind.EPOCH else 1,
        quoted=any('"' in line for line in lines),
    )


def _header_format(path: Path, names: list[str], stamp: StampKind) -> str:
    if "close" in names and "bid" not in names:
        return "fxcm" if price_side(path) else "bars"
    zoned = stamp is StampKind.ISO_ZONED
    return "truefx" if names == ["timestamp", "bid", "ask"] and zoned else "csv"


def _stamp_of(path: Path, lines: list[str], delimiter: str, column: int) -> tuple[StampKind, str]:
    for line in lines:
        field = (line.split(delimiter) + [""] * column)[column].strip().strip('"')
        for kind in StampKind:
            if re.fullmatch(kind.value, field):
                return kind, field
    raise BadInput(f"{path.name} has a time column that cannot be read: {lines[0][:60]!r}")
