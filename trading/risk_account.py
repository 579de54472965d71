"""Checks 11 and 12: what the whole account would carry with the order on top."""

from decimal import Decimal
from typing import NamedTuple

from core.types import Side
from trading.portfolio import Range
from trading.risk_checks import Breach, RiskContext, _above

_ZERO = Decimal(0)


class Carried(NamedTuple):
    """An instrument's exposure with the order on top, and the notional of a lot step."""

    instrument: int
    range: Range
    unit: Decimal


def carried(ctx: RiskContext) -> list[Carried] | None:
    """Exposure of every instrument; None when one cannot be valued."""
    rows = []
    for index in sorted({*ctx.portfolio.exposed(), ctx.instrument.id}):
        unit = ctx.marks.step_notional(index)
        if unit is None:
            return None
        rows.append(Carried(index, _range(ctx, index), unit))
    return rows


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
    rows = carried(ctx)
    if rows is None:
        return Breach("exposure cannot be valued", "a rate", "no rate")
    gross = sum((row.range.worst * row.unit for row in rows), _ZERO)
    low = sum((row.range.low * row.unit for row in rows), _ZERO)
    high = sum((row.range.high * row.unit for row in rows), _ZERO)
    return (
        _above("gross notional", gross, limits.max_gross_notional)
        or _above("net notional", max(abs(low), abs(high)), limits.max_net_notional)
        or _currencies(ctx, rows)
    )


def _currencies(ctx: RiskContext, rows: list[Carried]) -> Breach | None:
    """Notional per currency other than the account's: long the base is short the quote."""
    bounds: dict[str, tuple[Decimal, Decimal]] = {}
    for row in rows:
        terms = ctx.portfolio.terms(row.instrument)
        low, high = row.range.low * row.unit, row.range.high * row.unit
        for currency, bottom, top in (
            (terms.base, low, high),
            (terms.quote_currency, -high, -low),
        ):
            before = bounds.get(currency, (_ZERO, _ZERO))
            bounds[currency] = (before[0] + bottom, before[1] + top)
    bounds.pop(ctx.marks.currency, None)
    for currency, (bottom, top) in bounds.items():
        worst = max(abs(bottom), abs(top))
        breach = _above(f"{currency} notional", worst, ctx.limits.max_currency_notional)
        if breach is not None:
            return breach
    return None


def margin(ctx: RiskContext) -> Breach | None:
    """12: equity above its minimum, and margin of everything, reserved too, within equity."""
    if ctx.reduces:
        return None
    equity, rows = ctx.portfolio.equity(), carried(ctx)
    if equity is None or rows is None:
        return Breach("account cannot be valued", "a rate", "no rate")
    least = ctx.limits.min_equity
    if not (least > _ZERO and equity >= least):
        return Breach("equity is below the minimum", str(least), str(equity))
    needed = sum(
        (
            row.range.worst * row.unit * ctx.portfolio.terms(row.instrument).margin_rate
            for row in rows
        ),
        _ZERO,
    )
    if not needed <= equity:
        return Breach("margin exceeds equity", str(equity), str(needed))
    return None
