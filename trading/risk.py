"""Pre-trade risk: an ordered table of checks, default DENY.

A refusal is a value that names the check, the limit, what was observed, and the largest size that
would have passed. An exception in a check is a refusal as well.
"""

from typing import NamedTuple

from core.types import Refused, TradingState
from trading import risk_account, risk_checks, risk_conduct
from trading.risk_checks import Breach, Check, RiskContext, counted, whole
from trading.risk_kernel import CHECKED, QUANTITY, judge, numbers

ALL_PASS = -1
MOST_AGE_NS = 1_000_000_000  # between an order and the gathering of what judges it


class Row(NamedTuple):
    """One row of the table.

    `cached` checks may be answered by a scenario; the answer of `sized` ones hangs on the quantity.
    `place` is that of the compiled twin of a numeric check, -1 for none: the twin decides, and the
    check says why.
    """

    name: str
    check: Check
    cached: bool = False
    sized: bool = False
    place: int = -1


def _numeric(name: str, check: Check, *, cached: bool = False, sized: bool = False) -> Row:
    return Row(name, check, cached, sized, CHECKED.index(check.__name__))


CHECKS = (
    Row("trading_state", risk_checks.trading_state, sized=True),
    Row("account_right", risk_checks.account_right),
    Row("session", risk_checks.session),
    Row("instrument", risk_checks.instrument, cached=True),
    Row("well_formed", risk_checks.well_formed),
    _numeric("well_formed", risk_checks.lots_allowed, cached=True, sized=True),
    Row("client_id", risk_checks.client_id),
    _numeric("duplicate", risk_checks.duplicate),
    _numeric("quote_fresh", risk_checks.quote_fresh),
    _numeric("collar", risk_checks.collar),
    _numeric("order_size", risk_checks.order_size, cached=True, sized=True),
    _numeric("worst_position", risk_account.worst_position, sized=True),
    _numeric("exposure", risk_account.exposure, sized=True),
    _numeric("margin", risk_account.margin, sized=True),
    _numeric("losses", risk_account.losses, sized=True),
    _numeric("rate", risk_conduct.rate),
    _numeric("self_trade", risk_conduct.self_trade),
    _numeric("executions", risk_conduct.executions),
    _numeric("decision", risk_conduct.decision),
)


class Plan(NamedTuple):
    """Rows to run: those that only Python can, and the bits of the compiled ones."""

    rows: tuple[Row, ...]
    words: tuple[Row, ...]
    bits: int


def plan_of(rows: tuple[Row, ...]) -> Plan:
    """Lay out how a table, or a part of one, is run."""
    words = tuple(row for row in rows if row.place < 0)
    return Plan(rows, words, sum(1 << row.place for row in rows if row.place >= 0))


_ALL = plan_of(CHECKS)
_UNCACHED = plan_of(tuple(row for row in CHECKS if not row.cached))
_CACHED = plan_of(tuple(row for row in CHECKS if row.cached))
_FIXED = plan_of(tuple(row for row in CHECKS if not row.sized))
_SIZED = plan_of(tuple(row for row in CHECKS if row.sized))


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
    found = first_breach(ctx, _UNCACHED if precomputed else _ALL)
    if found is None:
        return None
    name, breach = found
    largest = largest_lots(ctx) if seek_largest else "0"
    return Refused(name, breach.reason, breach.limit, breach.observed, largest)


def scenario_holds(ctx: RiskContext) -> bool:
    """Say whether the checks that a scenario answered ahead pass on what was judged by."""
    return first_breach(ctx, _CACHED) is None


def first_breach(ctx: RiskContext, plan: Plan) -> tuple[str, Breach] | None:
    """Return the name and the breach of the first row that says no; None when all pass."""
    name = "context"
    try:
        age = ctx.now_ns - ctx.order.submitted_ns
        if not 0 <= age <= MOST_AGE_NS:
            return name, Breach("gathered at another moment", f"{MOST_AGE_NS} ns", f"{age} ns")
        if plan.bits and judge(numbers(ctx), plan.bits) != ALL_PASS:
            return _why(ctx, plan)
        for row in plan.words:
            name = row.name
            breach = row.check(ctx)
            if breach is not None:
                return name, breach
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a check is a DENY
        return _why(ctx, plan, name, error)
    return None


def _why(
    ctx: RiskContext, plan: Plan, name: str = "context", error: Exception | None = None
) -> tuple[str, Breach]:
    """Find the first row that says no, in order; if none does, it stays a no all the same."""
    for row in plan.rows:
        try:
            breach = row.check(ctx)
        except Exception as failed:  # noqa: BLE001 - as above
            breach = _failed(failed)
        if breach is not None:
            return row.name, breach
    return name, Breach("numbers do not pass", "a pass", "") if error is None else _failed(error)


def _failed(error: Exception) -> Breach:
    return Breach(f"check failed: {type(error).__name__}", "an answer", str(error))


def largest_lots(ctx: RiskContext) -> str:
    """Largest size up to the asked one that passes every check.

    Found by bisection over the checks that hang on the size: where a size passes, every smaller one
    does. A check that does not hang on it says no to all of them.
    """
    terms, bounds, asked = ctx.terms, ctx.bounds, ctx.order.quantity
    if terms is None or bounds is None or not (whole(asked) and counted(bounds.min_steps)):
        return "0"
    if first_breach(ctx, _FIXED) is not None:
        return "0"
    most = min(asked, bounds.max_steps, bounds.order_steps)
    if ctx.state is not TradingState.ACTIVE or ctx.order.reduce_only:
        most = min(most, ctx.reducible)
    trial = numbers(ctx).copy()
    low, high = bounds.min_steps - 1, most + 1
    while high - low > 1:
        trial[QUANTITY] = middle = (low + high) // 2
        if judge(trial, _SIZED.bits) == ALL_PASS:
            low = middle
        else:
            high = middle
    return str(terms.to_lots(low)) if low >= max(1, bounds.min_steps) else "0"
