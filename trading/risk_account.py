"""Checks 11 and 12: what the whole account would carry with the order on top."""

from decimal import Decimal

from trading.load import Load
from trading.risk_checks import Breach, RiskContext, above

_ZERO = Decimal(0)


def exposure(ctx: RiskContext) -> Breach | None:
    """11: open orders; gross, net and per-currency notional, in account currency."""
    if ctx.reduces:
        return None
    limits = ctx.limits
    if not ctx.book.open_count < limits.max_open_orders:
        return Breach("too many open orders", str(limits.max_open_orders), str(ctx.book.open_count))
    carried = ctx.load()
    if carried is None:
        return Breach("exposure cannot be valued", "a rate", "no rate")
    net = max(-carried.low, carried.high)
    return (
        above("gross notional", carried.gross, limits.max_gross_notional)
        or above("net notional", net, limits.max_net_notional)
        or _currency(carried, limits.max_currency_notional)
    )


def _currency(carried: Load, limit: Decimal) -> Breach | None:
    for name, (low, high) in carried.currencies.items():
        breach = above(f"{name} notional", max(-low, high), limit)
        if breach is not None:
            return breach
    return None


def margin(ctx: RiskContext) -> Breach | None:
    """12: equity above its minimum, and margin of everything, reserved too, within equity."""
    if ctx.reduces:
        return None
    equity, carried = ctx.portfolio.equity(), ctx.load()
    if equity is None or carried is None:
        return Breach("account cannot be valued", "a rate", "no rate")
    least = ctx.limits.min_equity
    if not (least > _ZERO and equity >= least):
        return Breach("equity is below the minimum", str(least), str(equity))
    if not carried.margin <= equity:
        return Breach("margin exceeds equity", str(equity), str(carried.margin))
    return None
