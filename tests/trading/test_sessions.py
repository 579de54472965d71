from datetime import UTC, datetime

import pytest

from trading.sessions import week_of


def ns(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("inside", "opens", "closes"),
    [
        ("2024-01-10 12:00", "2024-01-07 22:00", "2024-01-12 22:00"),
        ("2024-07-10 12:00", "2024-07-07 21:00", "2024-07-12 21:00"),
        ("2024-03-08 21:30", "2024-03-03 22:00", "2024-03-08 22:00"),
        ("2024-03-10 21:00", "2024-03-10 21:00", "2024-03-15 21:00"),
        ("2024-11-03 22:00", "2024-11-03 22:00", "2024-11-08 22:00"),
    ],
)
def test_weeks_follow_new_york_summer_time(inside, opens, closes):
    week = week_of(ns(inside))
    assert week == (ns(opens), ns(closes))
    assert week.contains(ns(inside))


@pytest.mark.parametrize(
    "shut", ["2024-01-12 22:00", "2024-01-13 12:00", "2024-01-14 21:59", "2024-07-12 21:00"]
)
def test_closed_between_friday_and_sunday(shut):
    assert not week_of(ns(shut)).contains(ns(shut))
