"""Epoch after epoch until later rows gain no more, and on from where a killed training was."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.columns import F8
from models.checkpoint import Arrays, Checkpoint
from models.family import Tell
from models.layers import Network
from models.windows import Inputs, Windows, batches

F4 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast and how long is learnt; see `models.network.NetworkParams`."""

    epochs: int
    patience: int
    epoch_rows: int
    batch_rows: int
    rate: float
    weight_decay: float
    seed: int
    objective: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Course:
    """What is learnt from (`known`), and the later rows that say when it is enough.

    Targets are float32[k]: 1 for up and 0 for not, or sizes; weights float64[k].
    """

    known: Inputs
    target: F4
    weight: F8
    later: Inputs
    later_target: F4
    later_weight: F8

    def arrays(self) -> list[np.ndarray]:
        """Everything that decides the outcome."""
        out: list[np.ndarray] = [self.target, self.weight, self.later_target, self.later_weight]
        for inputs in (self.known, self.later):
            if isinstance(inputs, Windows):
                first = int(inputs.at[0]) + 1 - inputs.length if len(inputs) else 0
                end = int(inputs.at[-1]) + 1 if len(inputs) else 0
                out += [inputs.at - first, inputs.history.rows[first:end]]
            else:
                out.append(inputs)
        return out


class Epochs:
    """One training.

    Attributes
    ----------
    run_epochs : int
        Epochs that were run, those before a kill included.
    """

    def __init__(self, network: Network, pace: Pace, course: Course) -> None:
        self._network = network
        self._pace = pace
        self._course = course
        self._place = next(network.parameters()).device
        self._optimizer = torch.optim.AdamW(
            network.parameters(), lr=pace.rate, weight_decay=pace.weight_decay
        )
        self._weights: list[dict[str, F4]] = []
        self._losses: list[float] = []

    @property
    def run_epochs(self) -> int:
        """Epochs that were run, those before a kill included."""
        return len(self._losses)

    def run(self, scaler: Arrays, checkpoint: Checkpoint, tell: Tell) -> list[dict[str, F4]]:
        """Train; return the weights after each epoch up to the best one on later rows."""
        if not self._resume(checkpoint.load()):
            self._begin(scaler)
        while not self._enough():
            self._epoch(len(self._losses))
            self._weights.append(self._network.arrays())
            self._losses.append(self._later_loss())
            checkpoint.save(self._state())
            tell(len(self._losses), f"epoch {len(self._losses)}, loss {self._losses[-1]:.5f}")
        return self._weights[: int(np.argmin(self._losses)) + 1]

    def _begin(self, scaler: Arrays) -> None:
        torch.manual_seed(self._pace.seed)
        for module in self._network.body.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
        parts = self._network.arrays()
        parts |= {f"scaler.{name}": value for name, value in scaler.items()}
        self._network.take(parts)

    def _enough(self) -> bool:
        done = len(self._losses)
        if done >= self._pace.epochs:
            return True
        return done > 0 and done - 1 - int(np.argmin(self._losses)) >= self._pace.patience

    def _epoch(self, number: int) -> None:
        # Drawn from seed and number alone, so that nothing need be kept between epochs.
        rng = np.random.default_rng((self._pace.seed, number))
        torch.manual_seed(int(rng.integers(1 << 62)))
        n = len(self._course.known)
        rows = rng.permutation(n)[: self._pace.epoch_rows]
        self._network.train()
        for first in range(0, len(rows), self._pace.batch_rows):
            # In order of time within the batch: the memory of windows is read forwards.
            self._step(np.sort(rows[first : first + self._pace.batch_rows]))

    def _step(self, rows: NDArray[np.int64]) -> None:
        course = self._course
        windows = next(batches(course.known[rows], len(rows)))
        weight = self._tensor(course.weight[rows].astype(np.float32))
        margins = self._network(self._tensor(windows))
        loss = self._loss(margins, self._tensor(course.target[rows]))
        self._optimizer.zero_grad()
        # Over the mean weight of all rows and not of these: else a batch of rows that tell little
        # would count as much as any other.
        mean = float(course.weight.mean()) or 1.0
        mean_loss: Any = (loss * weight).mean() / mean
        mean_loss.backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        self._optimizer.step()

    def _later_loss(self) -> float:
        course = self._course
        self._network.eval()
        losses = []
        with torch.no_grad():
            at = 0
            for block in batches(course.later):
                target = self._tensor(course.later_target[at : at + len(block)])
                losses.append(self._loss(self._network(self._tensor(block)), target).cpu().numpy())
                at += len(block)
        total = float(course.later_weight.sum()) or 1.0
        return float(np.concatenate(losses).astype(np.float64) @ course.later_weight) / total

    def _loss(self, margins: Tensor, target: Tensor) -> Tensor:
        if self._pace.objective == "return":
            return torch.nn.functional.smooth_l1_loss(margins, target, reduction="none")
        return torch.nn.functional.binary_cross_entropy_with_logits(
            margins, target, reduction="none"
        )

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._place)

    # --- state ---

    def _state(self) -> Arrays:
        out: Arrays = {"losses": np.array(self._losses)}
        for epoch, weights in enumerate(self._weights):
            out |= {f"weights/{epoch}/{name}": value for name, value in weights.items()}
        for number, moments in self._optimizer.state_dict()["state"].items():
            out |= {f"adam/{number}/{key}": value.cpu().numpy() for key, value in moments.items()}
        return out

    def _resume(self, state: Arrays | None) -> bool:
        if state is None:
            return False
        self._losses = state["losses"].tolist()
        names = list(self._network.state_dict())
        self._weights = [
            {name: state[f"weights/{epoch}/{name}"] for name in names}
            for epoch in range(len(self._losses))
        ]
        self._network.take(self._weights[-1])
        document = self._optimizer.state_dict()
        numbers = range(len(document["param_groups"][0]["params"]))
        document["state"] = {
            number: {
                key: torch.from_numpy(state[f"adam/{number}/{key}"].copy())
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
            for number in numbers
        }
        self._optimizer.load_state_dict(document)
        return True
