"""``POST /v1/decisions``: the hot route, a plain Starlette endpoint with msgspec on both sides."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import AppError
from core.types import Decision
from serving.errors import body_error, problem, status_of
from serving.reply import schema

PATH = "/v1/decisions"


class QuoteBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices to decide on; `ts` in ns UTC, the live tape's time when absent."""

    bid: float
    ask: float
    ts: int | None = None


class DecisionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which symbol; with `quote` a copy of the live state is asked, else the live row."""

    symbol: str
    quote: QuoteBody | None = None


_decode = msgspec.json.Decoder(DecisionRequest).decode
_encode = msgspec.json.Encoder().encode


async def decide(request: Request) -> Response:
    """Answer BUY, SELL or HOLD; live state stays as it is."""
    body = await request.body()
    try:
        asked = _decode(body)
        decider = request.app.state.platform.decider
        if asked.quote is None:
            decision = decider.decide(asked.symbol)
        else:
            quote = asked.quote
            decision = decider.decide_on(asked.symbol, quote.bid, quote.ask, quote.ts)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        refused = body_error(body, error)
        return problem(status_of(refused), str(refused))
    except AppError as error:
        return problem(status_of(error), str(error))
    return Response(_encode(decision), media_type="application/json")


route = Route(PATH, decide, methods=["POST"])


def describe(document: dict[str, Any]) -> None:
    """Add the route to the OpenAPI `document`, which only knows FastAPI's own."""
    json_of = "application/json"
    document.setdefault("paths", {})[PATH] = {
        "post": {
            "tags": ["decisions"],
            "summary": "Decide on the live row, or on a copy of the state with a quote of yours",
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
