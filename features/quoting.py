"""How quotes come: which way and which side they move, how long none did; and how straight.

Blocks as in `features.blocks`.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.columns import F8
from features.sample import (
    ASK_MOVES,
    ASK_NET,
    BID_MOVES,
    BID_NET,
    COLD_BLOCKS,
    IS_FIRST,
    LAST_CLOSE,
    QUIET_SECS,
)
from features.windows import lag_size, lag_step, sum_size, sum_step
from market.bars import CLOSE

F4 = NDArray[np.float32]


def moves_size(n: int) -> int:
    """State length of `moves_block`."""
    return 3 * sum_size(n)


@njit(forceinline=True)
def moves_block(state: F8, base: int, n: int, row: F4, at: int) -> None:
    """Balance of rises and falls of bid and ask, and of the sides that moved.

    Counts are whole numbers, so these sums are exact although they have both signs.
    """
    if state[IS_FIRST] != 0.0:
        return
    size = sum_size(n)
    net = sum_step(state, base, n, state[BID_NET] + state[ASK_NET])
    bids = sum_step(state, base + size, n, state[BID_MOVES])
    asks = sum_step(state, base + 2 * size, n, state[ASK_MOVES])
    moves = max(bids + asks, 1.0)
    row[at], row[at + 1] = net / moves, (bids - asks) / moves


@njit(forceinline=True)
def quiet_block(state: F8, row: F4, at: int) -> None:
    """Time since bid or ask last moved; the row is withheld until one did."""
    if state[QUIET_SECS] < 0.0:
        state[COLD_BLOCKS] += 1.0
        return
    row[at] = math.log1p(state[QUIET_SECS])


def efficiency_size(n: int) -> int:
    """State length of `efficiency_block`."""
    return lag_size(n) + sum_size(n)


@njit(forceinline=True)
def efficiency_block(state: F8, base: int, n: int, row: F4, at: int) -> None:
    """Signed efficiency ratio (Kaufman 1995): the way gone over the path walked."""
    close = state[CLOSE]
    old = lag_step(state, base, n, close)
    if state[IS_FIRST] != 0.0:
        return
    path = sum_step(state, base + lag_size(n), n, abs(close - state[LAST_CLOSE]))
    row[at] = (close - old) / path if path > 0.0 else 0.0
