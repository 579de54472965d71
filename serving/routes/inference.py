"""``/v2``: the Open Inference Protocol, for clients written for Triton, KServe or MLServer.

Plain Starlette endpoints: bodies may be empty or binary, whatever their Content-Type says. Errors
are ``{"error": ...}`` and success is exactly 200, as those clients expect.
"""

import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import AppError, BadInput
from serving.errors import BodyTooLarge, failure, status_of
from serving.inference.service import Inference
from serving.inference.tensors import read_request, write_response
from serving.plain import JSON, OCTETS, Answer, Asked, Plain, read
from serving.ports import Platform

MOST_BYTES = 32_000_000
# Under this, compressing costs more than it saves on any network that ticks come over.
COMPRESS_BYTES = 4_096
LENGTH = b"inference-header-content-length"
EXTENSIONS = ["binary_tensor_data", "model_repository", "model_configuration", "statistics"]

_encode = msgspec.json.Encoder().encode
Endpoint = Callable[[Request], Awaitable[Response]]


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except AppError as error:
            return failure("/v2", status_of(error), str(error))

    return answer


def _inference(request: Request) -> Inference:
    found: Inference = request.app.state.platform.inference
    return found


def _named(request: Request) -> tuple[str, str]:
    return request.path_params.get("name", ""), request.path_params.get("version", "")


def _reply(data: Any) -> Response:
    return Response(_encode(data), media_type="application/json")


async def server(request: Request) -> Response:
    """Name, version and extensions."""
    version = request.app.version
    return _reply({"name": "tickpath", "version": version, "extensions": EXTENSIONS})


async def live(_request: Request) -> Response:
    """Alive: the event loop answers."""
    return Response()


async def ready(request: Request) -> Response:
    """Models answer; whether orders can flow is told by /readyz."""
    listed = _inference(request).index(ready=True)
    return Response() if listed else failure("/v2", 503, "no model is ready")


async def model_ready(request: Request) -> Response:
    """Tell whether a version answers at once."""
    if _inference(request).is_ready(*_named(request)):
        return Response()
    return failure("/v2", 503, "the model is not loaded")


async def model(request: Request) -> Response:
    """Describe inputs and outputs of a version."""
    return _reply(await _inference(request).describe(*_named(request)))


async def config(request: Request) -> Response:
    """Describe inputs and outputs of a version in Triton's terms."""
    return _reply(await _inference(request).configure(*_named(request)))


async def stats(request: Request) -> Response:
    """Show counts and times since the start."""
    return _reply(_inference(request).stats(*_named(request)))


async def infer(platform: Platform, request: Asked) -> Answer:
    """Predict on rows."""
    parts = request.path.split("/")
    name, version = parts[3], parts[5] if len(parts) > 5 else ""
    body = _inflated(request.body, request.header(b"content-encoding"))
    asked = read_request(body, _header_length(request.header(LENGTH)))
    key, outputs = await platform.inference.infer(name, version, asked)
    head = {"model_name": key.name, "model_version": key.version}
    if asked.id:
        head["id"] = asked.id
    return _compressed(request.header(b"accept-encoding"), *write_response(head, outputs))


def infer_of(platform: Platform) -> Plain:
    """Make the call that predicts on rows."""
    return Plain(partial(infer, platform), lambda: MOST_BYTES)


async def index(request: Request) -> Response:
    """List the versions that are here; with `{"ready": true}` those that answer."""
    asked = _object(await _body(request))
    return _reply(_inference(request).index(ready=bool(asked.get("ready", False))))


async def load(request: Request) -> Response:
    """Have a model at hand; with the parameter `pin` until it is unloaded."""
    parameters = _object(await _body(request)).get("parameters", {})
    pin = isinstance(parameters, dict) and bool(parameters.get("pin", False))
    await _inference(request).load(_named(request)[0], pin=pin)
    return Response()


async def unload(request: Request) -> Response:
    """Let go of a model; what trades goes on."""
    _object(await _body(request))
    _inference(request).unload(_named(request)[0])
    return Response()


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body) if body else {}
    except ValueError:
        raise BadInput("request body: JSON is malformed") from None
    if not isinstance(found, dict):
        raise BadInput("request body: not an object")
    return found


