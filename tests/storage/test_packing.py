import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from storage.packing import MOST_BYTES, PLAIN, ZSTD, pack, unpack


@given(st.binary(max_size=2_000), st.integers(0, 2_000))
def test_what_is_packed_comes_back(data: bytes, limit: int) -> None:
    assert unpack(pack(data, limit)) == data


def test_only_large_values_that_shrink_are_compressed() -> None:
    assert pack(b"a" * 99, 100)[:1] == PLAIN
    assert pack(b"a" * 100, 100)[:1] == ZSTD
    assert len(pack(b"a" * 10_000, 100)) < 100
    assert pack(bytes(range(256)), 100)[:1] == PLAIN


@given(st.binary(max_size=300))
def test_damaged_bytes_are_an_error_that_the_caller_knows(data: bytes) -> None:
    for packed in (data, ZSTD + data, pack(b"a" * 500, 1)[:-3] + data[:2]):
        try:
            unpack(packed)
        except ValueError:
            continue


def test_a_claim_of_a_huge_size_is_not_believed() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(MOST_BYTES + 1))
    with pytest.raises(ValueError, match="size"):
        unpack(ZSTD + bomb)
