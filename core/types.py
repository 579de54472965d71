"""The nouns of the house: frozen records that every package may know.

Prices in quotes are floats in quote currency. Orders, fills and positions use integers: prices in
price ticks (``10 ** -digits``), quantities in lot steps. Times are integer nanoseconds UTC.
"""

from enum import StrEnum

import msgspec


class Word(StrEnum):
    """A word of a closed list; it hashes as its text does, without a detour through Python."""

    __hash__ = str.__hash__


class Side(Word):
    """Side of an order or a fill."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class Direction(Word):
    """What a decision says."""

    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


class OrderType(Word):
    """Order types that the order path carries.

    A stop order waits for the market to reach its stop price and is then a market (STOP) or limit
    (STOP_LIMIT) order.
    """

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"


class TimeInForce(Word):
    """How long an order works: until canceled, not at all, until a time, until the day's end.

    A day ends at 17:00 New York. Times are those of the venue's tape.
    """

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTD = "GTD"
    DAY = "DAY"


class OrderStatus(Word):
    """States of an order; the legal moves stand in `trading.orders`."""

    INITIALIZED = "INITIALIZED"
    DENIED = "DENIED"
    SUBMITTED = "SUBMITTED"
    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    PENDING_CANCEL = "PENDING_CANCEL"
    PENDING_REPLACE = "PENDING_REPLACE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"


class OrderEventKind(Word):
    """What can happen to an order."""

    DENY = "DENY"
    SUBMIT = "SUBMIT"
    LOSE = "LOSE"
    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    REQUEST_CANCEL = "REQUEST_CANCEL"
    REJECT_CANCEL = "REJECT_CANCEL"
    CANCEL = "CANCEL"
    REQUEST_REPLACE = "REQUEST_REPLACE"
    REJECT_REPLACE = "REJECT_REPLACE"
    REPLACE = "REPLACE"
    EXPIRE = "EXPIRE"
    FILL = "FILL"


class TradingState(Word):
    """What the engine may do: open, only reduce, or nothing but cancel and reduce on command."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class Cadence(Word):
    """When a feature row (and so a prediction) exists: on each tick or on each closed bar."""

    TICK = "tick"
    BAR = "bar"