def _header_length(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or len(text) > 12:
        raise BadInput(f"{LENGTH.decode()}: {text!r} is no length")
    return int(text)


async def _body(request: Request) -> bytes:
    raw = await read(request.receive, dict(request.scope["headers"]), MOST_BYTES)
    return _inflated(raw, request.headers.get("content-encoding", ""))


def _inflated(body: bytes, coding: str) -> bytes:
    coding = coding.lower()
    if coding in ("identity", ""):
        return body
    if coding not in ("gzip", "deflate"):
        raise BadInput(f"content-encoding {coding!r}; gzip and deflate are read")
    inflate = zlib.decompressobj(31 if coding == "gzip" else 15)
    try:
        plain = inflate.decompress(body, MOST_BYTES)
    except zlib.error as error:
        raise BadInput(f"request body: {error}") from None
    if inflate.unconsumed_tail:
        raise BodyTooLarge(f"request body: more than {MOST_BYTES} bytes")
    if not inflate.eof:
        raise BadInput(f"request body: {coding} ends too early")
    return plain


def _compressed(taken: str, body: bytes, json_bytes: int | None) -> Answer:
    kind = JSON if json_bytes is None else OCTETS
    more: tuple[tuple[bytes, bytes], ...] = ()
    if json_bytes is not None:
        more = ((LENGTH, b"%d" % json_bytes),)
    if len(body) >= COMPRESS_BYTES:
        for coding, compress in (("gzip", gzip.compress), ("deflate", zlib.compress)):
            if coding in taken.lower():
                more = (*more, (b"content-encoding", coding.encode()))
                return Answer(compress(body, 1), kind, more=more)
    return Answer(body, kind, more=more)


# Answered by the status alone, as the protocol has it.
_EMPTY = (live, ready, model_ready, load, unload)
_ONE = "/v2/models/{name}"
_VERSION = f"{_ONE}/versions/{{version}}"
_DOORS: tuple[tuple[str, str, Endpoint], ...] = (
    ("GET", "/v2", server),
    ("GET", "/v2/health/live", live),
    ("GET", "/v2/health/ready", ready),
    ("GET", "/v2/models/stats", stats),
    ("POST", "/v2/repository/index", index),
    ("POST", "/v2/repository/models/{name}/load", load),
    ("POST", "/v2/repository/models/{name}/unload", unload),
    *(
        (method, base + tail, endpoint)
        for base in (_ONE, _VERSION)
        for method, tail, endpoint in (
            ("GET", "", model),
            ("GET", "/ready", model_ready),
            ("GET", "/config", config),
            ("GET", "/stats", stats),
        )
    ),
)
INFER_PATHS = (f"{_ONE}/infer", f"{_VERSION}/infer")

routes = [Route(path, _guarded(endpoint), methods=[method]) for method, path, endpoint in _DOORS]


def describe(document: dict[str, Any]) -> None:
    """Add the routes to the OpenAPI `document`, which only knows FastAPI's own."""
    calls: list[tuple[str, str, Callable[..., Any]]] = [*_DOORS]
    calls += [("POST", path, infer) for path in INFER_PATHS]
    for method, path, endpoint in calls:
        document.setdefault("paths", {}).setdefault(path, {})[method.lower()] = _described(
            method, path, endpoint
        )


def _described(method: str, path: str, endpoint: Callable[..., Any]) -> dict[str, Any]:
    error = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}
    any_json: dict[str, Any] = {
        "application/json": {"schema": {}},
        "application/octet-stream": {"schema": {}},
    }
    shown: dict[str, Any] = {
        "tags": ["inference"],
        "summary": (endpoint.__doc__ or "").rstrip("."),
        "operationId": f"v2_{endpoint.__name__}{'_version' if 'versions' in path else ''}",
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in ("name", "version")
            if f"{{{name}}}" in path
        ],
        "responses": {
            "200": {"description": "OK", **({} if endpoint in _EMPTY else {"content": any_json})},
            **{
                code: {"description": "Why not", "content": {"application/json": {"schema": error}}}
                for code in ("4XX", "503")
            },
        },
    }
    if method == "POST":
        shown["requestBody"] = {"content": {"application/json": {"schema": {"type": "object"}}}}
    return shown
