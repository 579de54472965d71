"""The FastAPI application over a running platform."""

from typing import Any

from fastapi import FastAPI

from serving import errors
from serving.ports import Platform
from serving.routes import decisions, features, health, orders, platform, stream


def create_app(running: Platform) -> FastAPI:
    """Build the application; whoever opened the platform closes it after the server."""
    app = FastAPI(title="tickpath", version="0.1.0")
    app.state.platform = running
    errors.install(app)
    app.router.routes += [decisions.route, features.route]
    for part in (platform, orders, health, stream):
        app.include_router(part.router)
    _describe_hot_routes(app)
    return app


def _describe_hot_routes(app: FastAPI) -> None:
    generate = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            for part in (decisions, features):
                part.describe(generate())
        return generate()

    app.openapi = document  # type: ignore[method-assign]
