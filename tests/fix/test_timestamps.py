"""Times cross the wire to the nanosecond; nothing that only looks like a time gets in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput
from fix import timestamps

times = st.integers(0, 4_102_444_799_999_999_999)


@given(times)
def test_round_trip(ns: int) -> None:
    assert timestamps.decode(timestamps.encode_ns(ns)) == ns
    assert timestamps.decode(timestamps.encode_ms(ns)) == ns - ns % 1_000_000


def test_known_time() -> None:
    assert timestamps.encode_ns(1_700_000_000_000_000_001) == b"20231114-22:13:20.000000001"
    assert timestamps.decode(b"20231114-22:13:20") == 1_700_000_000_000_000_000
    assert timestamps.decode(b"20231114-22:13:20.5") == 1_700_000_000_500_000_000


@pytest.mark.parametrize(
    "text",
    [
        b"", b"20231114", b"20231314-22:13:20", b"20231114-25:13:20", b"2023111-22:13:20.0",
        b"20231114-22:13:20.", b"20231114-22:13:20.0000000001", b"20231114 22:13:20",
        b"20231114-22:13:20.-1", b"20231114-22:13:20,5", b"\xff" * 17,
    ],
)  # fmt: skip
def test_other_texts_are_refused(text: bytes) -> None:
    with pytest.raises(BadInput):
        timestamps.decode(text)
