"""Checks 11 and 12: what the whole account would carry with the order on top."""

from decimal import Decimal
from typing import NamedTuple

from core.types import Side
from trading.portfolio import Range
from trading.risk_checks import Breach, RiskContext, above

_ZERO = Decimal(0)


class Load(NamedTuple):
    """What the account would carry, in account currency, everything on its way filled at worst.

    `low` and `high` bound the net notional; `currencies` holds the same bounds per currency other
    than the account's, where long the base is short the quote.
    """

    gross: Decimal
    low: Decimal
    high: Decimal
    margin: Decimal
    currencies: dict[str, tuple[Decimal, Decimal]]


def load(ctx: RiskContext) -> Load | None:
    """Add up all instruments; None when one cannot be valued."""
    gross = low = high = margin_needed = _ZERO
    currencies: dict[str, tuple[Decimal, Decimal]] = {}
    for index in ctx.portfolio.exposed(ctx.instrument.id):
        unit = ctx.marks.step_notional(index)
        if unit is None:
            return None
        span = _range(ctx, index)
        bottom, top = span.low * unit, span.high * unit
        worst = max(-bottom, top)
        terms = ctx.portfolio.terms(index)
        gross, low, high = gross + worst, low + bottom, high + top
        margin_needed += worst * terms.margin_rate
        if terms.base != ctx.marks.currency:
            _add(currencies, terms.base, bottom, top)
        if terms.quote_currency != ctx.marks.currency:
            _add(currencies, terms.quote_currency, -top, -bottom)
    return Load(gross, low, high, margin_needed, currencies)


def _add(
    currencies: dict[str, tuple[Decimal, Decimal]], name: str, low: Decimal, high: Decimal
) -> None:
    before = currencies.get(name)
    currencies[name] = (low, high) if before is None else (before[0] + low, before[1] + high)


def _range(ctx: RiskContext, index: int) -> Range:
    low, high = ctx.portfolio.exposure(index)
    if index != ctx.instrument.id:
        return Range(low, high)
    if ctx.order.side is Side.BUY:
        return Range(low, high + ctx.order.quantity)
    return Range(low - ctx.order.quantity, high)


def exposure(ctx: RiskContext) -> Breach | None:
    """11: open orders; gross, net and per-currency notional, in account currency."""
    if ctx.reduces:
        return None
    limits = ctx.limits
    if not ctx.book.open_count < limits.max_open_orders:
        return Breach("too many open orders", str(limits.max_open_orders), str(ctx.book.open_count))
    carried = load(ctx)
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
    equity, carried = ctx.portfolio.equity(), load(ctx)
    if equity is None or carried is None:
        return Breach("account cannot be valued", "a rate", "no rate")
    least = ctx.limits.min_equity
    if not (least > _ZERO and equity >= least):
        return Breach("equity is below the minimum", str(least), str(equity))
    if not carried.margin <= equity:
        return Breach("margin exceeds equity", str(equity), str(carried.margin))
    return None
