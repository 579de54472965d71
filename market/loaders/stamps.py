"""Time stamps of the formats to ns UTC."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

I8 = NDArray[np.int64]

BAD_STAMP = np.iinfo(np.int64).min
"""Stands for a stamp that could not be read (the bits of NaT)."""

SECOND_NS = 1_000_000_000
MIN_NS = 31_536_000 * SECOND_NS  # 1971: a smaller number is no date but a count or a price
MAX_NS = 7_258_118_400 * SECOND_NS  # 2200

_CHUNK = 1 << 16  # rows whose digits fit in the cache
_DATE_AT = (0, 1, 2, 3, 4, 5, 6, 7)


class StampKind(Enum):
    """How a format writes time; `value` is the pattern that tells it."""

    EPOCH = r"\d{9,19}"
    ISO_ZONED = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)"
    ISO_NAIVE = r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?"
    COMPACT = r"\d{8} \d{9}"  # HistData: 20200101 170000065
    COMPACT_COLONS = r"\d{8} \d\d:\d\d:\d\d\.\d{3}"  # TrueFX: 20130101 22:00:00.295


_WIDTHS = {StampKind.COMPACT: 18, StampKind.COMPACT_COLONS: 21}
_TIME_AT = {
    StampKind.COMPACT: (9, 10, 11, 12, 13, 14, 15, 16, 17),
    StampKind.COMPACT_COLONS: (9, 10, 12, 13, 15, 16, 18, 19, 20),
}


def compact_width(kind: StampKind) -> int:
    """Characters of a compact stamp."""
    return _WIDTHS[kind]


def epoch_unit_ns(example: str) -> int:
    """Ns per unit of an epoch stamp, told by its size: seconds, ms, us or ns."""
    digits = len(example)
    for limit, unit in ((11, SECOND_NS), (14, 1_000_000), (17, 1_000)):
        if digits <= limit:
            return unit
    return 1


def from_epoch(values: I8, unit_ns: int) -> I8:
    """Epoch counts to ns; what lies outside 1971..2200 becomes `BAD_STAMP`."""
    plausible = (values >= MIN_NS // unit_ns) & (values <= MAX_NS // unit_ns)
    return np.where(plausible, values, 0) * unit_ns + np.where(plausible, 0, BAD_STAMP)


def from_compact(text: NDArray[np.uint8], kind: StampKind, utc_offset_hours: int) -> I8:
    """Compact stamps to ns UTC.

    Parameters
    ----------
    text : uint8[n, width]
        Characters of the stamps.
    kind : StampKind
        COMPACT or COMPACT_COLONS.
    utc_offset_hours : int
        Zone of the stamps; HistData has a fixed -5, without daylight saving.

    Returns
    -------
    int64[n]
        ns UTC; `BAD_STAMP` where the text is no date.
    """
    out = np.empty(len(text), np.int64)
    for first in range(0, len(text), _CHUNK):
        part = text[first : first + _CHUNK]
        out[first : first + _CHUNK] = _compact_chunk(part, kind)
    out[out != BAD_STAMP] -= utc_offset_hours * 3_600 * SECOND_NS
    return out


def _compact_chunk(text: NDArray[np.uint8], kind: StampKind) -> I8:
    columns = (*_DATE_AT, *_TIME_AT[kind])
    digits = text.T[list(columns)].astype(np.int64) - ord("0")
    sound = ((digits >= 0) & (digits <= 9)).all(axis=0)
    year = _number(digits[0:4])
    month = _number(digits[4:6])
    day = _number(digits[6:8])
    hour, minute, second = (_number(digits[at : at + 2]) for at in (8, 10, 12))
    sound &= (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 60)
    months = (np.where(sound, year, 1970) - 1970) * 12 + np.where(sound, month, 1) - 1
    first_day = months.astype("M8[M]").astype("M8[D]").astype(np.int64)
    next_first_day = (months + 1).astype("M8[M]").astype("M8[D]").astype(np.int64)
    sound &= (day >= 1) & (day <= next_first_day - first_day)
    secs = ((first_day + day - 1) * 24 + hour) * 3_600 + minute * 60 + second
    ns = secs * SECOND_NS + _number(digits[14:17]) * 1_000_000
    result: I8 = np.where(
        sound & (secs * 1.0e9 >= MIN_NS) & (secs * 1.0e9 <= MAX_NS), ns, BAD_STAMP
    )
    return result


def _number(digits: NDArray[np.int64]) -> I8:
    total: I8 = digits[0]
    for digit in digits[1:]:
        total = total * 10 + digit
    return total
