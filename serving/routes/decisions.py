"""``POST /v1/decisions``: the hot route, a plain Starlette endpoint with msgspec on both sides."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import AppError, BadInput
from core.types import Decision
from serving.body import read_body
from serving.errors import body_error, problem, status_of
from serving.history import HistoryBody
from serving.ports import Platform
from serving.reply import schema

PATH = "/v1/decisions"


class QuoteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices to decide on; `ts` in ns UTC, the live tape's time when absent."""

    bid: float
    ask: float
    ts: int | None = None


class DecisionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which symbol: on its live row, on a copy of the live state with `quote`, or on `history`."""

    symbol: str
    quote: QuoteBody | None = None
    history: HistoryBody | None = None


_decode = msgspec.json.Decoder(DecisionRequest).decode
_encode = msgspec.json.Encoder().encode


async def decide(request: Request) -> Response:
    """Answer BUY, SELL or HOLD; live state stays as it is."""
    platform: Platform = request.app.state.platform
    body = b""
    try:
        body = await read_body(request, platform.on_demand.most_bytes)
        asked = _decode(body)
        if asked.history is not None:
            decision = await _decide_on_history(platform, asked, asked.history)
        elif asked.quote is None:
            decision = platform.decider.decide(asked.symbol)
        else:
            quote = asked.quote
            decision = platform.decider.decide_on(asked.symbol, quote.bid, quote.ask, quote.ts)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        refused = body_error(body, error)
        return problem(status_of(refused), str(refused))
    except AppError as error:
        return problem(status_of(error), str(error))
    return Response(_encode(decision), media_type="application/json")


async def _decide_on_history(
    platform: Platform, asked: DecisionRequest, history: HistoryBody
) -> Decision:
    if asked.quote is not None:
        raise BadInput("quote and history exclude each other: put the quote last in the history")
    return await platform.on_demand.decide(asked.symbol, history)


route = Route(PATH, decide, methods=["POST"])


def describe(document: dict[str, Any]) -> None:
    """Add the route to the OpenAPI `document`, which only knows FastAPI's own."""
    json_of = "application/json"
    document.setdefault("paths", {})[PATH] = {
        "post": {
            "tags": ["decisions"],
            "summary": "Decide on the live row, on it with a quote of yours, or on a history",
            "operationId": "decide",
            "requestBody": {
                "required": True,
                "content": {json_of: {"schema": schema(DecisionRequest)}},
            },
            "responses": {
                "200": {
                    "description": "BUY, SELL or HOLD with its reason",
                    "content": {json_of: {"schema": schema(Decision)}},
                },
                "4XX": {
                    "description": "One sentence about what is wrong",
                    "content": {"application/problem+json": {}},
                },
            },
        }
    }
