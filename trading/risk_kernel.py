"""The numeric checks as one compiled function over whole numbers.

`numbers` lays out what they compare as 64-bit integers; whatever is no whole number of that size
does not fit and raises, which denies. `judge` then says which of the asked checks is the first that
does not pass. The same checks stand once more in `risk_checks`, `risk_account` and `risk_conduct`,
where they say why; tests hold the two against each other.

Products wrap around without a sound in machine arithmetic. One that would is seen beforehand, in
floating point, and denies.
"""

from struct import Struct
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from core.instruments import Instrument
from core.types import Side
from trading.limits import TOKEN
from trading.risk_checks import Basis, RiskContext
from trading.valuation import Load

CHECKED = (
    "lots_allowed", "duplicate", "quote_fresh", "collar", "order_size", "worst_position",
    "exposure", "margin", "losses", "rate", "self_trade", "executions", "decision",
)  # fmt: skip

_SIZE = 65
(
    NOW, QUANTITY, LIMIT, STOP, SIGN, REDUCIBLE, SAME, RECEIVED, CONVERTS, CONVERTED, BID, ASK,
    UNIT, MARGIN_UP, MARGIN_DOWN, LOW, HIGH, OPEN_ORDERS, VALUED, GROSS, NET_LOW, NET_HIGH,
    MARGIN, BASE_LOW, BASE_HIGH, REST_LOW, REST_HIGH, BASE_COUNTS, REST_COUNTS, EQUITY,
    HAS_LOSSES, DAY_LOSS, DRAWDOWN, TOKENS, OPPOSING, EXECUTIONS, REQUIRED, APPROVED, DECIDED,
    NEWER, MIN_STEPS, MAX_STEPS, ORDER_STEPS, POSITION_STEPS, COLLAR, ORDER_NOTIONAL,
    INSTRUMENT_NOTIONAL, GROSS_NOTIONAL, NET_NOTIONAL, CURRENCY_NOTIONAL, MOST_ORDERS,
    MIN_EQUITY, DAY_REDUCING, DAY_HALTED, DRAWN_REDUCING, DRAWN_HALTED, QUOTE_AGE, DUPLICATE,
    ORDER_RATE, ORDER_BURST, CANCEL_RATE, CANCEL_BURST, MOST_EXECUTIONS, EXECUTIONS_NS,
    DECISION_AGE,
) = range(_SIZE)  # fmt: skip

_pack = Struct(f"={_SIZE}q").pack
_NO_LOAD = Load(0, 0, 0, 0, (0, 0), (0, 0))
_MOST = 2.0e18  # under a quarter of what 64 bits hold, so that sums of two or three still fit


def numbers(ctx: RiskContext) -> NDArray[np.int64]:
    """Lay out a context.

    Returns
    -------
    int64[65]

    Raises
    ------
    Exception
        For anything that is not a whole number of 64 bits, a known side, a text, or a yes or no.
    """
    order, bounds, quote, mark = ctx.order, ctx.bounds, ctx.quote, ctx.mark
    terms, held, losses, equity = ctx.terms, ctx.load, ctx.losses, ctx.equity
    if bounds is None or quote is None or mark is None:
        raise LookupError("nothing to compare with")
    if type(terms) is not Instrument or type(ctx.currency) is not str:
        raise TypeError("no instrument or no currency")
    load = _NO_LOAD if held is None else held
    values = _pack(
        ctx.now_ns,
        order.quantity,
        order.limit_ticks,
        order.stop_ticks,
        _sign(order.side),
        ctx.reducible,
        ctx.same_ns,
        quote.ts_recv,
        _flag(ctx.converts),
        _received(ctx),
        mark.bid_ticks,
        mark.ask_ticks,
        ctx.unit,
        *ctx.margin_rate,
        ctx.low,
        ctx.high,
        ctx.open_orders,
        held is not None and equity is not None,
        load.gross,
        load.low,
        load.high,
        load.margin,
        *load.base,
        *load.quote,
        terms.base != ctx.currency,
        terms.quote_currency != ctx.currency,
        0 if equity is None else equity,
        losses is not None,
        -1 if losses is None else losses.day_loss,
        -1 if losses is None else losses.drawdown,
        ctx.tokens,
        ctx.opposing,
        ctx.executions,
        *_decided(ctx.basis, quote.seq),
        bounds.min_steps,
        bounds.max_steps,
        bounds.order_steps,
        bounds.position_steps,
        bounds.collar_ticks,
        *ctx.caps,
    )
    return np.frombuffer(values, np.int64)


def _sign(side: Side) -> int:
    if side is Side.BUY:
        return 1
    if side is Side.SELL:
        return -1
    raise ValueError(f"{side!r} is no side")


