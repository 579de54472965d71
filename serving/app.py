"""The FastAPI application over a running platform."""

from fastapi import FastAPI
from starlette.routing import BaseRoute

from core.errors import FatalError
from serving import errors
from serving.access.guard import Access, Guard, open_access, undeclared
from serving.description import describe
from serving.ports import Platform
from serving.routes import decisions, features, health, inference, orders, platform, stream

ROUTERS = tuple(part.router for part in (platform, orders, health, stream))


def routes_of(app: FastAPI) -> list[BaseRoute]:
    """Return every route that `app` has or is going to have."""
    return [*app.routes, *(route for router in ROUTERS for route in router.routes)]


def create_app(running: Platform, access: Access | None = None) -> FastAPI:
    """Build the application; whoever opened the platform closes it after the server.

    Parameters
    ----------
    running : Platform
    access : Access, optional
        Keys, rates and audit; everybody may do everything without.

    Raises
    ------
    FatalError
        When a route has no declared scope.
    """
    access = access or open_access("PAPER")
    app = FastAPI(title="tickpath", version="0.1.0")
    app.state.platform = running
    app.state.tickets = access.tickets
    app.add_middleware(Guard, access=access)
    errors.install(app)
    app.router.routes += [decisions.route, features.route, *inference.routes]
    if open_doors := undeclared(routes_of(app)):
        raise FatalError(f"routes without a declared scope: {', '.join(open_doors)}")
    for router in ROUTERS:
        app.include_router(router)
    describe(app, (decisions, features, inference))
    return app
