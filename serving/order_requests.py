"""Callers' orders from lots and prices to lot steps and ticks, refused where that is not exact."""

from decimal import Decimal

from core.errors import BadInput
from core.instruments import Instrument
from core.types import Amendment, OrderType, TimeInForce
from serving.ports import OrderRequest, ReplaceRequest
from trading.events import SubmitOrder

_LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_STOPPED = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


def submit_event(request: OrderRequest, terms: Instrument, account: str) -> SubmitOrder:
    """Make the engine's event of a caller's order; its time is set when it is taken.

    Raises
    ------
    BadInput
        For lots or prices that are no whole steps or ticks, a price that the type does not take or
        lacks, an expiry that the time in force does not take or lacks.
    """
    _refuse_odd(request)
    return SubmitOrder(
        0,
        request.key,
        account,
        request.strategy,
        terms.id,
        request.side,
        steps_of(terms, request.lots),
        request.type,
        ticks_of(terms, request.limit, "limit"),
        request.time_in_force,
        stop_ticks=ticks_of(terms, request.stop, "stop"),
        expire_ns=request.expire_ns,
        reduce_only=request.reduce_only,
        take_ticks=ticks_of(terms, request.take_profit, "take_profit"),
        loss_ticks=ticks_of(terms, request.stop_loss, "stop_loss"),
    )


def amendment(request: ReplaceRequest, terms: Instrument) -> Amendment:
    """Express new terms in lot steps and ticks; raises BadInput."""
    return Amendment(
        steps_of(terms, request.lots) if request.lots is not None else 0,
        ticks_of(terms, request.limit, "limit"),
        ticks_of(terms, request.stop, "stop"),
        request.expire_ns,
    )


def steps_of(terms: Instrument, lots: Decimal) -> int:
    """Lots as lot steps; raises BadInput for a part of a step."""
    steps = terms.to_steps(lots)
    if terms.to_lots(steps) != lots:
        raise BadInput(f"lots {lots} is not a multiple of {terms.lot_step}")
    return steps


def ticks_of(terms: Instrument, price: Decimal | None, what: str) -> int:
    """Price as ticks, zero for none; raises BadInput for a part of a tick."""
    if price is None:
        return 0
    ticks = terms.to_ticks(price)
    if terms.to_price(ticks) != price:
        raise BadInput(f"{what} {price} is not a multiple of {terms.tick_size}")
    return ticks


def _refuse_odd(request: OrderRequest) -> None:
    if (request.type in _LIMITED) != (request.limit is not None):
        raise BadInput("a LIMIT or STOP_LIMIT order needs a limit, and the others take none")
    if (request.type in _STOPPED) != (request.stop is not None):
        raise BadInput("a STOP or STOP_LIMIT order needs a stop, and the others take none")
    if (request.time_in_force is TimeInForce.GTD) != bool(request.expire_ns):
        raise BadInput("a GTD order needs expire_ns, and the others take none")
