"""Sessions and the calendar, from the time alone.

Hours are local: Tokyo 9 to 18 (UTC+9 all year), London 8 to 17 and New York 8 to 17 with daylight
saving by the rules in force since 1996 (London: last Sunday of March to last Sunday of October, at
01:00 UTC) and 2007 (New York: second Sunday of March to first Sunday of November, at 2:00 local).
Civil dates from days: Hinnant, "chrono-compatible low-level date algorithms".
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

F4 = NDArray[np.float32]

_HOUR_NS = 3_600_000_000_000
_DAY_NS = 24 * _HOUR_NS


@njit(forceinline=True)
def _civil(day: int) -> tuple[int, int, int]:
    """Year, month and day of month of a day since 1970-01-01."""
    z = day + 719_468
    era = z // 146_097
    doe = z - era * 146_097
    yoe = (doe - doe // 1_460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (1 if month <= 2 else 0), month, doy - (153 * mp + 2) // 5 + 1


@njit(forceinline=True)
def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of a civil date."""
    y = year - (1 if month <= 2 else 0)
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719_468


@njit(forceinline=True)
def _weekday(day: int) -> int:
    """Monday is 0; 1970-01-01 was a Thursday."""
    return (day + 3) % 7


@njit(forceinline=True)
def _sunday_from(day: int) -> int:
    """First Sunday on or after `day`."""
    return day + (6 - _weekday(day)) % 7


@njit(forceinline=True)
def london_summer(ts: int, year: int) -> bool:
    """Whether London is an hour ahead of UTC."""
    begin = _sunday_from(_days(year, 3, 25)) * _DAY_NS + _HOUR_NS
    end = _sunday_from(_days(year, 10, 25)) * _DAY_NS + _HOUR_NS
    return begin <= ts < end


@njit(forceinline=True)
def new_york_summer(ts: int, year: int) -> bool:
    """Whether New York is four hours behind UTC and not five."""
    begin = _sunday_from(_days(year, 3, 8)) * _DAY_NS + 7 * _HOUR_NS
    end = _sunday_from(_days(year, 11, 1)) * _DAY_NS + 6 * _HOUR_NS
    return begin <= ts < end


@njit(forceinline=True)
def _open(local: int, first_hour: int, end_hour: int) -> float:
    hour = (local % _DAY_NS) // _HOUR_NS
    workday = _weekday(local // _DAY_NS) < 5
    return 1.0 if workday and first_hour <= hour < end_hour else 0.0


@njit(forceinline=True)
def session_block(ts: int, row: F4, at: int) -> None:
    """Open sessions, hours since the day's roll in New York, days left in the month."""
    day = ts // _DAY_NS
    year, month, _ = _civil(day)
    new_york = ts - (4 if new_york_summer(ts, year) else 5) * _HOUR_NS
    london = ts + (_HOUR_NS if london_summer(ts, year) else 0)
    row[at] = _open(ts + 9 * _HOUR_NS, 9, 18)
    row[at + 1] = _open(london, 8, 17)
    row[at + 2] = _open(new_york, 8, 17)
    row[at + 3] = ((new_york - 17 * _HOUR_NS) % _DAY_NS) / _HOUR_NS
    following = _days(year + 1, 1, 1) if month == 12 else _days(year, month + 1, 1)
    row[at + 4] = float(following - 1 - day)