class Quote(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One bid/ask pair, or the last pair of a summarised span such as a minute of a bar file.

    Attributes
    ----------
    instrument : int
        Dense instrument id (`core.instruments.InstrumentTable`).
    seq : int
        Position on the instrument's tape, from 1; 0 when the source has none.
    ts_event, ts_recv : int
        Venue time and our receive time, ns UTC.
    bid, ask : float
        Prices in quote currency.
    volume : float
        Volume of the record in the source's unit; 0 when the source has none.
    span_ns : int
        Time that the record stands for, ending at `ts_event`: 0 for a tick, 60e9 for a minute.
    open, high, low : float
        Mid prices over the span; all equal to the mid for a tick.
    """

    instrument: int
    seq: int
    ts_event: int
    ts_recv: int
    bid: float
    ask: float
    volume: float
    span_ns: int
    open: float
    high: float
    low: float

    @property
    def mid(self) -> float:
        """Middle of bid and ask, in quote currency."""
        return 0.5 * (self.bid + self.ask)


def tick(
    instrument: int,
    seq: int,
    ts_event: int,
    bid: float,
    ask: float,
    *,
    ts_recv: int = 0,
    volume: float = 0.0,
) -> Quote:
    """Build the `Quote` of a single tick: no span, open = high = low = mid."""
    mid = 0.5 * (bid + ask)
    return Quote(instrument, seq, ts_event, ts_recv or ts_event, bid, ask, volume, 0, mid, mid, mid)


class Prediction(msgspec.Struct, frozen=True, gc=False):
    """Output of a model for one row, with what the decision needs to price it.

    Attributes
    ----------
    p : float
        Calibrated P(mid is up over the horizon).
    expected_move_pips : float
        In-fold estimate of E|mid move| over the horizon, in pips.
    approved : bool
        True when the version serves as ``champion``; a ``bootstrap`` version may only be watched.
    in_domain : bool
        False when the row lies outside of what the model has learnt from.
    radius_pips : float
        Half-width of the conformal interval around the expected move; 0 for a model without one.
    """

    p: float
    model: str
    model_version: str
    spec_fingerprint: str
    horizon_ns: int
    expected_move_pips: float
    approved: bool
    in_domain: bool = True
    radius_pips: float = 0.0


class Signal(msgspec.Struct, frozen=True, gc=False):
    """What the decision policy makes of a prediction."""

    direction: Direction
    confidence: float
    edge_pips: float
    reason: str


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Record of one walk from a quote to BUY, SELL or HOLD; `stages_us` is per stage, in us."""

    decision_id: str
    symbol: str
    direction: Direction
    confidence: float
    raw_score: float
    edge_pips: float
    reason: str
    model: str
    model_version: str
    spec_fingerprint: str
    quote_seq: int
    ts_event: int
    ts_decide: int
    stages_us: dict[str, float]


class Amendment(msgspec.Struct, frozen=True, gc=False):
    """New terms of an order that works: whole quantity in lot steps, prices in price ticks.

    A zero leaves the term as it is.
    """

    quantity: int = 0
    limit_ticks: int = 0
    stop_ticks: int = 0
    expire_ns: int = 0


class Order(msgspec.Struct, frozen=True, gc=False):
    """An order and where it stands.

    `quantity` and `filled` are lot steps; `limit_ticks` is the limit price in price ticks (a market
    order goes out as a marketable limit, so it has one as well, and so does a stop order). `key` is
    the idempotency key that `client_order_id` derives from. `quote_seq` is the tape position the
    order was decided on. `expire_ns` is the venue's time at which a GTD or DAY order ends.

    `pending` holds the terms that were asked for and not answered; exposure counts the larger
    quantity of the two. `asked` holds the first terms of an order that was replaced. `take_ticks`
    and `loss_ticks` of a bracket's entry are the prices of its exits, 0 for none; the exits of one
    execution share a `group`, of which one cancels the other.
    """

    client_order_id: str
    key: str
    account: str
    strategy: str
    instrument: int
    side: Side
    quantity: int
    type: OrderType
    limit_ticks: int
    time_in_force: TimeInForce
    created_ns: int
    quote_seq: int
    status: OrderStatus = OrderStatus.INITIALIZED
    filled: int = 0
    filled_value: int = 0
    venue_order_id: str = ""
    decision_id: str = ""
    reason: str = ""
    submitted_ns: int = 0
    stop_ticks: int = 0
    expire_ns: int = 0
    reduce_only: bool = False
    take_ticks: int = 0
    loss_ticks: int = 0
    group: str = ""
    pending: Amendment | None = None
    asked: Amendment | None = None

    @property
    def leaves(self) -> int:
        """Lot steps not filled yet, by the larger of the held and the asked-for quantity."""
        asked = self.pending
        if asked is not None and asked.quantity > self.quantity:
            return asked.quantity - self.filled
        return self.quantity - self.filled


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One execution, keyed by (`venue`, `exec_id`)."""

    venue: str
    exec_id: str
    client_order_id: str
    instrument: int
    side: Side
    quantity: int
    price_ticks: int
    ts_event: int
    quote_seq: int


class OrderEvent(msgspec.Struct, frozen=True, gc=False):
    """Something that happened to one order.

    `fill` is set when `kind` is FILL, `terms` when it is REQUEST_REPLACE or REPLACE.
    """

    client_order_id: str
    kind: OrderEventKind
    ts_event: int
    venue_order_id: str = ""
    reason: str = ""
    quote_seq: int = 0
    fill: Fill | None = None
    terms: Amendment | None = None


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A "no" as a value: the check, its limit, what was observed, and what would have passed."""

    check: str
    reason: str
    limit: str
    observed: str
    largest_lots: str = "0"
