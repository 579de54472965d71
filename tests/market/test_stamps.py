from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.loaders.stamps import BAD_STAMP, StampKind, epoch_unit_ns, from_compact, from_epoch

MOMENTS = st.datetimes(datetime(1971, 1, 2), datetime(2199, 12, 30))  # noqa: DTZ001


def as_bytes(texts: list[str]) -> np.ndarray:
    return np.frombuffer("".join(texts).encode(), np.uint8).reshape(len(texts), -1)


@given(st.lists(MOMENTS, min_size=1, max_size=20), st.sampled_from([0, -5]))
def test_compact_stamps_agree_with_the_standard_library(
    moments: list[datetime], offset: int
) -> None:
    zone = timedelta(hours=offset)
    for kind, pattern in (
        (StampKind.COMPACT, "%Y%m%d %H%M%S"),
        (StampKind.COMPACT_COLONS, "%Y%m%d %H:%M:%S."),
    ):
        texts = [f"{m:{pattern}}{m.microsecond // 1000:03d}" for m in moments]
        expected = [
            (m.replace(microsecond=m.microsecond // 1000 * 1000, tzinfo=UTC) - zone).timestamp()
            for m in moments
        ]
        got = from_compact(as_bytes(texts), kind, offset)
        assert got / 1e9 == pytest.approx(expected, abs=1e-6)
        assert (got % 1_000_000 == 0).all()


@pytest.mark.parametrize(
    "text",
    [
        "20190229 170000000",
        "20200001 170000000",
        "20201301 170000000",
        "20200100 170000000",
        "20200101 240000000",
        "20200101 176000000",
        "20200101 170060000",
        "2020010x 170000000",
        "00000101 170000000",
        "                  ",
    ],
)
def test_what_is_no_date_is_no_stamp(text: str) -> None:
    assert from_compact(as_bytes([text]), StampKind.COMPACT, -5).tolist() == [BAD_STAMP]


@given(st.integers(1_000_000_000, 4_000_000_000))
def test_the_unit_of_an_epoch_is_told_by_its_size(secs: int) -> None:
    for unit in (1_000_000_000, 1_000_000, 1_000, 1):
        count = secs * (1_000_000_000 // unit)
        assert epoch_unit_ns(str(count)) == unit
        assert from_epoch(np.array([count]), unit).tolist() == [secs * 1_000_000_000]


def test_implausible_epochs_are_no_stamps() -> None:
    counts = np.array([0, -5, 12, 2**62])
    assert (from_epoch(counts, 1_000_000_000) == BAD_STAMP).all()
