"""Orders: send with an idempotency key, look up, cancel."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.types import OrderType, Refused, Side, TimeInForce
from serving.errors import refusal
from serving.ports import OrderRequest, Platform
from serving.reply import answers, platform_of, reply
from serving.views import OrderView

router = APIRouter(prefix="/v1/orders", tags=["trading"])
Running = Annotated[Platform, Depends(platform_of)]
Limit = Annotated[int, Query(ge=1, le=1_000)]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=128)]


class OrderBody(BaseModel):
    """An order; `lots` and `limit` as string or number."""

    model_config = ConfigDict(extra="forbid")
    symbol: str
    side: Side
    lots: Decimal = Field(gt=0, allow_inf_nan=False)
    type: OrderType = OrderType.MARKET
    limit: Decimal | None = Field(default=None, gt=0, allow_inf_nan=False)
    time_in_force: TimeInForce = TimeInForce.IOC
    strategy: str = Field(default="manual", min_length=1, max_length=32)


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
            time_in_force=body.time_in_force,
            strategy=body.strategy,
        )
    )
    if isinstance(outcome, Refused):
        return refusal(outcome)
    return reply(platform.show(outcome), 201)


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
