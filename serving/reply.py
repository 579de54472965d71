"""Answers encoded by msgspec, and their schema for the OpenAPI document."""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from serving.ports import Platform

_encode = msgspec.json.Encoder().encode


def reply(data: Any, status: int = 200) -> Response:
    """Encode records as JSON."""
    return Response(_encode(data), status, media_type="application/json")


async def platform_of(request: Request) -> Platform:
    """Return the running platform of the application; a FastAPI dependency.

    `async` although it awaits nothing: FastAPI runs any other dependency in a thread, and the way
    there and back would be a third of a request.
    """
    platform: Platform = request.app.state.platform
    return platform


def schema(kind: Any) -> dict[str, Any]:
    """JSON schema of a record type with everything inlined, so that it can stand anywhere."""
    whole = msgspec.json.schema(kind)
    inlined = _inline(whole, whole.get("$defs", {}))
    inlined.pop("$defs", None)
    return dict(inlined)


def answers(kind: Any, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """Describe the JSON answer of a route."""
    content = {"application/json": {"schema": schema(kind)}}
    return {status: {"description": "OK", "content": content}}


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inline(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions)
    return {key: _inline(value, definitions) for key, value in node.items() if key != "$defs"}
