"""Tensors of the Open Inference Protocol: JSON, with binary data behind it when the header says so.

See "Predict Protocol - Version 2" and its binary tensor data extension (KServe, Triton). Numbers
are little endian and in row-major order.
"""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.errors import BadInput

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    **{f"UINT{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    **{f"INT{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{f"FP{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}
MOST_VALUES = 1 << 24


class Given(msgspec.Struct, frozen=True):
    """A tensor as the JSON part of a request has it."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET


class Asked(msgspec.Struct, frozen=True):
    """An output that is asked for."""

    name: str
    parameters: dict[str, Any] = {}


class Body(msgspec.Struct, frozen=True):
    """JSON part of an inference request."""

    inputs: list[Given]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[Asked] = []


class Request(NamedTuple):
    """A request whose tensors are arrays; `outputs` maps each asked for to whether it is binary."""

    id: str
    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, bool]
    binary: bool
    parameters: dict[str, Any]


_decode = msgspec.json.Decoder(Body).decode
_encode = msgspec.json.Encoder().encode


def read_request(body: bytes, json_bytes: int | None) -> Request:
    """Read a request.

    Parameters
    ----------
    body : bytes
    json_bytes : int or None
        Length of the JSON part, from ``Inference-Header-Content-Length``; None when it is all.

    Raises
    ------
    BadInput
        Naming the tensor and what is wrong with it.
    """
    if json_bytes is None:
        json_bytes = len(body)
    if not 0 <= json_bytes <= len(body):
        raise BadInput(f"the JSON part has {json_bytes} bytes, the body only {len(body)}")
    try:
        head = _decode(body[:json_bytes])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"request body: {error}") from None
    arrays, at = {}, json_bytes
    for given in head.inputs:
        if given.name in arrays:
            raise BadInput(f"input {given.name!r} is given twice")
        arrays[given.name], at = _array(given, body, at)
    if at != len(body):
        raise BadInput(f"{len(body) - at} bytes of the body belong to no input")
    binary = bool(head.parameters.get("binary_data_output", False))
    outputs = {one.name: bool(one.parameters.get("binary_data", binary)) for one in head.outputs}
    return Request(head.id, arrays, outputs, binary, head.parameters)


def _array(given: Given, body: bytes, at: int) -> tuple[NDArray[Any], int]:
    dtype = DTYPES.get(given.datatype)
    if dtype is None:
        known = ", ".join(DTYPES)
        raise BadInput(f"input {given.name!r}: datatype {given.datatype!r}; known: {known}")
    count = _count(given)
    size = given.parameters.get("binary_data_size")
    if size is None:
        return _from_json(given, dtype, count), at
    if given.data is not msgspec.UNSET:
        raise BadInput(f"input {given.name!r} has both data and binary data")
    if size != count * dtype.itemsize or at + size > len(body):
        raise BadInput(
            f"input {given.name!r}: {count} values of {given.datatype} are "
            f"{count * dtype.itemsize} bytes, not {size} of the {len(body) - at} that follow"
        )
    flat = np.frombuffer(body, dtype, count, at)
    return flat.reshape(given.shape), at + size


def _count(given: Given) -> int:
    if not given.shape or min(given.shape) < 0 or prod(given.shape) > MOST_VALUES:
        raise BadInput(f"input {given.name!r}: shape {given.shape} is none, or too large")
    return prod(given.shape)


def _from_json(given: Given, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    if given.data is msgspec.UNSET:
        raise BadInput(f"input {given.name!r} has no data")
    try:
        with np.errstate(over="ignore"):  # 1e300 is infinite as FP32, as everywhere
            found = np.asarray(given.data, dtype)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"input {given.name!r}: data is not {given.datatype}") from None
    if found.size != count:
        raise BadInput(
            f"input {given.name!r}: {found.size} values, shape {given.shape} has {count}"
        )
    return found.reshape(given.shape)


def write_response(
    head: dict[str, Any], outputs: Sequence[tuple[str, NDArray[Any], bool]]
) -> tuple[bytes, int | None]:
    """Encode outputs of (name, array, whether binary).

    Returns
    -------
    body : bytes
    json_bytes : int or None
        For ``Inference-Header-Content-Length``; None when nothing is binary.
    """
    described, tail = [], []
    for name, array, binary in outputs:
        shown: dict[str, Any] = {
            "name": name,
            "datatype": NAMES[array.dtype],
            "shape": list(array.shape),
        }
        if binary:
            tail.append(array.tobytes())
            shown["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            shown["data"] = array.ravel().tolist()
        described.append(shown)
    body = _encode({**head, "outputs": described})
    return (body + b"".join(tail), len(body)) if tail else (body, None)
