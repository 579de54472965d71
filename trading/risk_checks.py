"""Pre-trade checks 0 to 9, each a small pure function from a context to a breach or None.

What a check looks at must be there, of the right kind and in its domain; whatever else it finds is
a breach. Limits of zero let nothing pass, see `trading.limits`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from core.instruments import Instrument
from core.quotes import is_sound
from core.types import Order, OrderType, Quote, Side, TimeInForce, TradingState
from trading.limits import Bounds, Caps, money
from trading.losses import Losses
from trading.marks import Mark
from trading.sessions import Week
from trading.valuation import Load


class Breach(NamedTuple):
    """Why a check says no."""

    reason: str
    limit: str
    observed: str


class Basis(NamedTuple):
    """The decision that an order follows; a caller's own order needs none.

    `quote_seq` is the tape position that was decided on.
    """

    required: bool
    decided_ns: int
    approved: bool
    quote_seq: int


CALLERS_OWN = Basis(False, 0, False, 0)


@dataclass(slots=True)
class RiskContext:
    """All that the checks look at for one order: plain values, gathered at one moment.

    Attributes
    ----------
    now_ns : int
        When they were gathered.
    state : TradingState
        Most restrictive state of the order's scopes.
    account, currency : str
        The account that callers may trade, and its money.
    terms : Instrument or None
        None when the order names no known instrument.
    bounds : Bounds or None
        None when `terms` is.
    week : Week
        The trading week that the newest quote of the instrument fell in when last looked at.
    quote, mark : Quote, Mark or None
        Newest quote, and its prices in ticks when it is sound.
    converts : bool
        Money of the instrument becomes account currency by the quote `conversion`.
    unit : int or None
        Notional of one lot step in millionths of account currency.
    margin_rate : (int, int)
        Margin over notional, as a ratio.
    seen : bool
        The client order id was used before.
    same_ns : int
        When an order with the same content was last sent; 0 for never.
    low, high : int
        Positions that can come of what is on its way, in lot steps.
    reducible : int
        Lot steps that the order's side can take off the position.
    open_orders : int
        Orders of the account that may still be filled.
    load : Load or None
        What the account carries without the order; None when it cannot be valued.
    equity : int or None
        Equity in millionths of account currency; None when it cannot be valued.
    losses : Losses or None
        Day loss and drawdown as of the last mark.
    tokens : int
        What is left of the order rate of strategy and instrument, in parts of `limits.TOKEN`.
    opposing : int
        Best price in ticks of the account's own orders that rest on the other side; 0 for none.
    executions : int
        Orders of strategy, instrument and side that were executed within the window.
    basis : Basis
        The decision that the order follows.
    """

    order: Order
    now_ns: int
    state: TradingState
    account: str
    currency: str
    session_ready: bool
    journal_healthy: bool
    terms: Instrument | None
    bounds: Bounds | None
    caps: Caps
    week: Week
    quote: Quote | None
    mark: Mark | None
    converts: bool | None
    conversion: Quote | None
    unit: int | None
    margin_rate: tuple[int, int]
    seen: bool
    same_ns: int
    low: int
    high: int
    reducible: int
    open_orders: int
    load: Load | None
    equity: int | None
    losses: Losses | None
    tokens: int
    opposing: int
    executions: int
    basis: Basis


Check = Callable[[RiskContext], Breach | None]


def whole(value: object) -> bool:
    """Say whether it is a whole number above zero."""
    return type(value) is int and value > 0


def counted(value: object) -> bool:
    """Say whether it is a whole number, zero included."""
    return type(value) is int and value >= 0


def sided(value: object) -> bool:
    """Say whether it is a side."""
    return type(value) is Side


def reduces(ctx: RiskContext) -> bool:
    """Say whether the order only makes the position smaller; raises ValueError if unknown."""
    quantity, reducible = ctx.order.quantity, ctx.reducible
    if type(quantity) is int and type(reducible) is int and quantity > 0 <= reducible:
        return quantity <= reducible
    raise ValueError(f"{quantity} of {reducible} that can be reduced")


def trading_state(ctx: RiskContext) -> Breach | None:
    """0: ACTIVE, or an order that only reduces; one that says it reduces does."""
    order, state = ctx.order, ctx.state
    if state is TradingState.ACTIVE:
        if order.reduce_only is False or reduces(ctx):
            return None
        reason = "order would not only reduce"
    elif (state is TradingState.REDUCING or state is TradingState.HALTED) and reduces(ctx):
        return None
    else:
        reason = f"trading is {state}"
    return Breach(reason, f"reduce by {ctx.reducible}", str(order.quantity))


def account_right(ctx: RiskContext) -> Breach | None:
    """1: the account is the one that is traded here."""
    ours, named = ctx.account, ctx.order.account
    if type(ours) is str and ours and named == ours:
        return None
    return Breach("account is not traded here", str(ours), str(named))


def session(ctx: RiskContext) -> Breach | None:
    """2: order session reconciled, journal healthy."""
    if ctx.session_ready is not True:
        return Breach("order session is not ready", "ready", "not ready")
    if ctx.journal_healthy is not True:
        return Breach("journal is not healthy", "healthy", "failed")
    return None


def instrument(ctx: RiskContext) -> Breach | None:
    """3: instrument known and not restricted, its market open by the tape's time."""
    terms, bounds, quote = ctx.terms, ctx.bounds, ctx.quote
    if type(terms) is not Instrument or bounds is None:
        return Breach("instrument is unknown", "known", str(ctx.order.instrument))
    if bounds.allowed is not True:
        return Breach("instrument is restricted", "allowed", terms.symbol)
    opens, closes = ctx.week.open_ns, ctx.week.close_ns
    if quote is not None and type(opens) is int and type(closes) is int:
        tape_ns = quote.ts_event
        if type(tape_ns) is int and tape_ns > 0 and opens <= tape_ns < closes:
            return None
    tape = "no quote" if quote is None else str(quote.ts_event)
    return Breach("market is closed", f"{opens}..{closes}", tape)


