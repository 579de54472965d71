"""``POST /v1/features``: a feature row, live or of a history."""

from typing import Any

import msgspec

from serving.errors import body_error
from serving.history import HistoryBody
from serving.plain import Answer, Asked, Plain
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


def call_of(platform: Platform) -> Plain:
    """Make the call that answers with a row by column name, its source, and whether it is stale."""

    async def features(request: Asked) -> Answer:
        try:
            asked = _decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise body_error(request.body, error) from None
        view = await platform.on_demand.features(asked.symbol, asked.spec, asked.history)
        return Answer(_encode(view))

    return Plain(features, lambda: platform.on_demand.most_bytes)


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
