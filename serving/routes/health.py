"""Health, readiness and metrics, for machines."""

from typing import Annotated

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from serving.ports import Platform
from serving.reply import answers, platform_of, reply
from serving.views import ReadyView

router = APIRouter(tags=["health"])
Running = Annotated[Platform, Depends(platform_of)]


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Alive: the event loop answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={**answers(ReadyView), 503: {"description": "Not ready"}})
async def readyz(platform: Running) -> Response:
    """Ready: quotes flow, a model serves on warm features, the order session is reconciled."""
    view = platform.readiness()
    return reply(view, 200 if view.ready else 503)


@router.get("/metrics", response_class=Response)
async def metrics(platform: Running) -> Response:
    """Prometheus text."""
    return Response(platform.metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})
