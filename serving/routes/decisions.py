"""``POST /v1/decisions``: the hot call, msgspec on both sides."""

from typing import Any

import msgspec

from core.errors import BadInput
from core.types import Decision
from serving.errors import body_error
from serving.history import HistoryBody
from serving.plain import Answer, Asked, Plain
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


def call_of(platform: Platform) -> Plain:
    """Make the call that answers BUY, SELL or HOLD; live state stays as it is."""

    async def decide(request: Asked) -> Answer:
        try:
            asked = _decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise body_error(request.body, error) from None
        return Answer(_encode(await _decide(platform, asked)))

    return Plain(decide, lambda: platform.on_demand.most_bytes)


async def _decide(platform: Platform, asked: DecisionRequest) -> Decision:
    if asked.history is not None:
        return await _decide_on_history(platform, asked, asked.history)
    if asked.quote is None:
        return platform.decider.decide(asked.symbol)
    quote = asked.quote
    return platform.decider.decide_on(asked.symbol, quote.bid, quote.ask, quote.ts)


async def _decide_on_history(
    platform: Platform, asked: DecisionRequest, history: HistoryBody
) -> Decision:
    if asked.quote is not None:
        raise BadInput("quote and history exclude each other: put the quote last in the history")
    return await platform.on_demand.decide(asked.symbol, history)


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
