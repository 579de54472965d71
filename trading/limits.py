"""The limits as the checks use them: whole lot steps, price ticks, millionths of money, ns.

Worked out once whenever the limits change. A limit that is missing, negative, infinite or no number
becomes zero, which denies.
"""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from math import ceil, floor, isfinite
from typing import NamedTuple

from core.config import RiskConfig
from core.instruments import Instrument

MICROS = 1_000_000
TOKEN = 1_000_000_000_000  # one order, in the unit of the rate's bucket
MOST = 2**62  # larger limits are cut down to it, so that they fit a machine number


class Bounds(NamedTuple):
    """Limits of one instrument in whole lot steps and price ticks.

    Lots are within a limit exactly when their steps are within the limit's whole steps.
    """

    allowed: bool
    min_steps: int
    max_steps: int
    order_steps: int
    position_steps: int
    collar_ticks: int


class Caps(NamedTuple):
    """Limits of the account: money in millionths of the account currency, times in ns.

    `order_rate` is in parts of `TOKEN` per ns, `order_burst` in parts of `TOKEN`.
    """

    order_notional: int
    instrument_notional: int
    gross_notional: int
    net_notional: int
    currency_notional: int
    open_orders: int
    min_equity: int
    day_loss_reducing: int
    day_loss_halted: int
    drawdown_reducing: int
    drawdown_halted: int
    quote_age_ns: int
    duplicate_ns: int
    order_rate: int
    order_burst: int
    cancel_rate: int
    cancel_burst: int
    executions: int
    executions_ns: int
    decision_age_ns: int


def bounds_of(limits: RiskConfig, terms: Instrument) -> Bounds:
    """Express the limits in the instrument's own units."""
    width = limits.collar_pips * terms.pip * float(10**terms.digits)
    return Bounds(
        terms.symbol in limits.symbols,
        ceil(Fraction(terms.min_lots) / Fraction(terms.lot_step)),
        _whole_steps(terms.max_lots, terms),
        _whole_steps(limits.max_order_lots, terms),
        _whole_steps(limits.max_position_lots, terms),
        max(0, round(width)) if isfinite(width) else 0,
    )


def caps_of(limits: RiskConfig) -> Caps:
    """Express the account's limits in whole numbers."""
    return Caps(
        order_notional=_micros(limits.max_order_notional),
        instrument_notional=_micros(limits.max_instrument_notional),
        gross_notional=_micros(limits.max_gross_notional),
        net_notional=_micros(limits.max_net_notional),
        currency_notional=_micros(limits.max_currency_notional),
        open_orders=_count(limits.max_open_orders),
        min_equity=_least(limits.min_equity),
        day_loss_reducing=_micros(limits.day_loss_reducing),
        day_loss_halted=_micros(limits.day_loss_halted),
        drawdown_reducing=_micros(limits.drawdown_reducing),
        drawdown_halted=_micros(limits.drawdown_halted),
        quote_age_ns=_scaled(limits.max_quote_age_ms, 1e6),
        duplicate_ns=_scaled(limits.duplicate_window_ms, 1e6),
        order_rate=_scaled(limits.max_orders_per_sec, TOKEN / 1e9),
        order_burst=min(_count(limits.order_burst) * TOKEN, MOST),
        cancel_rate=_scaled(limits.max_cancels_per_sec, TOKEN / 1e9),
        cancel_burst=min(_count(limits.cancel_burst) * TOKEN, MOST),
        executions=_count(limits.max_executions),
        executions_ns=_scaled(limits.executions_window_secs, 1e9),
        decision_age_ns=_scaled(limits.max_decision_age_ms, 1e6),
    )


def money(micros: int) -> str:
    """Millionths as a plain decimal, without zeros at the end."""
    whole, part = divmod(abs(micros), MICROS)
    sign = "-" if micros < 0 else ""
    return f"{sign}{whole}.{part:06d}".rstrip("0").rstrip(".")


def to_micros(amount: Decimal, rounding: str = ROUND_FLOOR) -> int:
    """Money in whole millionths, rounded down unless told otherwise."""
    return int(amount.scaleb(6).to_integral_value(rounding=rounding))


def _whole_steps(lots: Decimal, terms: Instrument) -> int:
    if not lots.is_finite():
        return 0
    # In fractions, because a quotient of decimals may round up to the next whole step.
    return max(0, floor(Fraction(lots) / Fraction(terms.lot_step)))


def _micros(amount: Decimal) -> int:
    return min(max(0, to_micros(amount)), MOST) if amount.is_finite() else 0


def _least(amount: Decimal) -> int:
    """Return a minimum, rounded up; one that cannot be told is none, for a lower one is looser."""
    least = to_micros(amount, ROUND_CEILING) if amount.is_finite() else 0
    return least if 0 < least <= MOST else 0


def _count(number: float) -> int:
    return min(max(0, floor(number)), MOST) if isfinite(number) else 0


def _scaled(number: float, unit: float) -> int:
    return min(max(0, floor(number * unit)), MOST) if isfinite(number) else 0
