"""Everything that can enter the trading engine, so that a session can be recorded and replayed.

`now_ns` is the clock as the engine read it when the event was taken; replay sets its clock to it.
`act` is false for a quote that only updated state because newer ones were already waiting.
"""

import msgspec

from core.types import (
    Amendment,
    OrderEvent,
    OrderType,
    Quote,
    Side,
    TimeInForce,
    TradingState,
)


class QuoteIn(msgspec.Struct, frozen=True, gc=False, tag_field="door", tag="quote"):
    """A quote of the live feed."""

    now_ns: int
    quote: Quote
    act: bool = True


class OrderEventIn(msgspec.Struct, frozen=True, gc=False, tag_field="door", tag="order_event"):
    """A report of the venue about one order."""

    now_ns: int
    event: OrderEvent


class SubmitOrder(msgspec.Struct, frozen=True, gc=False, tag_field="door", tag="submit"):
    """A caller's order; `limit_ticks` is zero for a market or stop order.

    With `take_ticks` or `loss_ticks` it is the entry of a bracket: each execution of it is followed
    by a take-profit limit and a stop-loss of the same size, of which one cancels the other.
    """

    now_ns: int
    key: str
    account: str
    strategy: str
    instrument: int
    side: Side
    quantity: int
    type: OrderType = OrderType.MARKET
    limit_ticks: int = 0
    time_in_force: TimeInForce = TimeInForce.IOC
    stop_ticks: int = 0
    expire_ns: int = 0
    reduce_only: bool = False
    take_ticks: int = 0
    loss_ticks: int = 0
    group: str = ""


class ReplaceOrder(msgspec.Struct, frozen=True, gc=False, tag_field="door", tag="replace"):
    """A caller's wish to change the terms of an order that works."""

    now_ns: int
    client_order_id: str
    terms: Amendment


class CancelOrder(msgspec.Struct, frozen=True, gc=False, tag_field="door", tag="cancel"):
    """A caller's wish to cancel."""

    now_ns: int
    client_order_id: str


class SetTradingState(msgspec.Struct, frozen=True, gc=False, tag_field="door", tag="state"):
    """A human or a breach changes what the engine may do.

    `scope` is ``global``, ``account:<name>``, ``strategy:<name>`` or ``symbol:<name>``; the most
    restrictive state of an order's scopes counts. `cancel_orders` also cancels what works in the
    scope: with HALTED it is the kill switch.
    """

    now_ns: int
    state: TradingState
    reason: str
    who: str = ""
    scope: str = "global"
    cancel_orders: bool = False


class SessionChanged(msgspec.Struct, frozen=True, gc=False, tag_field="door", tag="session"):
    """The order session came up (reconciled) or went down."""

    now_ns: int
    ready: bool
    reason: str = ""


class Timer(msgspec.Struct, frozen=True, gc=False, tag_field="door", tag="timer"):
    """Time passed: acknowledgement time-outs are looked at."""

    now_ns: int


class FeaturesRebuilt(msgspec.Struct, frozen=True, gc=False, tag_field="door", tag="rebuilt"):
    """The instrument's feature state was rebuilt from stored quotes before `before_ns`.

    `from_ns` is the first stored quote used, so that replay rebuilds from the same rows.
    """

    now_ns: int
    instrument: int
    from_ns: int
    before_ns: int


class ModelSwapped(msgspec.Struct, frozen=True, gc=False, tag_field="door", tag="model"):
    """The instrument predicts with this version from here on."""

    now_ns: int
    instrument: int
    model: str
    version: str
    approved: bool


class HoldInstrument(msgspec.Struct, frozen=True, gc=False, tag_field="door", tag="hold"):
    """Decide HOLD on an instrument for a reason of its own, until told that there is none.

    Scores go on being shown; an empty `reason` lifts the hold.
    """

    now_ns: int
    instrument: int
    reason: str


Event = (
    QuoteIn
    | OrderEventIn
    | SubmitOrder
    | ReplaceOrder
    | CancelOrder
    | SetTradingState
    | SessionChanged
    | Timer
    | FeaturesRebuilt
    | ModelSwapped
    | HoldInstrument
)
