"""Networks over a window of feature rows: fitted with torch, served by ONNX Runtime.

A fit is repeated to the bit on the same machine: batches and what is dropped are drawn by seed and
epoch, so that a training that was killed goes on at the last whole epoch as if it had not been.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.columns import F8
from core.config import TrainingConfig
from core.errors import BadInput
from models.checkpoint import Arrays, Checkpoint, key_of
from models.dataset import Dataset, window_of
from models.epochs import Course, Epochs, Pace
from models.family import Parameters, Tell
from models.inference.engines import ONNX, ONNX_FILE, TOLERANCES
from models.inference.network import OnnxNetwork
from models.layers import Network, Shape
from models.onnx_graph import OPSET, export
from models.weights import sample_weights, targets
from models.windows import Inputs, batches

F4 = NDArray[np.float32]

STOPPING_FRACTION = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkParams:
    """A network and how it is trained; a `models.family.Learner`.

    Attributes
    ----------
    kind : str
        ``tcn``, ``gru`` or ``mlp``.
    window, channels : int
        Rows read at a time; width of the hidden layers.
    epochs, patience : int
        Most epochs; epochs without gain on later rows after which there are no more.
    epoch_rows, batch_rows : int
        Rows drawn for an epoch (labels of neighbours overlap, so all of them tell little more), and
        for a step.
    rate, weight_decay, dropout : float
        Of AdamW (Loshchilov and Hutter, 2019), and the share of activations dropped.
    nthread : int
        Threads on a processor; another number may change the last bits.
    checkpoints : Path, optional
        Where a killed training finds its state.
    """

    kind: str
    window: int = 64
    channels: int = 16
    epochs: int = 20
    patience: int = 4
    epoch_rows: int = 4_096
    batch_rows: int = 256
    rate: float = 0.002
    weight_decay: float = 0.001
    dropout: float = 0.1
    seed: int = 7
    nthread: int = 1
    objective: str = "direction"
    class_weight: str = "none"
    cost_weight: str = "none"
    checkpoints: Path | None = None

    @classmethod
    def of(
        cls, config: TrainingConfig, nthread: int = 1, checkpoints: Path | None = None
    ) -> "NetworkParams":
        """Parameters that the training settings name."""
        return cls(
            kind=config.family,
            window=window_of(config),
            channels=config.channels,
            epochs=config.epochs,
            patience=config.patience,
            epoch_rows=config.epoch_rows,
            batch_rows=config.batch_rows,
            rate=config.network_rate,
            weight_decay=config.weight_decay,
            dropout=config.dropout,
            seed=config.seed,
            nthread=nthread,
            objective=config.objective,
            class_weight=config.class_weight,
            cost_weight=config.cost_weight,
            checkpoints=checkpoints,
        )

    @property
    def family(self) -> str:
        """As the manifest names it."""
        return self.kind

    @property
    def steps(self) -> int:
        """A fit tells of every epoch."""
        return self.epochs

    @property
    def tolerance(self) -> float:
        """Float32 sums in another order."""
        return TOLERANCES[ONNX]

    @property
    def libraries(self) -> dict[str, str]:
        """Versions of what decides the outcome."""
        return {
            "torch": str(torch.__version__),
            "onnxruntime": onnxruntime.__version__,
            "onnx": onnx.__version__,
            "numpy": np.__version__,
        }

    @property
    def pace(self) -> Pace:
        """How fast and how long is learnt."""
        return Pace(**{one.name: getattr(self, one.name) for one in fields(Pace)})

    def parameters(self) -> Parameters:
        """Give the settings as asked for."""
        settings = asdict(self)
        del settings["checkpoints"]
        return {**settings, "opset": OPSET, "device": device().type}

    def learn(self, early: Dataset, embargo: int, tell: Tell) -> "NetworkModel":
        """Fit on rows in time order; the last part of them says after which epoch to stop."""
        first, then = early.cut(STOPPING_FRACTION, embargo)
        _refuse_one_class(first.up)
        shape = Shape(
            kind=self.kind,
            window=self.window,
            n_features=early.rows.shape[1],
            channels=self.channels,
            dropout=self.dropout,
        )
        course = Course(
            known=first.inputs,
            target=targets(first, self.objective).astype(np.float32),
            weight=self._weights(first),
            later=then.inputs,
            later_target=targets(then, self.objective).astype(np.float32),
            later_weight=self._weights(then),
        )
        words = repr((self.parameters(), self.libraries))
        checkpoint = Checkpoint(self.checkpoints, key_of(words, course.arrays()))
        with reproducible(self.nthread):
            network = Network(shape).to(device())
            epochs = Epochs(network, self.pace, course)
            kept = epochs.run(scaler_of(first.rows), checkpoint, tell)
        return NetworkModel(shape, kept, epochs=epochs.run_epochs)

    def _weights(self, data: Dataset) -> F8:
        return sample_weights(data, self.class_weight, self.cost_weight)


class NetworkModel:
    """A trained network, with its weights after each epoch up to the one that was kept."""

    def __init__(self, shape: Shape, by_epoch: list[dict[str, F4]], epochs: int) -> None:
        self.shape = shape
        self._by_epoch = by_epoch
        self._epochs = epochs
        self._engines: dict[int, OnnxNetwork] = {}

    @property
    def size(self) -> int:
        """What was kept: epochs."""
        return len(self._by_epoch)

    @property
    def model_file(self) -> str:
        """Name of the ONNX file in the artifact."""
        return ONNX_FILE

    @property
    def engine(self) -> str:
        """ONNX Runtime serves it."""
        return ONNX

    @cached_property
    def onnx(self) -> bytes:
        """The network as a file."""
        return export(self.shape, self._by_epoch[-1])

    def margins(self, inputs: Inputs, size: int | None = None) -> F4:
        """Log-odds of rows or windows, float32[k], by the engine that serves."""
        engine = self._engine(size or self.size)
        found = [engine.margins(block) for block in batches(inputs)]
        return np.concatenate(found) if found else np.empty(0, np.float32)

    def own_margins(self, inputs: Inputs) -> F4:
        """Log-odds by torch, on a GPU when there is one."""
        network = Network(self.shape).to(device()).eval()
        network.take(self._by_epoch[-1])
        return margins_of(network, inputs)

    def write(self, folder: Path) -> None:
        """Write the ONNX file."""
        (folder / ONNX_FILE).write_bytes(self.onnx)

    def parameters(self) -> Parameters:
        """Give the epochs kept, of those that were run."""
        return {"epochs_kept": self.size, "epochs_run": self._epochs}

    def _engine(self, size: int) -> OnnxNetwork:
        if size not in self._engines:
            data = self.onnx if size == self.size else export(self.shape, self._by_epoch[size - 1])
            self._engines[size] = OnnxNetwork(data, self.shape.window, self.shape.n_features)
        return self._engines[size]


def device() -> torch.device:
    """Give a GPU when torch sees one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def reproducible(nthread: int) -> Iterator[None]:
    """Draw nothing from outside, and sum in the same order each time; all of it is put back."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(nthread)
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    try:
        with torch.random.fork_rng(), whole_float32():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(mode=strict)


def whole_float32() -> AbstractContextManager[None]:
    """Keep a GPU from rounding convolutions and recurrent cells to TF32, as it does by default.

    Ten bits of a fraction are too few to agree with the engine that serves.
    """
    found: AbstractContextManager[None] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return found


def margins_of(network: Network, inputs: Inputs) -> F4:
    """Log-odds by torch in batches, float32[k]; nothing is dropped."""
    place = next(network.parameters()).device
    was_training = network.training
    network.eval()
    with torch.no_grad(), whole_float32():
        found = [network(tensor(block).to(place)).cpu().numpy() for block in batches(inputs)]
    network.train(was_training)
    return np.concatenate(found) if found else np.empty(0, np.float32)


def scaler_of(rows: F4) -> Arrays:
    """Mean and 1 / deviation of each feature of training rows; 0 for one that never changed."""
    wide = rows.astype(np.float64)
    deviation = wide.std(axis=0)
    changes = deviation > 1e-12 * np.maximum(1.0, np.abs(wide).max(axis=0))
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=changes)
    return {"mean": wide.mean(axis=0).astype(np.float32), "scale": scale.astype(np.float32)}


def tensor(array: np.ndarray) -> Tensor:
    """Tensor of an array's own memory."""
    return torch.from_numpy(np.ascontiguousarray(array))


def _refuse_one_class(up: NDArray[np.bool_]) -> None:
    if up.all() or not up.any():
        side = "up" if up.any() else "down or flat"
        raise BadInput(f"all {len(up)} rows to fit are {side}; a direction model needs both")
