"""What every family of models can do, so that training, tuning and export know none of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.dataset import Dataset
from models.windows import Inputs

F4 = NDArray[np.float32]

Parameters = dict[str, int | float | str]
Tell = Callable[[int, str], None]
"""Called with (steps done of `Learner.steps`, what was just done)."""


class Learned(Protocol):
    """What one fit has made; it predicts with the engine that serves."""

    @property
    def size(self) -> int:
        """What was kept: trees, or epochs."""
        ...

    @property
    def model_file(self) -> str:
        """Name of the library's own file in the artifact."""
        ...

    @property
    def engine(self) -> str:
        """Name of the engine that serves it, of `models.inference.engines`."""
        ...

    def margins(self, inputs: Inputs, size: int | None = None) -> F4:
        """Log-odds, float32[k]; those of a smaller `size` when one is given."""
        ...

    def own_margins(self, inputs: Inputs) -> F4:
        """Log-odds by the library that fitted, to compare with."""
        ...

    def write(self, folder: Path) -> None:
        """Write the files of the family into the artifact's folder."""
        ...

    def parameters(self) -> Parameters:
        """Give what the fit came to, beside what was asked for; for the manifest."""
        ...


class Learner(Protocol):
    """A family with its settings.

    Attributes
    ----------
    family : str
        As the manifest names it.
    window : int
        Consecutive feature rows that one prediction reads.
    seed : int
    steps : int
        Most steps that a fit tells of.
    tolerance : float
        Largest difference in p between the engine that serves and the library that fitted.
    """

    @property
    def family(self) -> str: ...  # noqa: D102

    @property
    def window(self) -> int: ...  # noqa: D102

    @property
    def seed(self) -> int: ...  # noqa: D102

    @property
    def steps(self) -> int: ...  # noqa: D102

    @property
    def tolerance(self) -> float: ...  # noqa: D102

    @property
    def libraries(self) -> dict[str, str]:
        """Versions of what decides the outcome of a fit."""
        ...

    def learn(self, early: Dataset, embargo: int, tell: Tell) -> Learned:
        """Fit on rows in time order; what stops the fit early is taken from the last of them."""
        ...

    def parameters(self) -> Parameters:
        """Names and values as asked for; for the manifest."""
        ...


def silent(_done: int, _what: str) -> None:
    """No one listens."""
