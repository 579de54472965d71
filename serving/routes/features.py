"""``POST /v1/features``: a feature row, live or of a history; a plain Starlette endpoint."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import AppError
from serving.body import read_body
from serving.errors import body_error, problem, status_of
from serving.history import HistoryBody
from serving.ports import Platform
from serving.reply import schema
from serving.views import FeaturesView

PATH = "/v1/features"


class FeaturesRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which symbol; with `history` its newest row, else the live last row.

    `spec` is that of the symbol's model when absent.
    """

    symbol: str
    spec: str = ""
    history: HistoryBody | None = None


_decode = msgspec.json.Decoder(FeaturesRequest).decode
_encode = msgspec.json.Encoder().encode


async def features(request: Request) -> Response:
    """Answer with a row by column name, and say where it comes from and whether it is stale."""
    platform: Platform = request.app.state.platform
    body = b""
    try:
        body = await read_body(request, platform.on_demand.most_bytes)
        asked = _decode(body)
        view = await platform.on_demand.features(asked.symbol, asked.spec, asked.history)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        refused = body_error(body, error)
        return problem(status_of(refused), str(refused))
    except AppError as error:
        return problem(status_of(error), str(error))
    return Response(_encode(view), media_type="application/json")


route = Route(PATH, features, methods=["POST"])


def describe(document: dict[str, Any]) -> None:
    """Add the route to the OpenAPI `document`, which only knows FastAPI's own."""
    json_of = "application/json"
    document.setdefault("paths", {})[PATH] = {
        "post": {
            "tags": ["features"],
            "summary": "A feature row: the live last one, or the newest of a history",
            "operationId": "features",
            "requestBody": {
                "required": True,
                "content": {json_of: {"schema": schema(FeaturesRequest)}},
            },
            "responses": {
                "200": {
                    "description": "The row by column name, its source, and whether it is stale",
                    "content": {json_of: {"schema": schema(FeaturesView)}},
                },
                "4XX": {
                    "description": "One sentence about what is wrong",
                    "content": {"application/problem+json": {}},
                },
                "503": {
                    "description": "Warming up, or not ready in time; try again",
                    "content": {"application/problem+json": {}},
                },
            },
        }
    }
