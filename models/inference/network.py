"""Networks through ONNX Runtime: the engine that serves them, without the library that trained.

One thread, for a thread pool costs more than a window takes; and inputs and outputs that are bound
once, so that a prediction copies its window and allocates nothing of size.
"""

import numpy as np
import onnxruntime
from numpy.typing import NDArray

F4 = NDArray[np.float32]

INPUT, OUTPUT = "rows", "margin"
BATCH = 256
_ERRORS_ONLY = 3

onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
# What the library raises for bytes that are no model, or one that it cannot run.
UnreadableModel = (
    onnxruntime.capi.onnxruntime_pybind11_state.Fail,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidGraph,
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidProtobuf,
    onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented,
    onnxruntime.capi.onnxruntime_pybind11_state.RuntimeException,
)


class OnnxNetwork:
    """A network, ready to score; not for two threads at a time.

    Parameters
    ----------
    model : bytes
        ONNX file as `models.onnx_graph.export` writes it.
    window, n_features : int
        What one prediction reads.

    Raises
    ------
    ValueError
        When the model reads or gives anything else.
    """

    def __init__(self, model: bytes, window: int, n_features: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = _ERRORS_ONLY
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )
        self._check(window, n_features)
        self.shape = (window, n_features)
        self._rows = np.zeros((1, window, n_features), np.float32)
        self._margin = np.zeros(1, np.float32)
        self._binding = self._session.io_binding()
        pointers = self._rows.ctypes.data, self._margin.ctypes.data
        self._binding.bind_input(INPUT, "cpu", 0, np.float32, self._rows.shape, pointers[0])
        self._binding.bind_output(OUTPUT, "cpu", 0, np.float32, self._margin.shape, pointers[1])

    def margin(self, rows: F4) -> float:
        """Log-odds of one window.

        Parameters
        ----------
        rows : float32[window, n_features]
            Oldest row first; float32[n_features] for a window of 1. Nothing of it is kept.

        Raises
        ------
        ValueError, TypeError
            For another shape or type.
        """
        if rows.dtype != np.float32:
            raise TypeError(f"rows are float32, not {rows.dtype}")
        if rows.shape != self.shape and (self.shape[0] != 1 or rows.shape != self.shape[1:]):
            raise ValueError(f"rows have the shape {rows.shape}, the model reads {self.shape}")
        self._rows[0] = rows
        self._session.run_with_iobinding(self._binding)
        return float(self._margin[0])

    def margins(self, windows: F4) -> F4:
        """Log-odds of windows float32[k, window, n_features], float32[k]."""
        out = np.empty(len(windows), np.float32)
        for first in range(0, len(windows), BATCH):
            block = np.ascontiguousarray(windows[first : first + BATCH], np.float32)
            out[first : first + BATCH] = self._session.run([OUTPUT], {INPUT: block})[0]
        return out

    def _check(self, window: int, n_features: int) -> None:
        read, given = self._session.get_inputs(), self._session.get_outputs()
        sound = (
            len(read) == len(given) == 1
            and (read[0].name, given[0].name) == (INPUT, OUTPUT)
            and read[0].type == given[0].type == "tensor(float)"
            and read[0].shape[1:] == [window, n_features]
            and len(given[0].shape) == 1
        )
        if not sound:
            raise ValueError(
                f"the network reads {[(one.name, one.shape) for one in read]} and gives "
                f"{[(one.name, one.shape) for one in given]}, not a margin of windows "
                f"[{window}, {n_features}]"
            )