def _flag(value: object) -> int:
    if value is True:
        return 1
    if value is False:
        return 0
    raise ValueError(f"{value!r} is neither yes nor no")


def _received(ctx: RiskContext) -> int:
    """When the quote that converts came; 0 for none, and for one that is not sound."""
    quote = ctx.conversion
    if quote is None or not 0.0 < quote.bid <= quote.ask < 1e15:
        return 0
    return quote.ts_recv


def _decided(basis: Basis, seq: int) -> tuple[int, int, int, int]:
    return (
        _flag(basis.required),
        _flag(basis.approved),
        basis.decided_ns,
        basis.quote_seq - seq,
    )


def _kernel(function: Any) -> Any:
    return njit(cache=True, inline="never", error_model="numpy")(function)


@_kernel
def _times(a: int, b: int) -> Any:
    """Product of two numbers that are not negative; -1 for one that would not fit."""
    if a < 0 or b < 0 or float(a) * float(b) >= _MOST:
        return -1
    return a * b


@_kernel
def _fits(value: int) -> Any:
    return -_MOST < float(value) < _MOST


@_kernel
def _reduces(v: NDArray[np.int64]) -> Any:
    """1 for an order that only makes the position smaller, 0 for another, -1 if it is not known."""
    if v[QUANTITY] <= 0 or v[REDUCIBLE] < 0:
        return -1
    return 1 if v[QUANTITY] <= v[REDUCIBLE] else 0


@_kernel
def _lots_allowed(v: NDArray[np.int64]) -> Any:
    return 0 < v[MIN_STEPS] <= v[QUANTITY] <= v[MAX_STEPS]


@_kernel
def _duplicate(v: NDArray[np.int64]) -> Any:
    if v[DUPLICATE] <= 0 or v[SAME] < 0 or v[NOW] <= 0:
        return False
    return v[SAME] == 0 or v[NOW] - v[SAME] > v[DUPLICATE]


@_kernel
def _fresh(now: int, received: int, limit: int) -> Any:
    return received > 0 and 0 <= now - received < limit


@_kernel
def _quote_fresh(v: NDArray[np.int64]) -> Any:
    if not _fresh(v[NOW], v[RECEIVED], v[QUOTE_AGE]):
        return False
    return v[CONVERTS] == 0 or _fresh(v[NOW], v[CONVERTED], v[QUOTE_AGE])


@_kernel
def _collar(v: NDArray[np.int64]) -> Any:
    for place in (COLLAR, LIMIT, BID, ASK):
        if v[place] <= 0:
            return False
    if v[STOP] < 0:
        return False
    market = v[ASK] if v[SIGN] > 0 else v[BID]
    through = v[SIGN] * (v[LIMIT] - (v[STOP] if v[STOP] > 0 else market))
    return through <= v[COLLAR]


@_kernel
def _order_size(v: NDArray[np.int64]) -> Any:
    if not (0 < v[QUANTITY] <= v[ORDER_STEPS]) or v[UNIT] <= 0:
        return False
    notional = _times(v[UNIT], v[QUANTITY])
    return 0 <= notional <= v[ORDER_NOTIONAL]


@_kernel
def _positions(v: NDArray[np.int64]) -> Any:
    """Largest position without and with the order; (-1, -1) when it cannot be told."""
    low, high, quantity = v[LOW], v[HIGH], v[QUANTITY]
    if low > high or quantity <= 0 or not (_fits(low) and _fits(high) and _fits(quantity)):
        return -1, -1
    before = max(high, -low)
    return before, max(before, high + quantity if v[SIGN] > 0 else quantity - low)


@_kernel
def _worst_position(v: NDArray[np.int64]) -> Any:
    reduces = _reduces(v)
    if reduces:
        return reduces > 0
    if _positions(v)[0] < 0 or v[POSITION_STEPS] <= 0:
        return False
    steps = (v[HIGH] if v[SIGN] > 0 else -v[LOW]) + v[QUANTITY]
    return steps <= v[POSITION_STEPS]


@_kernel
def _bounded(low: int, high: int, added: int, limit: int) -> Any:
    """Say whether bounds with something more (or less, below zero) stay within a limit."""
    if limit <= 0 or low > high or not (_fits(low) and _fits(high)):
        return False
    if added > 0:
        return max(high + added, -low) <= limit
    return max(high, -(low + added)) <= limit


