"""The pre-trade checks, each a small pure function from a context to a breach or None.

Comparisons are written so that NaN fails them, and a limit of zero lets nothing pass. What a check
cannot see (a missing quote, rate or setting) is a breach.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor, isfinite
from sys import maxsize
from typing import NamedTuple

from core.config import RiskConfig
from core.instruments import Instrument
from core.quotes import is_sound
from core.types import Order, OrderType, Side, TimeInForce, TradingState
from trading.load import Load, load_with
from trading.marks import Marks
from trading.orders import OrderBook
from trading.portfolio import Portfolio
from trading.sessions import Week

_ZERO = Decimal(0)


class Breach(NamedTuple):
    """Why a check says no."""

    reason: str
    limit: str
    observed: str


class Bounds(NamedTuple):
    """Limits of one instrument in whole lot steps and price ticks, worked out once.

    Lots are within a limit exactly when their steps are within the limit's whole steps. A limit
    that is no number becomes zero, which denies.
    """

    min_steps: int
    max_steps: int
    order_steps: int
    position_steps: int
    collar_ticks: int


def bounds_of(limits: RiskConfig, terms: Instrument) -> Bounds:
    """Express the limits in the instrument's own units."""
    width = limits.collar_pips * terms.pip * float(10**terms.digits)
    return Bounds(
        ceil(Fraction(terms.min_lots) / Fraction(terms.lot_step)),
        _whole_steps(terms.max_lots, terms),
        _whole_steps(limits.max_order_lots, terms),
        _whole_steps(limits.max_position_lots, terms),
        round(width) if isfinite(width) else 0,
    )


def _whole_steps(lots: Decimal, terms: Instrument) -> int:
    if lots.is_finite():
        # In fractions, because a quotient of decimals may round up to the next whole step.
        return max(0, floor(Fraction(lots) / Fraction(terms.lot_step)))
    return maxsize if lots.is_infinite() and not lots.is_signed() else 0


@dataclass(slots=True)
class RiskContext:
    """All that the checks may look at, for one order.

    Attributes
    ----------
    order : Order
    state : TradingState
        Most restrictive state of the order's scopes.
    account : str
        The account that callers may trade.
    terms : Instrument or None
        None when the order names no known instrument.
    bounds : Bounds or None
        None when `terms` is.
    week : Week
        The trading week that the newest quote of the instrument fell in when last looked at.
    seen_ns : int
        When an order with the same content was last sent; 0 for never.
    reducible : int
        Lot steps that the order's side can take off the position.
    """

    order: Order
    now_ns: int
    state: TradingState
    account: str
    session_ready: bool
    journal_healthy: bool
    terms: Instrument | None
    bounds: Bounds | None
    limits: RiskConfig
    book: OrderBook
    portfolio: Portfolio
    marks: Marks
    week: Week
    seen_ns: int
    reducible: int
    _load: tuple[Load | None] | None = field(default=None, init=False)

    @property
    def reduces(self) -> bool:
        """True when the order only makes the position smaller."""
        return 0 < self.order.quantity <= self.reducible

    @property
    def instrument(self) -> Instrument:
        """The known instrument; without one the error denies."""
        if self.terms is None:
            raise LookupError("instrument is unknown")
        return self.terms

    @property
    def within(self) -> Bounds:
        """Bounds of the known instrument; without one the error denies."""
        if self.bounds is None:
            raise LookupError("instrument is unknown")
        return self.bounds

    def load(self) -> Load | None:
        """Return what the account would carry with the order on top; worked out once."""
        if self._load is None:
            order = self.order
            steps = order.quantity if order.side is Side.BUY else -order.quantity
            self._load = (load_with(self.portfolio, self.marks, order.instrument, steps),)
        return self._load[0]


def trading_state(ctx: RiskContext) -> Breach | None:
    """0: ACTIVE, or an order that only reduces."""
    if ctx.state is TradingState.ACTIVE:
        return None
    if ctx.state in (TradingState.REDUCING, TradingState.HALTED) and ctx.reduces:
        return None
    return Breach(f"trading is {ctx.state}", f"reduce by {ctx.reducible}", str(ctx.order.quantity))


def account_right(ctx: RiskContext) -> Breach | None:
    """1: the account is the one that is traded here."""
    if ctx.order.account == ctx.account and ctx.account:
        return None
    return Breach("account is not traded here", ctx.account, ctx.order.account)


def session(ctx: RiskContext) -> Breach | None:
    """2: order session reconciled, journal healthy."""
    if ctx.session_ready is not True:
        return Breach("order session is not ready", "ready", "not ready")
    if ctx.journal_healthy is not True:
        return Breach("journal is not healthy", "healthy", "failed")
    return None


def instrument(ctx: RiskContext) -> Breach | None:
    """3: instrument known and not restricted, its market open by the tape's time."""
    terms = ctx.terms
    if terms is None:
        return Breach("instrument is unknown", "known", str(ctx.order.instrument))
    if terms.symbol not in ctx.limits.symbols:
        return Breach("instrument is restricted", ",".join(ctx.limits.symbols), terms.symbol)
    quote = ctx.marks.quote(terms.id)
    if quote is None or not ctx.week.contains(quote.ts_event):
        tape = "no quote" if quote is None else str(quote.ts_event)
        return Breach("market is closed", f"{ctx.week.open_ns}..{ctx.week.close_ns}", tape)
    return None


