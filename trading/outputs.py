"""What the engine tells its listeners after each event.

All but the `stages_us` of a decision follows from the events alone.
"""

from collections.abc import Callable
from decimal import Decimal

import msgspec

from core.types import Decision, Fill, Order, Refused, TradingState


class OrderUpdate(msgspec.Struct, frozen=True):
    """An order as it stands now; `refused` is set when risk denied it."""

    order: Order
    refused: Refused | None = None


class FillUpdate(msgspec.Struct, frozen=True):
    """An execution and what it earned.

    `profit_quote` is after commission in quote currency, `profit` the same in account currency by
    `rate`; both are None while no rate is known.
    """

    fill: Fill
    strategy: str
    profit_quote: Decimal
    profit: Decimal | None
    rate: Decimal | None


class StateUpdate(msgspec.Struct, frozen=True):
    """The trading state of a scope changed."""

    now_ns: int
    state: TradingState
    reason: str
    who: str
    scope: str


Output = Decision | OrderUpdate | FillUpdate | StateUpdate
Listener = Callable[[Output], None]
