"""Which block runs for which op of the plan: shipped ones by branch, user-defined by address."""

import math

from numba import njit

from core.columns import F8, I8
from features import blocks, closed, quoting, sessions, strength
from features.blocks import F4
from features.indicators import rsi_step
from features.native import call_step
from features.sample import ELAPSED_SECS
from market.bars import CLOSE

(
    RETURN_OP,
    VOLATILITY_OP,
    SPREAD_OP,
    RATE_OP,
    TIME_OP,
    ELAPSED_OP,
    SMA_OP,
    EMA_OP,
    RSI_OP,
    MACD_OP,
    BOLLINGER_OP,
    ATR_OP,
    RANGE_OP,
    EFFICIENCY_OP,
    MOVES_OP,
    QUIET_OP,
    SESSION_OP,
    HORIZON_OP,
    RANGE_VOLATILITY_OP,
    PATTERNS_OP,
    STRENGTH_OP,
    USER_OP,
) = range(22)


@njit(forceinline=True)
def run_block(table: I8, line: int, state: F8, ts: int, row: F4) -> None:
    """Run the block of one line of the plan: op, three windows, start of state, first column.

    One branch per op, because numba has no table of functions that costs less.
    """
    if table[line, 0] <= RANGE_OP:
        _run_core(table, line, state, ts, row)
    else:
        _run_more(table, line, state, ts, row)


@njit(forceinline=True)
def _run_core(table: I8, line: int, state: F8, ts: int, row: F4) -> None:  # noqa: C901, PLR0912
    op, n, m, k = table[line, 0], table[line, 1], table[line, 2], table[line, 3]
    base, at = table[line, 4], table[line, 5]
    if op == RETURN_OP:
        blocks.return_block(state, base, n, row, at)
    elif op == VOLATILITY_OP:
        blocks.volatility_block(state, base, n, m, row, at)
    elif op == SPREAD_OP:
        blocks.spread_block(state, base, n, row, at)
    elif op == RATE_OP:
        blocks.rate_block(state, base, n, m, row, at)
    elif op == TIME_OP:
        blocks.time_block(ts, row, at)
    elif op == ELAPSED_OP:
        row[at] = math.log1p(state[ELAPSED_SECS])
    elif op == SMA_OP:
        blocks.sma_block(state, base, n, row, at)
    elif op == EMA_OP:
        blocks.ema_block(state, base, n, row, at)
    elif op == RSI_OP:
        row[at] = rsi_step(state, base, n, state[CLOSE])
    elif op == MACD_OP:
        blocks.macd_block(state, base, n, m, k, row, at)
    elif op == BOLLINGER_OP:
        blocks.bollinger_block(state, base, n, row, at)
    elif op == ATR_OP:
        blocks.atr_block(state, base, n, row, at)
    elif op == RANGE_OP:
        blocks.range_block(state, base, n, row, at)


@njit(forceinline=True)
def _run_more(table: I8, line: int, state: F8, ts: int, row: F4) -> None:  # noqa: C901
    op, n, m = table[line, 0], table[line, 1], table[line, 2]
    base, at = table[line, 4], table[line, 5]
    if op == EFFICIENCY_OP:
        quoting.efficiency_block(state, base, n, row, at)
    elif op == MOVES_OP:
        quoting.moves_block(state, base, n, row, at)
    elif op == QUIET_OP:
        quoting.quiet_block(state, row, at)
    elif op == SESSION_OP:
        sessions.session_block(ts, row, at)
    elif op == HORIZON_OP:
        closed.horizon_block(state, base, n, ts, row, at)
    elif op == RANGE_VOLATILITY_OP:
        closed.range_volatility_block(state, base, n, m, ts, row, at)
    elif op == PATTERNS_OP:
        closed.patterns_block(state, base, n, ts, row, at)
    elif op == STRENGTH_OP:
        strength.strength_block(state, base, row, at)
    elif op == USER_OP:
        row[at] = call_step(n, state, base, ts)
