"""Pre-trade risk: an ordered table of checks, default DENY.

A refusal is a value that names the check, the limit, what was observed, and the largest size that
would have passed. An exception in a check is a refusal as well.
"""

from dataclasses import replace
from typing import NamedTuple

import msgspec

from core.types import Refused
from trading import risk_account, risk_checks, risk_conduct
from trading.risk_checks import Breach, Check, RiskContext, counted, whole

MOST_AGE_NS = 1_000_000_000  # between an order and the gathering of what judges it


class Row(NamedTuple):
    """One row of the table.

    `cached` checks may be answered by a scenario; the answer of `sized` ones hangs on the quantity.
    """

    name: str
    check: Check
    cached: bool = False
    sized: bool = False


CHECKS = (
    Row("trading_state", risk_checks.trading_state, sized=True),
    Row("account_right", risk_checks.account_right),
    Row("session", risk_checks.session),
    Row("instrument", risk_checks.instrument, cached=True),
    Row("well_formed", risk_checks.well_formed),
    Row("well_formed", risk_checks.lots_allowed, cached=True, sized=True),
    Row("client_id", risk_checks.client_id),
    Row("duplicate", risk_checks.duplicate),
    Row("quote_fresh", risk_checks.quote_fresh),
    Row("collar", risk_checks.collar),
    Row("order_size", risk_checks.order_size, cached=True, sized=True),
    Row("worst_position", risk_account.worst_position, sized=True),
    Row("exposure", risk_account.exposure, sized=True),
    Row("margin", risk_account.margin, sized=True),
    Row("losses", risk_account.losses, sized=True),
    Row("rate", risk_conduct.rate),
    Row("self_trade", risk_conduct.self_trade),
    Row("executions", risk_conduct.executions),
    Row("decision", risk_conduct.decision),
)


def uncached(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Rows that a scenario never answers."""
    return tuple(row for row in rows if not row.cached)


_UNCACHED = uncached(CHECKS)


def evaluate(
    ctx: RiskContext, *, precomputed: bool = False, seek_largest: bool = True
) -> Refused | None:
    """Run the checks in order; the first breach wins.

    Parameters
    ----------
    ctx : RiskContext
    precomputed : bool
        A valid scenario answered the cached checks with a pass.
    seek_largest : bool
        Look for the largest size that would have passed, which costs many times the checks.

    Returns
    -------
    Refused or None
        None means that every check passed.
    """
    found = first_breach(ctx, _UNCACHED if precomputed else CHECKS)
    if found is None:
        return None
    name, breach = found
    largest = largest_lots(ctx) if seek_largest else "0"
    return Refused(name, breach.reason, breach.limit, breach.observed, largest)


def first_breach(ctx: RiskContext, rows: tuple[Row, ...]) -> tuple[str, Breach] | None:
    """Return the name and the breach of the first of `rows` that says no."""
    name = "context"
    try:
        age = ctx.now_ns - ctx.order.submitted_ns
        if not 0 <= age <= MOST_AGE_NS:
            return name, Breach("gathered at another moment", f"{MOST_AGE_NS} ns", f"{age} ns")
        for row in rows:
            name = row.name
            breach = row.check(ctx)
            if breach is not None:
                return name, breach
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a check is a DENY
        return name, Breach(f"check failed: {type(error).__name__}", "an answer", str(error))
    return None


def largest_lots(ctx: RiskContext) -> str:
    """Largest size up to the asked one that passes every check.

    Found by bisection over the checks that hang on the size: where a size passes, every smaller one
    does. A check that does not hang on it says no to all of them.
    """
    terms, bounds, asked = ctx.terms, ctx.bounds, ctx.order.quantity
    if terms is None or bounds is None or not (whole(asked) and counted(bounds.min_steps)):
        return "0"
    fixed = tuple(row for row in CHECKS if not row.sized)
    if first_breach(ctx, fixed) is not None:
        return "0"
    sized = tuple(row for row in CHECKS if row.sized)
    trial = replace(ctx)
    low, high = bounds.min_steps - 1, min(asked, bounds.max_steps, bounds.order_steps) + 1
    while high - low > 1:
        middle = (low + high) // 2
        trial.order = msgspec.structs.replace(ctx.order, quantity=middle)
        if first_breach(trial, sized) is None:
            low = middle
        else:
            high = middle
    return str(terms.to_lots(low)) if low >= max(1, bounds.min_steps) else "0"
