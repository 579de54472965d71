"""Checks 14 to 17: how the strategy behaves, and what the order rests on."""

from core.types import Side
from trading.limits import TOKEN
from trading.risk_checks import Breach, RiskContext, whole


def rate(ctx: RiskContext) -> Breach | None:
    """14: orders per second of strategy and symbol; cancels have a bucket of their own."""
    caps, tokens = ctx.caps, ctx.tokens
    rate, burst = caps.order_rate, caps.order_burst
    if not (type(rate) is int and type(burst) is int and rate > 0 < burst):
        return Breach("a rate is not set", "> 0", f"{rate}, {burst}")
    if not (whole(caps.cancel_rate) and whole(caps.cancel_burst)):
        return Breach("no rate is set for cancels", "> 0", f"{caps.cancel_rate}")
    if type(tokens) is int and tokens >= TOKEN:
        return None
    per_second = f"{caps.order_rate * 1e9 / TOKEN:g} a second"
    return Breach("too many orders of the strategy in the symbol", per_second, "over the rate")


def self_trade(ctx: RiskContext) -> Breach | None:
    """15: the price does not reach an order of our own that rests on the other side."""
    order, own = ctx.order, ctx.opposing
    limit = order.limit_ticks
    if type(own) is not int or own < 0 or type(limit) is not int or limit <= 0:
        return Breach("own orders are not known", "known", str(own))
    if type(order.side) is not Side:
        return Breach("side is not known", "BUY or SELL", str(order.side))
    buys = order.side is Side.BUY
    meets = limit >= own if buys else limit <= own
    if not (own and meets):
        return None
    return Breach("would meet an order of our own", f"{own} ticks", f"{order.limit_ticks} ticks")


def executions(ctx: RiskContext) -> Breach | None:
    """16: the strategy's orders were not executed over and over; if so a human re-arms it."""
    limit, window, count = ctx.caps.executions, ctx.caps.executions_ns, ctx.executions
    if type(limit) is int and type(count) is int and 0 <= count < limit and whole(window):
        return None
    return Breach("repeated executions of the strategy", str(limit), str(count))


def decision(ctx: RiskContext) -> Breach | None:
    """17: the decision is fresh, on the newest quote, and its model approved.

    A caller's own order follows no decision.
    """
    limit, basis = ctx.caps.decision_age_ns, ctx.basis
    if not whole(limit):
        return Breach("age of decisions is not limited", "> 0 ms", str(limit))
    if basis.required is False:
        return None
    if basis.required is not True or basis.approved is not True:
        return Breach("model is not approved", "approved", str(basis.approved))
    decided, now, quote = basis.decided_ns, ctx.now_ns, ctx.quote
    if not (whole(decided) and whole(now) and 0 <= now - decided < limit):
        return Breach("decision is stale", f"{limit / 1e6} ms", str(decided))
    if quote is None or basis.quote_seq != quote.seq:
        return Breach("decision is of an older quote", str(basis.quote_seq), "a newer quote")
    return None
