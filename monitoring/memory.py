"""Memory that is taken from the system once, at the start, and shared out by area.

Each area (market data, features, predictions, orders) is one anonymous mapping of its whole budget.
Every page of it is written at the start, so that the system has really given it: a machine that is
too small says so then, and the live path meets no page fault and no allocation there. Buffers are
cut from the front of an area and stay until the process ends; what asks for more than is left is
refused by name and nothing else changes.
"""

import mmap
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from core.config import MemoryConfig
from core.errors import OutOfBudget

MB = 1_000_000
_LINE = 64  # bytes of a cache line: buffers of two areas or owners never share one


class Area:
    """One budget.

    Parameters
    ----------
    name : str
    budget : int
        Bytes; taken now.

    Attributes
    ----------
    used : int
        Bytes that were given out, padding included.
    refused : int
        How often there was not enough left.
    """

    def __init__(self, name: str, budget: int) -> None:
        self.name, self.budget = name, budget
        self.used = self.refused = 0
        self._parts: dict[str, int] = {}
        self._memory = mmap.mmap(-1, max(budget, 1))
        # Written, not only read: an untouched page is promised and not given.
        np.frombuffer(self._memory, np.uint8)[:: mmap.PAGESIZE] = 0

    @property
    def left(self) -> int:
        """Bytes that can still be given out."""
        return self.budget - self.used

    @property
    def parts(self) -> Mapping[str, int]:
        """Bytes by what they are used for."""
        return self._parts

    def array(self, what: str, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Give out zeroed memory as an array, on a cache line of its own.

        Parameters
        ----------
        what : str
            Named in metrics.

        Raises
        ------
        OutOfBudget
            When not so much is left.
        """
        kind = np.dtype(dtype)
        count = int(np.prod(shape))
        size = -(-count * kind.itemsize // _LINE) * _LINE
        if size > self.left:
            self.refused += 1
            raise OutOfBudget(
                f"the memory budget for {self.name} is {self.budget:,} bytes and {self.left:,} are "
                f"left; {what} needs {size:,}: raise memory.{self.name}_mb"
            )
        found = np.frombuffer(self._memory, kind, count, self.used).reshape(shape)
        self.used += size
        self._parts[what] = self._parts.get(what, 0) + size
        return found


class MemoryBudgets:
    """The areas of a serving process.

    Parameters
    ----------
    config : MemoryConfig
        Budgets in MB of a million bytes.
    """

    def __init__(self, config: MemoryConfig) -> None:
        self.market_data = Area("market_data", round(config.market_data_mb * MB))
        self.features = Area("features", round(config.features_mb * MB))
        self.predictions = Area("predictions", round(config.predictions_mb * MB))
        self.orders = Area("orders", round(config.orders_mb * MB))

    def areas(self) -> tuple[Area, ...]:
        """All areas, in their order."""
        return self.market_data, self.features, self.predictions, self.orders

    def gauges(self) -> dict[str, float]:
        """Bytes of each area: its budget and what is given out."""
        found: dict[str, float] = {}
        for area in self.areas():
            found[f"memory_{area.name}_budget_bytes"] = area.budget
            found[f"memory_{area.name}_used_bytes"] = area.used
            found[f"memory_{area.name}_refused"] = area.refused
        return found
