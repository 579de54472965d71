"""The networks as torch modules: scaler, body over a window of feature rows, one output.

All read float32[k, window, n_features] and give log-odds float32[k]. What a value that is not
finite means is part of the network, here and in the exported graph alike: NaN counts as the
feature's mean, an infinity as the farthest value that is told apart.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

F4 = NDArray[np.float32]

FARTHEST = 8.0
KERNEL = 3
"""Standard deviations beyond which values are all alike; taps of a convolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a network looks like: kind ("tcn", "gru" or "mlp"), sizes, and share dropped."""

    kind: str
    window: int
    n_features: int
    channels: int
    dropout: float = 0.0

    @property
    def dilations(self) -> tuple[int, ...]:
        """Of the TCN's blocks: doubled until the last output sees the whole window."""
        found, seen = [1], 1 + 2 * (KERNEL - 1)
        while seen < self.window:
            found.append(2 * found[-1])
            seen += 2 * (KERNEL - 1) * found[-1]
        return tuple(found)


class Scaler(nn.Module):
    """``(x - mean) * scale``, within `FARTHEST`; a feature that never changed has scale 0."""

    mean: Tensor
    scale: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def forward(self, x: Tensor) -> Tensor:
        """Scale rows of any shape [..., n_features]."""
        z = (x - self.mean) * self.scale
        return torch.where(torch.isnan(z), 0.0, z).clamp(-FARTHEST, FARTHEST)


class Block(nn.Module):
    """Two dilated convolutions that look back only, and a way round them.

    Bai, Kolter and Koltun, "An empirical evaluation of generic convolutional and recurrent networks
    for sequence modeling" (2018), without weight normalisation.
    """

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.back = (KERNEL - 1) * dilation
        self.first = nn.Conv1d(channels, channels, KERNEL, dilation=dilation)
        self.second = nn.Conv1d(channels, channels, KERNEL, dilation=dilation)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map [k, channels, window] to the same shape."""
        y = self.drop(torch.relu(self.first(nn.functional.pad(x, (self.back, 0)))))
        y = self.drop(torch.relu(self.second(nn.functional.pad(y, (self.back, 0)))))
        return x + y


class Tcn(nn.Module):
    """Temporal convolutional network; its last step has seen the whole window."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.enter = nn.Conv1d(shape.n_features, shape.channels, 1)
        self.blocks = nn.ModuleList(
            Block(shape.channels, dilation, shape.dropout) for dilation in shape.dilations
        )
        self.leave = nn.Linear(shape.channels, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Log-odds [k] of scaled windows [k, window, n_features]."""
        x = self.enter(z.transpose(1, 2))
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.leave(x[:, :, -1])
        return found[:, 0]


class Gru(nn.Module):
    """Gated recurrent unit; its last state has seen the whole window (Cho et al., 2014)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.cell = nn.GRU(shape.n_features, shape.channels, batch_first=True)
        self.drop = nn.Dropout(shape.dropout)
        self.leave = nn.Linear(shape.channels, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Log-odds [k] of scaled windows [k, window, n_features]."""
        _, last = self.cell(z)
        found: Tensor = self.leave(self.drop(last[0]))
        return found[:, 0]


class Mlp(nn.Module):
    """Two hidden layers over all that is read, without any notion of order: the baseline."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.first = nn.Linear(shape.window * shape.n_features, shape.channels)
        self.second = nn.Linear(shape.channels, shape.channels)
        self.drop = nn.Dropout(shape.dropout)
        self.leave = nn.Linear(shape.channels, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Log-odds [k] of scaled windows [k, window, n_features]."""
        x = self.drop(torch.relu(self.first(z.flatten(1))))
        x = self.drop(torch.relu(self.second(x)))
        found: Tensor = self.leave(x)
        return found[:, 0]


_BODIES: dict[str, type[nn.Module]] = {"tcn": Tcn, "gru": Gru, "mlp": Mlp}


class Network(nn.Module):
    """Scaler and body."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.scaler = Scaler(shape.n_features)
        self.body = _BODIES[shape.kind](shape)

    def forward(self, rows: Tensor) -> Tensor:
        """Log-odds [k] of windows [k, window, n_features]."""
        found: Tensor = self.body(self.scaler(rows))
        return found

    def arrays(self) -> dict[str, F4]:
        """Copy of scaler and weights by name."""
        return {name: value.cpu().numpy().copy() for name, value in self.state_dict().items()}

    def take(self, arrays: dict[str, F4]) -> None:
        """Set scaler and weights."""
        self.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