def well_formed(ctx: RiskContext) -> Breach | None:
    """4: known enums, whole lot steps and price ticks.

    Never answered by a scenario: it knows neither price nor type, and where it is looked up ``10``,
    ``10.0`` and ``"BUY"`` find the same as what they stand for.
    """
    order = ctx.order
    if not sided(order.side):
        return Breach("unknown enum value", "Side", str(order.side))
    if type(order.type) is not OrderType:
        return Breach("unknown enum value", "OrderType", str(order.type))
    if type(order.time_in_force) is not TimeInForce:
        return Breach("unknown enum value", "TimeInForce", str(order.time_in_force))
    quantity, limit = order.quantity, order.limit_ticks
    if type(quantity) is not int or quantity <= 0:
        return Breach("quantity is not a positive whole number", "1", str(quantity))
    if type(limit) is not int or limit <= 0:
        return Breach("price is not a positive number of ticks", "1", str(limit))
    return _triggers(order)


def _triggers(order: Order) -> Breach | None:
    """Ask for a stop price where the type needs one, for an expiry where the time in force does."""
    kind, lasts, stop, expiry = order.type, order.time_in_force, order.stop_ticks, order.expire_ns
    stops = kind is OrderType.STOP or kind is OrderType.STOP_LIMIT
    if type(stop) is not int or stop < 0 or stops is not (stop > 0):
        return Breach("stop price does not fit the type", kind, str(stop))
    ends = lasts is TimeInForce.GTD or lasts is TimeInForce.DAY
    if type(expiry) is not int or expiry < 0 or ends is not (expiry > 0):
        return Breach("expiry does not fit", lasts, str(expiry))
    if stops and not (ends or lasts is TimeInForce.GTC):
        return Breach("a stop order waits, so it cannot be immediate", "GTC", lasts)
    return None


def lots_allowed(ctx: RiskContext) -> Breach | None:
    """4: lots within the instrument's bounds."""
    terms, bounds, quantity = ctx.terms, ctx.bounds, ctx.order.quantity
    if type(terms) is not Instrument or bounds is None or type(quantity) is not int:
        return Breach("lots are not known", "known", str(quantity))
    least, most = bounds.min_steps, bounds.max_steps
    if type(least) is int and type(most) is int and 0 < least <= quantity <= most:
        return None
    lots = str(terms.to_lots(quantity))
    return Breach("lots out of bounds", f"{terms.min_lots}..{terms.max_lots}", lots)


