"""Trading week and day of spot FX and metals, which turn at 17:00 New York time."""

from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

_HOUR_NS = 3_600_000_000_000
_WEEK = timedelta(days=7)
_TO_FRIDAY = timedelta(days=5)


class Week(NamedTuple):
    """One trading week as ``open_ns <= ts < close_ns``, ns UTC."""

    open_ns: int
    close_ns: int

    def contains(self, ts_ns: int) -> bool:
        """Say whether the market is open at `ts_ns`."""
        return self.open_ns <= ts_ns < self.close_ns


def week_of(ts_ns: int) -> Week:
    """Return the week that `ts_ns` lies in, or the one before when the market is closed then."""
    today = datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).date()
    sunday = today - timedelta(days=(today.weekday() + 1) % 7)
    week = _week_from(sunday)
    return week if ts_ns >= week.open_ns else _week_from(sunday - _WEEK)


def day_end(ts_ns: int) -> int:
    """Return the first 17:00 New York after `ts_ns`, ns UTC."""
    today = datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).date()
    ends = _new_york_17(today)
    return ends if ends > ts_ns else _new_york_17(today + timedelta(days=1))


def _week_from(sunday: date) -> Week:
    return Week(_new_york_17(sunday), _new_york_17(sunday + _TO_FRIDAY))


def _new_york_17(day: date) -> int:
    """17:00 New York as ns UTC, by the rule of the Energy Policy Act since 2007."""
    start = _nth_sunday(day.year, 3, 2)
    end = _nth_sunday(day.year, 11, 1)
    hours = 21 if start <= day < end else 22
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(midnight.timestamp()) * 1_000_000_000 + hours * _HOUR_NS


def _nth_sunday(year: int, month: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (nth - 1))
