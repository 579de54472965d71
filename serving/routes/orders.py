"""Orders: send with an idempotency key, look up, replace, cancel."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.types import OrderType, Refused, Side, TimeInForce
from serving.errors import refusal
from serving.ports import OrderRequest, Platform, ReplaceRequest
from serving.reply import answers, platform_of, reply
from serving.views import OrderView

router = APIRouter(prefix="/v1/orders", tags=["trading"])
Running = Annotated[Platform, Depends(platform_of)]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=128)]

MOST = Decimal(10**9)  # far above any lots or price, and far below what integers on disk can hold
Price = Annotated[Decimal | None, Field(default=None, gt=0, le=MOST, allow_inf_nan=False)]
_WAITING = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


class OrderBody(BaseModel):
    """An order; lots and prices as string or number.

    `stop` is the trigger of a STOP or STOP_LIMIT order, `expire_ns` the venue's time at which a GTD
    order ends. `take_profit` and `stop_loss` make it a bracket: what is executed of it gets both as
    orders of their own, of which one cancels the other.
    """

    model_config = ConfigDict(extra="forbid")
    symbol: str
    side: Side
    lots: Decimal = Field(gt=0, le=MOST, allow_inf_nan=False)
    type: OrderType = OrderType.MARKET
    limit: Decimal | None = Field(default=None, gt=0, le=MOST, allow_inf_nan=False)
    time_in_force: TimeInForce | None = None
    stop: Price = None
    expire_ns: int = Field(default=0, ge=0, lt=2**63)
    reduce_only: bool = False
    take_profit: Price = None
    stop_loss: Price = None
    strategy: str = Field(default="manual", min_length=1, max_length=32)


class TermsBody(BaseModel):
    """New terms of an order; what is not said stays as it is. `lots` is the whole size."""

    model_config = ConfigDict(extra="forbid")
    lots: Price = None
    limit: Price = None
    stop: Price = None
    expire_ns: int = Field(default=0, ge=0, lt=2**63)


@router.post("", status_code=201, responses=answers(OrderView, 201))
async def submit(body: OrderBody, key: Key, platform: Running) -> Response:
    """Send an order once; the same key and body again returns the first result."""
    outcome = await platform.submit(
        OrderRequest(
            key=key,
            symbol=body.symbol,
            side=body.side,
            lots=body.lots,
            type=body.type,
            limit=body.limit,
            time_in_force=body.time_in_force or _default_time_in_force(body.type),
            strategy=body.strategy,
            stop=body.stop,
            expire_ns=body.expire_ns,
            reduce_only=body.reduce_only,
            take_profit=body.take_profit,
            stop_loss=body.stop_loss,
        )
    )
    if isinstance(outcome, Refused):
        return refusal(outcome)
    return reply(platform.show(outcome), 201)


def _default_time_in_force(kind: OrderType) -> TimeInForce:
    """Let a stop order, which waits, work until canceled; the others are immediate."""
    return TimeInForce.GTC if kind in _WAITING else TimeInForce.IOC


@router.patch("/{client_order_id}", status_code=202, responses=answers(OrderView, 202))
async def replace(client_order_id: str, body: TermsBody, platform: Running) -> Response:
    """Ask the venue to change an order that works; it keeps its id.

    The answer shows the order as it stands, not yet the outcome.
    """
    terms = ReplaceRequest(body.lots, body.limit, body.stop, body.expire_ns)
    outcome = await platform.replace(client_order_id, terms)
    if isinstance(outcome, Refused):
        return refusal(outcome)
    return reply(outcome, 202)


@router.get("", responses=answers(list[OrderView]))
async def orders(platform: Running, limit: Limit = 100, before: str = "") -> Response:
    """Newest orders, newest first; `before` reads on from the last client order id of a page."""
    return reply(platform.orders(limit, before))


@router.get("/{client_order_id}", responses=answers(OrderView))
async def order(client_order_id: str, platform: Running) -> Response:
    """One order as it stands."""
    return reply(platform.order(client_order_id))


@router.delete("/{client_order_id}", status_code=202, responses=answers(OrderView, 202))
async def cancel(client_order_id: str, platform: Running) -> Response:
    """Ask the venue to cancel; the answer shows the order as it stands, not yet the outcome."""
    return reply(await platform.cancel(client_order_id), 202)
