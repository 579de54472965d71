"""Checks 10 to 13: what the account would carry with the order on top, and what it has lost.

An order that only makes a position smaller passes all four.
"""

from core.instruments import Instrument
from core.types import Side
from trading.limits import money
from trading.risk_checks import Breach, RiskContext, above, counted, reduces, whole


def worst_position(ctx: RiskContext) -> Breach | None:
    """10: position if everything on its way is filled, in flight and UNKNOWN at full size."""
    if reduces(ctx):
        return None
    terms, bounds, order = ctx.terms, ctx.bounds, ctx.order
    low, high, quantity = ctx.low, ctx.high, order.quantity
    if type(terms) is not Instrument or bounds is None or not whole(quantity):
        return Breach("order is not known", "an order", str(quantity))
    if not _range(low, high):
        return Breach("position is not known", "a position", f"{low}..{high}")
    if type(order.side) is not Side:
        return Breach("side is not known", "BUY or SELL", str(order.side))
    steps = (high if order.side is Side.BUY else -low) + quantity
    limit = bounds.position_steps
    if whole(limit) and steps <= limit:
        return None
    most = terms.to_lots(limit) if counted(limit) else limit
    return Breach("worst-case lots is above the limit", str(most), str(terms.to_lots(steps)))


def _range(low: object, high: object) -> bool:
    return type(low) is int and type(high) is int and low <= high


def exposure(ctx: RiskContext) -> Breach | None:
    """11: open orders; gross, net, per-instrument and per-currency notional."""
    if reduces(ctx):
        return None
    caps, load, count = ctx.caps, ctx.load, ctx.open_orders
    if not (whole(caps.open_orders) and counted(count) and count < caps.open_orders):
        return Breach("too many open orders", str(caps.open_orders), str(count))
    unit, quantity, low, high = ctx.unit, ctx.order.quantity, ctx.low, ctx.high
    if load is None or unit is None or not (whole(unit) and whole(quantity)):
        return Breach("exposure cannot be valued", "a rate", "no rate")
    if not (counted(load.gross) and _range(load.low, load.high)):
        return Breach("exposure is not known", "an exposure", str(load.gross))
    if not _range(low, high) or type(ctx.order.side) is not Side:
        return Breach("position is not known", "a position", f"{low}..{high}")
    added = unit * quantity
    buys = ctx.order.side is Side.BUY
    before = max(high, -low)
    after = max(high + quantity, -low) if buys else max(high, quantity - low)
    net = max(load.high + added, -load.low) if buys else max(load.high, added - load.low)
    return (
        above("gross notional", load.gross + unit * (after - before), caps.gross_notional)
        or above("net notional", net, caps.net_notional)
        or above("notional of the instrument", unit * after, caps.instrument_notional)
        or _currencies(ctx, added, long_base=buys)
    )


def _currencies(ctx: RiskContext, added: int, *, long_base: bool) -> Breach | None:
    terms, load, limit = ctx.terms, ctx.load, ctx.caps.currency_notional
    currency = ctx.currency
    if type(terms) is not Instrument or load is None or type(currency) is not str:
        return Breach("currency is not known", "known", str(currency))
    if not (_range(*load.base) and _range(*load.quote)):
        return Breach("currency is not known", "an exposure", f"{load.base} {load.quote}")
    for name, bounds, long in (
        (terms.base, load.base, long_base),
        (terms.quote_currency, load.quote, not long_base),
    ):
        if name != currency:
            breach = above(f"{name} notional", _after(bounds, added, adds_long=long), limit)
            if breach is not None:
                return breach
    return None


def _after(bounds: tuple[int, int], added: int, *, adds_long: bool) -> int:
    low, high = bounds
    return max(high + added, -low) if adds_long else max(high, added - low)


def margin(ctx: RiskContext) -> Breach | None:
    """12: equity above its minimum, and margin of everything, reserved too, within equity."""
    if reduces(ctx):
        return None
    equity, least = ctx.equity, ctx.caps.min_equity
    if equity is None or type(equity) is not int:
        return Breach("account cannot be valued", "a rate", "no rate")
    if not (whole(least) and equity >= least):
        limit = money(least) if counted(least) else str(least)
        return Breach("equity is below the minimum", limit, money(equity))
    needed = _margin_after(ctx)
    if needed is None:
        return Breach("margin is not known", money(equity), "no rate")
    if needed <= equity:
        return None
    return Breach("margin exceeds equity", money(equity), money(needed))


def _margin_after(ctx: RiskContext) -> int | None:
    """Margin of the account with the order on top; None when it cannot be told."""
    load, unit, low, high, order = ctx.load, ctx.unit, ctx.low, ctx.high, ctx.order
    if load is None or unit is None or type(order.side) is not Side:
        return None
    up, down = ctx.margin_rate
    if not (_range(low, high) and whole(order.quantity) and whole(unit) and counted(load.margin)):
        return None
    if not (counted(up) and whole(down)):
        return None
    buys = order.side is Side.BUY
    before = max(high, -low)
    after = max(high + order.quantity, -low) if buys else max(high, order.quantity - low)
    return load.margin - (-unit * (after - before) * up // down)


def losses(ctx: RiskContext) -> Breach | None:
    """13: day loss and drawdown below the amounts from which on positions may only shrink."""
    if reduces(ctx):
        return None
    found, caps = ctx.losses, ctx.caps
    if found is None or not (counted(found.day_loss) and counted(found.drawdown)):
        return Breach("losses are not known", "a mark", "none")
    day, drawn = caps.day_loss_reducing, caps.drawdown_reducing
    for limit in (day, caps.day_loss_halted, drawn, caps.drawdown_halted):
        if not whole(limit):
            return Breach("a limit of losses is not set", "> 0", str(limit))
    if found.day_loss >= min(day, caps.day_loss_halted):
        return Breach("day loss is at the limit", money(day), money(found.day_loss))
    if found.drawdown >= min(drawn, caps.drawdown_halted):
        return Breach("drawdown is at the limit", money(drawn), money(found.drawdown))
    return None
