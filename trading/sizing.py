"""The position policy: from a signal to the signed quantity of the next order."""

from core.types import Direction, TradingState


def next_quantity(
    direction: Direction,
    position: int,
    order_steps: int,
    *,
    aged: bool,
    in_flight: bool,
    state: TradingState,
) -> int:
    """Signed lot steps to order now; zero for nothing.

    BUY aims at ``+order_steps``, SELL at ``-order_steps``, HOLD at flat once the position has aged
    past the model's horizon and else at what is there. A position on the other side is closed first
    and opened the other way by a later decision, so that a reduce never flips.

    Parameters
    ----------
    position : int
        Lot steps that the strategy holds, negative when short.
    aged : bool
        The position is older than the horizon of the model.
    in_flight : bool
        An order of the strategy in this instrument is open or UNKNOWN: then nothing is ordered.
    state : TradingState
        HALTED orders nothing; REDUCING only what makes the position smaller.
    """
    if in_flight or state is TradingState.HALTED:
        return 0
    target = _target(direction, position, order_steps, aged=aged)
    if target * position < 0:
        target = 0
    if state is not TradingState.ACTIVE and abs(target) > abs(position):
        return 0
    return target - position


def _target(direction: Direction, position: int, order_steps: int, *, aged: bool) -> int:
    if direction is Direction.BUY:
        return order_steps
    if direction is Direction.SELL:
        return -order_steps
    return 0 if aged else position
