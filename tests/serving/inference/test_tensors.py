"""Tensors on the wire: what goes in comes out, and what is wrong is named."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core.errors import BadInput
from serving.inference.tensors import DTYPES, NAMES, read_request, write_response

ARRAYS = st.sampled_from(sorted(DTYPES)).flatmap(
    lambda name: hnp.arrays(DTYPES[name], hnp.array_shapes(max_dims=3, max_side=4))
)


def request(*inputs: dict[str, Any], tail: bytes = b"", **more: Any) -> tuple[bytes, int]:
    head = json.dumps({"inputs": list(inputs), **more}).encode()
    return head + tail, len(head)


def rows(**changes: Any) -> dict[str, Any]:
    return {"name": "rows", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]} | changes


@given(ARRAYS)
def test_a_binary_tensor_comes_back_to_the_bit(array: np.ndarray[Any, Any]) -> None:
    body, length = write_response({"id": "7"}, [("rows", array, True)])
    shown = json.loads(body[:length])["outputs"][0]
    got = read_request(*request(shown, tail=body[length:])).inputs["rows"]
    assert (got.dtype, got.shape) == (array.dtype, array.shape)
    assert got.tobytes() == array.tobytes()


@given(
    hnp.arrays("<f4", (2, 3), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))
)
def test_numbers_in_json_may_be_nested_or_flat(array: np.ndarray[Any, Any]) -> None:
    for data in (array.tolist(), array.ravel().tolist()):
        body, length = request(rows(shape=[2, 3], data=data))
        for json_bytes in (length, None):
            assert np.array_equal(read_request(body, json_bytes).inputs["rows"], array)


@given(ARRAYS)
def test_numbers_leave_as_json_too(array: np.ndarray[Any, Any]) -> None:
    body, length = write_response({}, [("rows", array, False)])
    assert length is None
    shown = json.loads(body)["outputs"][0]
    assert (shown["datatype"], shown["shape"]) == (NAMES[array.dtype], list(array.shape))
    assert len(shown["data"]) == array.size


def test_which_outputs_are_binary_is_said_for_all_or_each() -> None:
    outputs = [{"name": "a"}, {"name": "b", "parameters": {"binary_data": False}}]
    body, length = request(rows(), outputs=outputs, parameters={"binary_data_output": True})
    assert read_request(body, length).outputs == {"a": True, "b": False}


@pytest.mark.parametrize(
    ("given", "tail", "words"),
    [
        (rows(datatype="FP31"), b"", "FP31"),
        (rows(datatype="BYTES"), b"", "BYTES"),
        (rows(data=[1, 2, 3]), b"", "3 values"),
        (rows(data=["x", "y"]), b"", "not FP32"),
        (rows(data=[[1], [2, 3]]), b"", "not FP32"),
        (rows(data=[{}, {}]), b"", "not FP32"),
        (rows(datatype="UINT8", data=[1, 256]), b"", "not UINT8"),
        (rows(shape=[-1, 2]), b"", "shape"),
        (rows(shape=[]), b"", "shape"),
        (rows(shape=[1 << 40]), b"", "shape"),
        ({"name": "rows", "datatype": "FP32", "shape": [2]}, b"", "no data"),
        (rows(parameters={"binary_data_size": 8}), bytes(8), "both"),
        (rows(), bytes(1), "belong to no input"),
    ],
)
def test_wrong_inputs_are_refused_by_name(given: Any, tail: bytes, words: str) -> None:
    body, length = request(given, tail=tail)
    with pytest.raises(BadInput, match=words):
        read_request(body, length)


@pytest.mark.parametrize("size", [0, 4, 7, 9, 16, -8, "8", None, 1.5])
def test_a_binary_size_must_be_that_of_the_values(size: Any) -> None:
    binary = {"name": "rows", "datatype": "FP32", "shape": [2]}
    body, length = request({**binary, "parameters": {"binary_data_size": size}}, tail=bytes(8))
    with pytest.raises(BadInput, match=r"rows|belong"):
        read_request(body, length)


@given(st.binary(max_size=60), st.integers(-5, 80) | st.none())
def test_noise_is_refused_and_nothing_else_happens(body: bytes, length: int | None) -> None:
    with pytest.raises(BadInput):
        read_request(body, length)


def test_an_input_given_twice_is_refused() -> None:
    with pytest.raises(BadInput, match="twice"):
        read_request(*request(rows(), rows()))
