"""What the HTTP API and the stream show: plain records, lots and prices as exact strings."""

import msgspec

from core.instruments import Instrument, InstrumentTable
from core.types import Fill, Order, TradingState
from trading.trading_state import GLOBAL, TradingStates


class OrderView(msgspec.Struct, frozen=True):
    """An order as a caller sees it; times in ns UTC, prices in quote currency."""

    client_order_id: str
    key: str
    account: str
    strategy: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    lots: str
    filled_lots: str
    limit_price: str
    average_price: str
    status: str
    venue_order_id: str
    decision_id: str
    quote_seq: int
    created_ns: int
    reason: str
    stop_price: str = ""
    expire_ns: int = 0
    reduce_only: bool = False
    take_profit: str = ""
    stop_loss: str = ""
    group: str = ""


class FillView(msgspec.Struct, frozen=True):
    """One execution."""

    venue: str
    exec_id: str
    client_order_id: str
    symbol: str
    side: str
    lots: str
    price: str
    ts_event: int
    quote_seq: int


class PositionView(msgspec.Struct, frozen=True):
    """A position; money in the account currency, `lots` signed."""

    symbol: str
    lots: str
    average_price: str
    unrealised: str
    currency: str


class PositionsView(msgspec.Struct, frozen=True):
    """All positions and the account they stand on."""

    account: str
    currency: str
    balance: str
    realised: str
    equity: str
    positions: list[PositionView]


class FeaturesView(msgspec.Struct, frozen=True):
    """A feature row by column name.

    `source` is live, shared (another process serves the symbol), l1, l2, computed or last_good. A
    `stale` row is not of what was asked for, or its live quote is too old: nothing may be decided
    on it. `quote_seq` is 0 for a history; `age_ms` counts from the live quote's arrival, or from
    the row's computation.
    """

    symbol: str
    spec: str
    spec_fingerprint: str
    values: dict[str, float]
    source: str
    stale: bool
    quote_seq: int
    ts_event: int
    age_ms: float


class ModelView(msgspec.Struct, frozen=True):
    """The version that serves a symbol now."""

    symbol: str
    model: str
    version: str
    alias: str
    approved: bool
    cadence: str
    horizon_secs: float
    spec_fingerprint: str
    trained_until_ns: int
    metrics: dict[str, float]


class ScenarioView(msgspec.Struct, frozen=True):
    """A pre-validated symbol, side and volume.

    `margin` is what it needs in account currency at the price it was computed at; `affordable` says
    whether that is free now, and is false while the account cannot be valued.
    """

    account: str
    symbol: str
    side: str
    lots: str
    allowed: bool
    reason: str
    margin: str = ""
    affordable: bool = False


class ScopeView(msgspec.Struct, frozen=True):
    """State of one account, strategy or symbol, and why."""

    state: TradingState
    reason: str


class HoldView(msgspec.Struct, frozen=True):
    """A symbol that decides HOLD for a reason of its own, until it is re-armed."""

    symbol: str
    reason: str


class StateView(msgspec.Struct, frozen=True):
    """What the engine may do now, and why; `scopes` holds what was set beside the global state."""

    state: TradingState
    reason: str
    scopes: dict[str, ScopeView] = {}


class ReadyView(msgspec.Struct, frozen=True):
    """Ready or not; `waiting_for` names what is missing."""

    ready: bool
    waiting_for: list[str]


class TicketView(msgspec.Struct, frozen=True):
    """A ticket for one WebSocket, and the seconds that it is good for."""

    ticket: str
    expires_secs: int


class QuoteView(msgspec.Struct, frozen=True):
    """The newest quote of a symbol; `seq` is its number on the tape."""

    symbol: str
    bid: float
    ask: float
    ts_event: int
    seq: int


class StageView(msgspec.Struct, frozen=True):
    """What a stage took, in µs, since the start."""

    stage: str
    samples: int
    p50_us: float
    p95_us: float
    p99_us: float
    max_us: float


def state_view(states: TradingStates) -> StateView:
    """Show the global state and every other scope that was set."""
    scopes = {name: ScopeView(*found) for name, found in states.scopes().items() if name != GLOBAL}
    return StateView(states.state, states.reason, scopes)


def order_view(order: Order, instruments: InstrumentTable) -> OrderView:
    """Show `order` with its symbol, lots and prices."""
    terms = instruments[order.instrument]
    average = ""
    if order.filled:
        average = str(terms.to_price(1) * order.filled_value / order.filled)
    return OrderView(
        client_order_id=order.client_order_id,
        key=order.key,
        account=order.account,
        strategy=order.strategy,
        symbol=terms.symbol,
        side=order.side.value,
        type=order.type.value,
        time_in_force=order.time_in_force.value,
        lots=str(terms.to_lots(order.quantity)),
        filled_lots=str(terms.to_lots(order.filled)),
        limit_price=_price(terms, order.limit_ticks),
        average_price=average,
        status=order.status.value,
        venue_order_id=order.venue_order_id,
        decision_id=order.decision_id,
        quote_seq=order.quote_seq,
        created_ns=order.created_ns,
        reason=order.reason,
        stop_price=_price(terms, order.stop_ticks),
        expire_ns=order.expire_ns,
        reduce_only=order.reduce_only,
        take_profit=_price(terms, order.take_ticks),
        stop_loss=_price(terms, order.loss_ticks),
        group=order.group,
    )


def _price(terms: Instrument, ticks: int) -> str:
    return str(terms.to_price(ticks)) if ticks else ""


def fill_view(fill: Fill, instruments: InstrumentTable) -> FillView:
    """Show `fill` with its symbol, lots and price."""
    terms = instruments[fill.instrument]
    return FillView(
        venue=fill.venue,
        exec_id=fill.exec_id,
        client_order_id=fill.client_order_id,
        symbol=terms.symbol,
        side=fill.side.value,
        lots=str(terms.to_lots(fill.quantity)),
        price=str(terms.to_price(fill.price_ticks)),
        ts_event=fill.ts_event,
        quote_seq=fill.quote_seq,
    )
