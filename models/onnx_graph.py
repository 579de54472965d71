"""A trained network as an ONNX file: one graph of standard operators, weights inside.

The graph is written operator by operator instead of traced. So equal weights give equal bytes,
nothing of the training library is in it, and the opset is the one named here.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.inference.network import INPUT, OUTPUT
from models.layers import FARTHEST, Shape

F4 = NDArray[np.float32]

OPSET = 17
IR_VERSION = 8


class _Graph:
    """Nodes and constants in the order they were added; each node has one output of interest."""

    def __init__(self, arrays: dict[str, F4]) -> None:
        self.arrays = arrays
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        """Put an array into the file; return its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def weight(self, name: str) -> str:
        """Put a weight into the file; return its name."""
        return self.constant(name, self.arrays[name])

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add an operator; return the name of its first output."""
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def linear(self, x: str, name: str) -> str:
        """``x @ weight.T + bias``."""
        parameters = (self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))
        return self.add("Gemm", [x, *parameters], transB=1)

    def convolution(self, x: str, name: str, dilation: int) -> str:
        """Convolution that looks back only."""
        parameters = (self.weight(f"{name}.weight"), self.weight(f"{name}.bias"))
        back = (self.arrays[f"{name}.weight"].shape[2] - 1) * dilation
        return self.add("Conv", [x, *parameters], dilations=[dilation], pads=[back, 0])


def export(shape: Shape, arrays: dict[str, F4]) -> bytes:
    """Write a network.

    Parameters
    ----------
    arrays : dict of str to float32
        Scaler and weights, as `models.layers.Network.arrays` gives them.

    Returns
    -------
    bytes
        An ONNX file with input `rows` float32[k, window, n_features] and output `margin`
        float32[k].
    """
    graph = _Graph(arrays)
    last = _BODIES[shape.kind](graph, _scaled(graph), shape)
    axis = graph.constant("last_axis", np.array([1], np.int64))
    graph.nodes.append(helper.make_node("Squeeze", [last, axis], [OUTPUT], name="squeeze"))
    read: list[str | int] = ["k", shape.window, shape.n_features]
    document = helper.make_model(
        helper.make_graph(
            graph.nodes,
            f"tickpath-{shape.kind}",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, read)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["k"])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tickpath",
    )
    onnx.checker.check_model(document, full_check=True)
    # Protobuf's plain encoding of a message without maps is the same every time.
    return bytes(document.SerializeToString(deterministic=True))


def _scaled(graph: _Graph) -> str:
    moved = graph.add("Sub", [INPUT, graph.weight("scaler.mean")])
    z = graph.add("Mul", [moved, graph.weight("scaler.scale")])
    zero = graph.constant("zero", np.zeros((), np.float32))
    known = graph.add("Where", [graph.add("IsNaN", [z]), zero, z])
    ends = [
        graph.constant(name, np.array(value, np.float32))
        for name, value in (("low", -FARTHEST), ("high", FARTHEST))
    ]
    return graph.add("Clip", [known, *ends])


def _tcn(graph: _Graph, z: str, shape: Shape) -> str:
    x = graph.convolution(graph.add("Transpose", [z], perm=[0, 2, 1]), "body.enter", 1)
    for number, dilation in enumerate(shape.dilations):
        name = f"body.blocks.{number}"
        y = graph.add("Relu", [graph.convolution(x, f"{name}.first", dilation)])
        y = graph.add("Relu", [graph.convolution(y, f"{name}.second", dilation)])
        x = graph.add("Add", [x, y])
    newest = graph.constant("newest", np.array(shape.window - 1, np.int64))
    return graph.linear(graph.add("Gather", [x, newest], axis=2), "body.leave")


def _gru(graph: _Graph, z: str, shape: Shape) -> str:
    """GRU; torch keeps its gates as reset, update, new, ONNX as update, reset, hidden."""

    def reordered(name: str) -> F4:
        reset, update, new = np.split(graph.arrays[f"body.cell.{name}"], 3)
        return np.concatenate([update, reset, new])

    parts = {
        "gru.w": reordered("weight_ih_l0")[None],
        "gru.r": reordered("weight_hh_l0")[None],
        "gru.b": np.concatenate([reordered("bias_ih_l0"), reordered("bias_hh_l0")])[None],
    }
    names = [graph.constant(name, value) for name, value in parts.items()]
    steps = graph.add("Transpose", [z], perm=[1, 0, 2])
    graph.nodes.append(
        helper.make_node(
            "GRU",
            [steps, *names],
            ["", "state"],
            name="gru",
            hidden_size=shape.channels,
            linear_before_reset=1,
        )
    )
    first = graph.constant("first_axis", np.array([0], np.int64))
    return graph.linear(graph.add("Squeeze", ["state", first]), "body.leave")


def _mlp(graph: _Graph, z: str, _shape: Shape) -> str:
    x = graph.add("Flatten", [z])
    for name in ("body.first", "body.second"):
        x = graph.add("Relu", [graph.linear(x, name)])
    return graph.linear(x, "body.leave")


_BODIES: dict[str, Callable[[_Graph, str, Shape], str]] = {"tcn": _tcn, "gru": _gru, "mlp": _mlp}
