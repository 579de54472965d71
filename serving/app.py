"""The FastAPI application over a running platform."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI

from serving import errors
from serving.ports import Platform
from serving.routes import decisions, health, orders, platform, stream

Opener = Callable[[], AbstractAsyncContextManager[Platform]]


def create_app(open_platform: Opener) -> FastAPI:
    """Build the application; the platform lives as long as the application's lifespan.

    Parameters
    ----------
    open_platform : callable
        Returns an async context manager that yields the platform.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_platform() as running:
            app.state.platform = running
            yield

    app = FastAPI(title="tickpath", version="0.1.0", lifespan=lifespan)
    errors.install(app)
    app.router.routes.append(decisions.route)
    for part in (platform, orders, health, stream):
        app.include_router(part.router)
    _describe_hot_route(app)
    return app


def _describe_hot_route(app: FastAPI) -> None:
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            decisions.describe(generate())
        return generate()

    app.openapi = document  # type: ignore[method-assign]