def well_formed(ctx: RiskContext) -> Breach | None:
    """4: known enums, whole lot steps and price ticks.

    Never answered by a scenario: it knows neither price nor type, and where it is looked up ``10``,
    ``10.0`` and ``"BUY"`` find the same as what they stand for.
    """
    order = ctx.order
    enums = ((order.side, Side), (order.type, OrderType), (order.time_in_force, TimeInForce))
    for value, kind in enums:
        if not isinstance(value, kind):
            return Breach("unknown enum value", kind.__name__, str(value))
    if type(order.quantity) is not int or order.quantity <= 0:
        return Breach("quantity is not a positive whole number", "1", str(order.quantity))
    if type(order.limit_ticks) is not int or order.limit_ticks <= 0:
        return Breach("price is not a positive number of ticks", "1", str(order.limit_ticks))
    return None


def lots_allowed(ctx: RiskContext) -> Breach | None:
    """4: lots within the instrument's bounds."""
    within = ctx.within
    if within.min_steps <= ctx.order.quantity <= within.max_steps:
        return None
    terms = ctx.instrument
    lots = terms.to_lots(ctx.order.quantity)
    return Breach("lots out of bounds", f"{terms.min_lots}..{terms.max_lots}", str(lots))


def client_id(ctx: RiskContext) -> Breach | None:
    """5: the client order id is new."""
    if ctx.book.get(ctx.order.client_order_id) is None and ctx.order.client_order_id:
        return None
    return Breach("client order id was used", "unseen", ctx.order.client_order_id)


def duplicate(ctx: RiskContext) -> Breach | None:
    """6: no order with the same content within the window."""
    window = ctx.limits.duplicate_window_ms
    if not window > 0.0:
        return Breach("duplicate window is not set", "> 0 ms", str(window))
    age = ctx.now_ns - ctx.seen_ns
    if ctx.seen_ns and not age > window * 1e6:
        return Breach("same content within the window", f"{window} ms", f"{age / 1e6} ms")
    return None


def quote_fresh(ctx: RiskContext) -> Breach | None:
    """7: sound quotes of the instrument and of what converts it, not older than the limit."""
    instrument = ctx.instrument.id
    breach = _quote_fresh(ctx, instrument, "quote")
    converter = ctx.marks.converter(instrument)
    if breach is not None or converter is None:
        return breach
    return _quote_fresh(ctx, converter, "conversion quote")


def _quote_fresh(ctx: RiskContext, instrument: int, what: str) -> Breach | None:
    quote = ctx.marks.quote(instrument)
    if quote is None:
        return Breach(f"no {what}", "a quote", "none")
    if not is_sound(quote.bid, quote.ask):
        return Breach(f"{what} is not sound", "0 < bid <= ask", f"{quote.bid}/{quote.ask}")
    age_ms = (ctx.now_ns - quote.ts_recv) / 1e6
    if not (0.0 <= age_ms < ctx.limits.max_quote_age_ms):
        return Breach(f"{what} is stale", f"{ctx.limits.max_quote_age_ms} ms", f"{age_ms} ms")
    return None


def collar(ctx: RiskContext) -> Breach | None:
    """8: the limit price is no further through the market than the collar."""
    mark, width = ctx.marks.mark(ctx.instrument.id), ctx.within.collar_ticks
    if mark is None or not width > 0:
        return Breach("no price or no collar", f"{width} ticks", "no price")
    if ctx.order.side is Side.BUY:
        through = ctx.order.limit_ticks - mark.ask_ticks
    else:
        through = mark.bid_ticks - ctx.order.limit_ticks
    if not through <= width:
        return Breach("price is beyond the collar", f"{width} ticks", f"{through} ticks")
    return None


def order_size(ctx: RiskContext) -> Breach | None:
    """9: quantity and notional of the order."""
    terms = ctx.instrument
    if not ctx.order.quantity <= ctx.within.order_steps:
        lots = terms.to_lots(ctx.order.quantity)
        return Breach("order is too large", f"{ctx.limits.max_order_lots} lots", f"{lots} lots")
    unit = ctx.marks.step_notional(terms.id)
    if unit is None:
        return Breach("notional is not known", str(ctx.limits.max_order_notional), "no rate")
    return above("order notional", unit * ctx.order.quantity, ctx.limits.max_order_notional)


def worst_position(ctx: RiskContext) -> Breach | None:
    """10: position if everything on its way is filled, in flight and UNKNOWN at full size."""
    if ctx.reduces:
        return None
    terms = ctx.instrument
    low, high = ctx.portfolio.exposure(terms.id)
    steps = (high if ctx.order.side is Side.BUY else -low) + ctx.order.quantity
    limit = ctx.within.position_steps
    if steps <= limit and limit > 0:
        return None
    lots, most = terms.to_lots(steps), ctx.limits.max_position_lots
    return Breach("worst-case lots is above the limit", str(most), str(lots))


def above(what: str, observed: Decimal, limit: Decimal) -> Breach | None:
    """Breach when `observed` is above `limit`, or the limit is zero."""
    if observed <= limit and limit > _ZERO:
        return None
    return Breach(f"{what} is above the limit", str(limit), str(observed))


Check = Callable[[RiskContext], Breach | None]
