"""One table from error type to HTTP status; every failure is ``application/problem+json``.

See RFC 9457 for the members `type`, `title`, `status` and `detail`. A refusal of the risk checks
adds `check`, `limit`, `observed` and `largest_lots`.
"""

import json
import logging
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from core.errors import (
    AppError,
    ArtifactRefused,
    BadInput,
    Conflict,
    FatalError,
    NotFound,
    RecoverableError,
    Unavailable,
    UnknownInstrument,
)
from core.types import Refused

log = logging.getLogger(__name__)


class MalformedBody(BadInput):
    """A request body that is not JSON."""


class BodyTooLarge(BadInput):
    """A request body that is larger than its door takes."""


STATUS: dict[type[AppError], int] = {
    MalformedBody: 400,
    BodyTooLarge: 413,
    UnknownInstrument: 422,
    BadInput: 422,
    NotFound: 404,
    Conflict: 409,
    ArtifactRefused: 409,  # what was asked for cannot be served; what serves goes on
    Unavailable: 503,
    RecoverableError: 503,
    FatalError: 500,
    AppError: 500,
}


def status_of(error: AppError) -> int:
    """Return the status of the nearest class of `error` in the table."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(status: int, detail: str, **more: str) -> Response:
    """Build a problem answer with one sentence of detail."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **more,
    }
    return Response(msgspec.json.encode(body), status, media_type="application/problem+json")


def failure(path: str, status: int, detail: str) -> Response:
    """Build what clients of `path` read: under ``/v2`` the protocol's own error, else a problem."""
    if path == "/v2" or path.startswith("/v2/"):
        body = msgspec.json.encode({"error": detail})
        return Response(body, status, media_type="application/json")
    return problem(status, detail)


def refusal(refused: Refused) -> Response:
    """Build the 422 that names the check, its limit, what was seen and what would have passed."""
    detail = (
        f"{refused.check}: {refused.reason} (limit {refused.limit}, observed {refused.observed}, "
        f"largest that would pass {refused.largest_lots} lots)"
    )
    return problem(
        422,
        detail,
        check=refused.check,
        reason=refused.reason,
        limit=refused.limit,
        observed=refused.observed,
        largest_lots=refused.largest_lots,
    )


def _refuse_constant(name: str) -> float:
    raise BadInput(f"{name} is not a number that JSON or a price knows")


def body_error(body: bytes, error: Exception) -> BadInput:
    """Say in one sentence what is wrong with a body that msgspec would not take."""
    if isinstance(error, msgspec.ValidationError):
        return BadInput(f"request body: {str(error).replace(' - at `$.', ' - at `')}")
    try:
        json.loads(body, parse_constant=_refuse_constant)
    except BadInput as named:
        return named
    except ValueError:
        pass
    return MalformedBody(f"request body: {error}")


def _first_sentence(error: RequestValidationError) -> tuple[int, str]:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", first["msg"])
        return 400, f"request body: JSON is malformed: {reason}"
    if first["type"] == "extra_forbidden":
        return 422, f"request body: unknown field {where!r}"
    if first["type"] == "missing" and first["loc"][0] == "header":
        return 400, "header Idempotency-Key is required: any text that names this order"
    return 422, f"{where or 'request body'}: {first['msg']}"


def install(app: FastAPI) -> None:
    """Answer every failure of `app` with a problem."""

    async def on_app_error(request: Request, error: Any) -> Response:
        return failure(request.url.path, status_of(error), str(error))

    async def on_validation(_request: Request, error: Any) -> Response:
        return problem(*_first_sentence(error))

    async def on_http(request: Request, error: Any) -> Response:
        answer = failure(request.url.path, error.status_code, str(error.detail))
        answer.headers.update(error.headers or {})
        return answer

    async def on_anything(request: Request, error: Exception) -> Response:
        log.error("unexpected error on %s", request.url.path, exc_info=error)
        words = "unexpected error; the server's log has the details"
        return failure(request.url.path, 500, words)

    app.add_exception_handler(AppError, on_app_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_anything)
