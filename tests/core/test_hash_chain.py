"""The chain: what was written comes back, and no changed byte goes unseen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.hash_chain import GENESIS, BrokenRecord, decode, encode

payloads = st.lists(st.binary(max_size=64), min_size=1, max_size=8)


def chain_of(parts: list[bytes]) -> bytes:
    frames, previous = [], GENESIS
    for part in parts:
        frame, previous = encode(previous, part)
        frames.append(frame)
    return b"".join(frames)


def whole_records(raw: bytes) -> tuple[list[bytes], BrokenRecord | None]:
    kept: list[bytes] = []
    try:
        for record in decode(raw):
            kept.append(record.payload)  # noqa: PERF401 - what came before the error counts
    except BrokenRecord as error:
        return kept, error
    return kept, None


@given(payloads)
def test_round_trip(parts: list[bytes]) -> None:
    assert [record.payload for record in decode(chain_of(parts))] == parts


@given(payloads, st.data())
def test_any_flipped_bit_is_seen(parts: list[bytes], data: st.DataObject) -> None:
    raw = bytearray(chain_of(parts))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BrokenRecord):
        list(decode(bytes(raw)))


@given(payloads, st.data())
def test_any_cut_is_torn_and_keeps_whole_records(parts: list[bytes], data: st.DataObject) -> None:
    raw = chain_of(parts)
    cut = data.draw(st.integers(0, len(raw)))
    kept, broken = whole_records(raw[:cut])
    assert kept == parts[: len(kept)]
    assert broken is None or broken.torn


def test_a_removed_record_breaks_the_chain() -> None:
    first, link_one = encode(GENESIS, b"one")
    second, link_two = encode(link_one, b"two")
    third, _ = encode(link_two, b"three")
    assert second
    with pytest.raises(BrokenRecord, match="hash chain"):
        list(decode(first + third))
