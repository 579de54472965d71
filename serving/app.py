"""The application over a running platform: the guard, the hot calls, and FastAPI for the rest."""

from fastapi import FastAPI
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core.errors import FatalError
from serving import errors
from serving.access.guard import Access, Guard, open_access, undeclared
from serving.description import describe
from serving.plain import HotCalls
from serving.ports import Platform
from serving.routes import decisions, features, health, inference, orders, platform, stream

ROUTERS = tuple(part.router for part in (platform, orders, health, stream))


class Application(FastAPI):
    """FastAPI behind a door, which every request and WebSocket meets first."""

    door: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at the door, or let in."""
        await self.door(scope, receive, send)


def routes_of(app: FastAPI) -> list[BaseRoute]:
    """Return every route that `app` has or is going to have."""
    return [*app.routes, *(route for router in ROUTERS for route in router.routes)]


def create_app(running: Platform, access: Access | None = None) -> Application:
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
    app = Application(title="tickpath", version="0.1.0")
    app.state.platform = running
    app.state.tickets = access.tickets
    errors.install(app)
    calls = {part.PATH: part.call_of(running) for part in (decisions, features)}
    infer = inference.infer_of(running)
    plain = {**calls, **dict.fromkeys(inference.INFER_PATHS, infer)}
    app.router.routes += [Route(path, call, methods=["POST"]) for path, call in plain.items()]
    app.router.routes += inference.routes
    app.door = Guard(HotCalls(super(Application, app).__call__, calls, infer), access)
    if open_doors := undeclared(routes_of(app)):
        raise FatalError(f"routes without a declared scope: {', '.join(open_doors)}")
    for router in ROUTERS:
        app.include_router(router)
    describe(app, (decisions, features, inference))
    return app
