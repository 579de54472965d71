"""Checks 10 to 13: what the account would carry with the order on top, and what it has lost.

An order that only makes a position smaller passes all four.
"""

from core.instruments import Instrument
from core.types import Side
from trading.limits import money
from trading.risk_checks import Breach, RiskContext, above, counted, reduces
from trading.valuation import Load


def worst_position(ctx: RiskContext) -> Breach | None:
    """10: position if everything on its way is filled, in flight and UNKNOWN at full size."""
    if reduces(ctx):
        return None
    terms, bounds, order = ctx.terms, ctx.bounds, ctx.order
    worst = _worst(ctx)
    if worst is None or bounds is None or type(terms) is not Instrument:
        return Breach("position is not known", "a position", f"{ctx.low}..{ctx.high}")
    steps = (ctx.high if order.side is Side.BUY else -ctx.low) + order.quantity
    limit = bounds.position_steps
    if type(limit) is int and steps <= limit > 0:
        return None
    most = terms.to_lots(limit) if counted(limit) else limit
    return Breach("worst-case lots is above the limit", str(most), str(terms.to_lots(steps)))


def _worst(ctx: RiskContext) -> tuple[int, int] | None:
    """Largest position without and with the order, in lot steps; None when it cannot be told."""
    low, high, order = ctx.low, ctx.high, ctx.order
    quantity, side = order.quantity, order.side
    if not (type(low) is int and type(high) is int and low <= high and type(side) is Side):
        return None
    if type(quantity) is not int or quantity <= 0:
        return None
    before = high if high >= -low else -low
    after = high + quantity if side is Side.BUY else quantity - low
    return before, after if after > before else before


def exposure(ctx: RiskContext) -> Breach | None:
    """11: open orders; gross, net, per-instrument and per-currency notional."""
    if reduces(ctx):
        return None
    most, count = ctx.caps.open_orders, ctx.open_orders
    if not (type(most) is int and type(count) is int and 0 <= count < most):
        return Breach("too many open orders", str(most), str(count))
    load, unit, worst = ctx.load, ctx.unit, _worst(ctx)
    if load is None or worst is None or type(unit) is not int or unit <= 0:
        return Breach("exposure cannot be valued", "a rate", "no rate")
    if not (counted(load.gross) and type(load.low) is int and type(load.high) is int):
        return Breach("exposure is not known", "an exposure", str(load.gross))
    if load.low > load.high:
        return Breach("exposure is not known", "low to high", f"{load.low}..{load.high}")
    return _notionals(ctx, load, unit, worst)


def _notionals(ctx: RiskContext, load: Load, unit: int, worst: tuple[int, int]) -> Breach | None:
    caps, (before, after) = ctx.caps, worst
    added = unit * ctx.order.quantity
    if ctx.order.side is Side.BUY:
        net = max(load.high + added, -load.low)
    else:
        net = max(load.high, added - load.low)
    return (
        above("gross notional", load.gross + unit * (after - before), caps.gross_notional)
        or above("net notional", net, caps.net_notional)
        or above("notional of the instrument", unit * after, caps.instrument_notional)
        or _currencies(ctx, added)
    )


def _currencies(ctx: RiskContext, added: int) -> Breach | None:
    """Judge the two currencies of the instrument: long the base is short the quote."""
    terms, load, currency = ctx.terms, ctx.load, ctx.currency
    if type(terms) is not Instrument or load is None or type(currency) is not str:
        return Breach("currency is not known", "known", str(currency))
    limit, buys = ctx.caps.currency_notional, ctx.order.side is Side.BUY
    for name, bounds, adds_long in (
        (terms.base, load.base, buys),
        (terms.quote_currency, load.quote, not buys),
    ):
        if name == currency:
            continue
        low, high = bounds
        if not (type(low) is int and type(high) is int and low <= high):
            return Breach(f"{name} notional is not known", str(limit), str(bounds))
        low, high = (low, high + added) if adds_long else (low - added, high)
        observed = high if high >= -low else -low
        if not (type(limit) is int and observed <= limit > 0):
            return above(f"{name} notional", observed, limit)
    return None


def margin(ctx: RiskContext) -> Breach | None:
    """12: equity above its minimum, and margin of everything, reserved too, within equity."""
    if reduces(ctx):
        return None
    equity, least = ctx.equity, ctx.caps.min_equity
    if equity is None or type(equity) is not int:
        return Breach("account cannot be valued", "a rate", "no rate")
    if not (type(least) is int and equity >= least > 0):
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
    load, unit, worst = ctx.load, ctx.unit, _worst(ctx)
    if load is None or worst is None or type(unit) is not int or unit <= 0:
        return None
    up, down = ctx.margin_rate
    held = load.margin
    if not (type(up) is int and type(down) is int and up >= 0 < down and counted(held)):
        return None
    return held - (-unit * (worst[1] - worst[0]) * up // down)


def losses(ctx: RiskContext) -> Breach | None:
    """13: day loss and drawdown below the amounts from which on positions may only shrink."""
    if reduces(ctx):
        return None
    found, caps = ctx.losses, ctx.caps
    if found is None:
        return Breach("losses are not known", "a mark", "none")
    return _lost("day loss", found.day_loss, caps.day_loss_reducing, caps.day_loss_halted) or _lost(
        "drawdown", found.drawdown, caps.drawdown_reducing, caps.drawdown_halted
    )


def _lost(what: str, lost: int, reducing: int, halted: int) -> Breach | None:
    if not (type(reducing) is int and type(halted) is int and reducing > 0 < halted):
        return Breach(f"limit of {what} is not set", "> 0", f"{reducing}, {halted}")
    if type(lost) is not int or lost < 0:
        return Breach(f"{what} is not known", "a mark", str(lost))
    if lost < reducing and lost < halted:
        return None
    return Breach(f"{what} is at the limit", money(min(reducing, halted)), money(lost))