@_kernel
def _exposure(v: NDArray[np.int64]) -> Any:  # noqa: PLR0911 - each no is a line
    reduces = _reduces(v)
    if reduces:
        return reduces > 0
    if not 0 <= v[OPEN_ORDERS] < v[MOST_ORDERS]:
        return False
    before, after = _positions(v)
    added, more, own = -1, -1, -1
    if before >= 0 and v[UNIT] > 0:
        added = _times(v[UNIT], v[QUANTITY])
        more, own = _times(v[UNIT], after - before), _times(v[UNIT], after)
    if added < 0 or more < 0 or own < 0 or v[VALUED] == 0 or v[GROSS] < 0 or not _fits(v[GROSS]):
        return False
    if not v[GROSS] + more <= v[GROSS_NOTIONAL] or not own <= v[INSTRUMENT_NOTIONAL]:
        return False
    signed = v[SIGN] * added
    if not _bounded(v[NET_LOW], v[NET_HIGH], signed, v[NET_NOTIONAL]):
        return False
    limit = v[CURRENCY_NOTIONAL]
    if v[BASE_COUNTS] and not _bounded(v[BASE_LOW], v[BASE_HIGH], signed, limit):
        return False
    return not v[REST_COUNTS] or _bounded(v[REST_LOW], v[REST_HIGH], -signed, limit)


@_kernel
def _margin(v: NDArray[np.int64]) -> Any:
    reduces = _reduces(v)
    if reduces:
        return reduces > 0
    if v[VALUED] == 0 or not 0 < v[MIN_EQUITY] <= v[EQUITY]:
        return False
    before, after = _positions(v)
    if before < 0 or v[UNIT] <= 0 or v[MARGIN] < 0 or v[MARGIN_UP] < 0 or v[MARGIN_DOWN] <= 0:
        return False
    more = _times(_times(v[UNIT], after - before), v[MARGIN_UP])
    if more < 0 or not _fits(v[MARGIN]) or not _fits(v[MARGIN_DOWN]):
        return False
    return v[MARGIN] + (more + v[MARGIN_DOWN] - 1) // v[MARGIN_DOWN] <= v[EQUITY]


@_kernel
def _under(lost: int, reducing: int, halted: int) -> Any:
    return 0 <= lost < min(reducing, halted)


@_kernel
def _losses(v: NDArray[np.int64]) -> Any:
    reduces = _reduces(v)
    if reduces:
        return reduces > 0
    if v[HAS_LOSSES] == 0 or not _under(v[DAY_LOSS], v[DAY_REDUCING], v[DAY_HALTED]):
        return False
    return _under(v[DRAWDOWN], v[DRAWN_REDUCING], v[DRAWN_HALTED])


@_kernel
def _rate(v: NDArray[np.int64]) -> Any:
    for place in (ORDER_RATE, ORDER_BURST, CANCEL_RATE, CANCEL_BURST):
        if v[place] <= 0:
            return False
    return v[TOKENS] >= TOKEN


@_kernel
def _self_trade(v: NDArray[np.int64]) -> Any:
    if v[OPPOSING] < 0 or v[LIMIT] <= 0:
        return False
    return v[OPPOSING] == 0 or v[SIGN] * (v[LIMIT] - v[OPPOSING]) < 0


@_kernel
def _executions(v: NDArray[np.int64]) -> Any:
    return v[EXECUTIONS_NS] > 0 and 0 <= v[EXECUTIONS] < v[MOST_EXECUTIONS]


@_kernel
def _decision(v: NDArray[np.int64]) -> Any:
    if v[DECISION_AGE] <= 0:
        return False
    if v[REQUIRED] == 0:
        return True
    if v[APPROVED] == 0 or v[DECIDED] <= 0 or v[NEWER] != 0:
        return False
    return 0 <= v[NOW] - v[DECIDED] < v[DECISION_AGE]


@_kernel
def _passes(v: NDArray[np.int64], place: int) -> Any:  # noqa: C901, PLR0911, PLR0912 - a table
    if place == 0:
        return _lots_allowed(v)
    if place == 1:
        return _duplicate(v)
    if place == 2:
        return _quote_fresh(v)
    if place == 3:
        return _collar(v)
    if place == 4:
        return _order_size(v)
    if place == 5:
        return _worst_position(v)
    if place == 6:
        return _exposure(v)
    if place == 7:
        return _margin(v)
    if place == 8:
        return _losses(v)
    if place == 9:
        return _rate(v)
    if place == 10:
        return _self_trade(v)
    if place == 11:
        return _executions(v)
    if place == 12:
        return _decision(v)
    return False


@_kernel
def judge(v: NDArray[np.int64], asked: int) -> Any:
    """Place in `CHECKED` of the first asked check that does not pass; -1 when all pass.

    Parameters
    ----------
    v : int64[65]
        From `numbers`.
    asked : int
        A bit for each check, by its place.
    """
    for place in range(64):
        if asked >> place & 1 and not _passes(v, place):
            return place
    return -1


def prepare() -> None:
    """Compile, or load what was compiled; the first order must not wait for it."""
    judge(np.frombuffer(_pack(*range(_SIZE)), np.int64), -1)
