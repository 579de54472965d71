"""Models, positions, scenarios, trading state."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from core.types import TradingState
from serving.ports import Platform
from serving.reply import answers, platform_of, reply
from serving.risk_view import RiskView, parse_moves
from serving.views import HoldView, ModelView, PositionsView, ScenarioView, StateView

router = APIRouter(prefix="/v1")
Running = Annotated[Platform, Depends(platform_of)]
Shock = Annotated[str, Field(max_length=64)]
Shocks = Annotated[tuple[Shock, ...], Query(max_length=64)]


class RearmBody(BaseModel):
    """The symbol to re-arm."""

    model_config = ConfigDict(extra="forbid")
    symbol: str = Field(max_length=32)


class StateBody(BaseModel):
    """The wished trading state, why, and where: global, account:X, strategy:X or symbol:X."""

    model_config = ConfigDict(extra="forbid")
    state: TradingState
    reason: str = Field(default="", max_length=200)
    scope: str = Field(default="global", max_length=64)


class RollBackBody(BaseModel):
    """Why, and to which former champion; to the last one when `version` is empty."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(min_length=1, max_length=200)
    version: str = Field(default="", max_length=20, pattern="^[0-9]*$")


class KillBody(BaseModel):
    """Why, and where: global, account:X, strategy:X or symbol:X."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(default="", max_length=200)
    scope: str = Field(default="global", max_length=64)


@router.get("/models", tags=["models"], responses=answers(list[ModelView]))
async def models(platform: Running) -> Response:
    """Which version serves each symbol."""
    return reply(platform.models())


@router.post("/models/{symbol}/rollback", tags=["models"], responses=answers(ModelView))
async def roll_back(symbol: str, body: RollBackBody, platform: Running) -> Response:
    """Make a former champion serve again; works with MLflow and Prefect down."""
    return reply(await platform.roll_back(symbol, body.version, body.reason))


@router.get("/positions", tags=["trading"], responses=answers(PositionsView))
async def positions(platform: Running) -> Response:
    """Positions, profit and loss in the account currency."""
    return reply(platform.positions())


@router.get("/risk", tags=["trading"], responses=answers(RiskView))
async def risk(platform: Running, shock: Shocks = ()) -> Response:
    """Margin, exposure and what may be lost; `shock=EURUSD:-0.02`, repeated, adds your own."""
    return reply(platform.risk(parse_moves(shock)))


@router.get("/scenarios", tags=["trading"], responses=answers(list[ScenarioView]))
async def scenarios(platform: Running) -> Response:
    """Pre-validated symbol, side and volume."""
    return reply(platform.scenarios())


@router.get("/trading-state", tags=["trading"], responses=answers(StateView))
async def trading_state(platform: Running) -> Response:
    """Show what the engine may do now."""
    return reply(platform.trading_state())


@router.post("/trading-state", tags=["trading"], responses=answers(StateView))
async def set_trading_state(body: StateBody, platform: Running) -> Response:
    """Enable, only reduce, or halt."""
    return reply(await platform.set_trading_state(body.state, body.reason, body.scope))


@router.get("/features/holds", tags=["features"], responses=answers(list[HoldView]))
async def holds(platform: Running) -> Response:
    """Show which symbols decide HOLD because their live features cannot be trusted."""
    return reply(platform.holds())


@router.post("/features/rearm", tags=["features"], responses=answers(list[HoldView]))
async def rearm(body: RearmBody, platform: Running) -> Response:
    """Trust a symbol's features again, once they are rebuilt from the tape."""
    return reply(await platform.rearm(body.symbol))


@router.post("/kill", tags=["trading"], responses=answers(StateView))
async def kill(body: KillBody, platform: Running) -> Response:
    """Halt a scope at once and cancel every order that works in it."""
    return reply(await platform.kill(body.reason, body.scope))
