"""Positions by average cost, in whole numbers, so that nothing is lost to rounding."""

from decimal import Decimal

import msgspec

from core.instruments import Instrument
from core.types import Side


class Position(msgspec.Struct, frozen=True, gc=False):
    """Net position of one instrument.

    Attributes
    ----------
    steps : int
        Lot steps, negative when short.
    cost : int
        Sum of price ticks x lot steps of what is open, with the sign of `steps`.
    realised : int
        Closed profit in price ticks x lot steps; `Instrument.step_value` makes it money.
    """

    instrument: int
    steps: int = 0
    cost: int = 0
    realised: int = 0

    def average_price(self, terms: Instrument) -> Decimal:
        """Average open price in quote currency; zero when flat."""
        return terms.tick_size * self.cost / self.steps if self.steps else Decimal(0)


def apply_fill(position: Position, side: Side, quantity: int, price_ticks: int) -> Position:
    """Return `position` after an execution.

    Opening adds to the cost; closing takes the average cost out, rounded down to one price tick on
    one lot step, and the remainder stays in the cost, so that a round trip is exact to the end.
    """
    signed = side.sign * quantity
    steps, cost, realised = position.steps, position.cost, position.realised
    closed = min(quantity, abs(steps)) if steps * signed < 0 else 0
    if closed:
        direction = 1 if steps > 0 else -1
        removed = direction * (abs(cost) * closed // abs(steps))
        realised += direction * closed * price_ticks - removed
        cost -= removed
        steps -= direction * closed
    opened = side.sign * (quantity - closed)
    return Position(position.instrument, steps + opened, cost + opened * price_ticks, realised)


def unrealised(position: Position, bid_ticks: int, ask_ticks: int) -> int:
    """Open profit in price ticks x lot steps.

    A long is valued at the bid, where it is sold; a short at the ask, where it is bought back.
    """
    closing = bid_ticks if position.steps > 0 else ask_ticks
    return position.steps * closing - position.cost
