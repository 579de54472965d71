"""What a block declares about itself: its columns, its state and how it is run."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

WASH_OUT = 10
"""Windows after which the seed of an exponential mean (alpha 2 / (n + 1)) is below 1e-8."""
WILDER_WASH_OUT = 20
"""The same for Wilder's smoothing (alpha 1 / n), which forgets half as fast."""


class Column(msgspec.Struct, frozen=True, omit_defaults=True):
    """One column of a feature row.

    Attributes
    ----------
    name, formula, unit : str
        Formulas are over samples; `close` is the mid of the sample's last quote, ln natural.
    window : int
        Samples the value looks back on; for a recursive indicator its n. Columns of closed bars
        of a stated length count those bars.
    warmup : int
        Samples after which the value may be used.
    warmup_ns : int
        Market time that the value needs besides, ns: for columns of closed bars on the tick
        cadence, where no number of samples makes a minute. The kernel withholds the row until
        the bars are there.
    """

    name: str
    formula: str
    unit: str
    window: int
    warmup: int
    warmup_ns: int = 0


@dataclass(frozen=True, slots=True)
class BlockKind:
    """How a block is run: its op in `features.dispatch`, state length and columns by windows.

    `address` is that of the native step of a user-defined feature, 0 for what ships.
    """

    op: int
    n_windows: int
    size: Callable[..., int]
    columns: Callable[..., tuple[Column, ...]]
    address: int = 0