def client_id(ctx: RiskContext) -> Breach | None:
    """5: the client order id is new."""
    name = ctx.order.client_order_id
    if ctx.seen is False and type(name) is str and name:
        return None
    return Breach("client order id was used", "unseen", str(name))


def duplicate(ctx: RiskContext) -> Breach | None:
    """6: no order with the same content within the window."""
    window, sent, now = ctx.caps.duplicate_ns, ctx.same_ns, ctx.now_ns
    if type(window) is not int or window <= 0:
        return Breach("duplicate window is not set", "> 0 ms", str(window))
    if type(sent) is not int or sent < 0 or not whole(now):
        return Breach("it is not known what was sent", "a time", str(sent))
    if sent and not now - sent > window:
        age = (now - sent) / 1e6
        return Breach("same content within the window", f"{window / 1e6} ms", f"{age} ms")
    return None


def quote_fresh(ctx: RiskContext) -> Breach | None:
    """7: sound quotes of the instrument and of what converts it, not older than the limit."""
    breach = _quote_fresh(ctx, ctx.quote, "quote")
    if breach is not None or ctx.converts is False:
        return breach
    if ctx.converts is not True:
        return Breach("conversion is not known", "known", str(ctx.converts))
    return _quote_fresh(ctx, ctx.conversion, "conversion quote")


def _quote_fresh(ctx: RiskContext, quote: Quote | None, what: str) -> Breach | None:
    if quote is None:
        return Breach(f"no {what}", "a quote", "none")
    if not is_sound(quote.bid, quote.ask):
        return Breach(f"{what} is not sound", "0 < bid <= ask", f"{quote.bid}/{quote.ask}")
    limit, received, now = ctx.caps.quote_age_ns, quote.ts_recv, ctx.now_ns
    known = type(limit) is int and type(received) is int and type(now) is int and received > 0
    if known and 0 <= now - received < limit:
        return None
    age = (now - received) / 1e6
    return Breach(f"{what} is stale", f"{limit / 1e6} ms", f"{age} ms")


def collar(ctx: RiskContext) -> Breach | None:
    """8: the limit price is no further through the market than the collar.

    A stop order executes behind its trigger, so its limit is measured from there.
    """
    order, mark, bounds = ctx.order, ctx.mark, ctx.bounds
    if mark is None or bounds is None:
        return Breach("no price or no collar", "a collar", "no price")
    width, limit, stop, side = bounds.collar_ticks, order.limit_ticks, order.stop_ticks, order.side
    if type(width) is not int or width <= 0 or type(limit) is not int or limit <= 0:
        return Breach("no price or no collar", f"{width} ticks", f"{limit} ticks")
    bid, ask = mark.bid_ticks, mark.ask_ticks
    if not (whole(bid) and whole(ask) and type(stop) is int and stop >= 0 and sided(side)):
        return Breach("price is not known", f"{width} ticks", f"{limit} at {mark}")
    through = limit - (stop or ask) if side is Side.BUY else (stop or bid) - limit
    if through <= width:
        return None
    return Breach("price is beyond the collar", f"{width} ticks", f"{through} ticks")


def order_size(ctx: RiskContext) -> Breach | None:
    """9: quantity and notional of the order."""
    terms, bounds, quantity = ctx.terms, ctx.bounds, ctx.order.quantity
    unit, most = ctx.unit, ctx.caps.order_notional
    if type(terms) is not Instrument or bounds is None or not whole(quantity):
        return Breach("order size is not known", "a size", str(quantity))
    steps = bounds.order_steps
    if type(steps) is not int or quantity > steps:
        limit = terms.to_lots(steps) if counted(steps) else steps
        return Breach("order is too large", f"{limit} lots", f"{terms.to_lots(quantity)} lots")
    if type(unit) is not int or unit <= 0:
        return Breach("notional is not known", str(most), "no rate")
    return above("order notional", unit * quantity, most)


def above(what: str, observed: int, limit: int) -> Breach | None:
    """Breach when millionths of money are above a limit, or the limit is zero or none."""
    if type(observed) is int and type(limit) is int and observed <= limit > 0:
        return None
    if type(observed) is int and type(limit) is int:
        return Breach(f"{what} is above the limit", money(limit), money(observed))
    return Breach(f"{what} is not known", str(limit), str(observed))
