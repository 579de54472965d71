"""Hot calls: found by exact method and path, bodies bounded, everything answered."""

import asyncio
import json
from typing import Any

import pytest
from starlette.routing import compile_path

from core.errors import Unavailable
from serving.errors import BodyTooLarge
from serving.plain import Answer, Asked, Gone, HotCalls, Plain, is_infer, read
from serving.routes.inference import INFER_PATHS

Message = dict[str, Any]


def receiving(*parts: bytes, hang_up: bool = False) -> Any:
    """A body in parts, cut off at its end when the caller hangs up."""
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": hang_up or number < len(parts) - 1}
        for number, part in enumerate(parts)
    ]
    if hang_up:
        messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    return receive


def ask(app: Any, path: str, *parts: bytes, method: str = "POST", **more: Any) -> list[Message]:
    """What an application sends for a request."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": more.pop("headers", [])}
    asyncio.run(app(scope, receiving(*parts, **more), send))
    return sent


async def backwards(request: Asked) -> Answer:
    if request.body == b"away":
        raise Unavailable("nobody is here")
    if request.body == b"break":
        raise ZeroDivisionError
    return Answer(request.body[::-1], more=((b"x-a", request.headers.get(b"a", b"")),))


PLAIN = Plain(backwards, lambda: 10)


@pytest.mark.parametrize("parts", [(b"abc",), (b"a", b"bc"), (b"", b"abc", b"")])
def test_a_body_is_read_whole(parts: tuple[bytes, ...]) -> None:
    start, body = ask(PLAIN, "/x", *parts, headers=[(b"a", b"1")])
    assert (start["status"], body["body"]) == (200, b"cba")
    assert dict(start["headers"]) == {
        b"content-length": b"3", b"content-type": b"application/json", b"x-a": b"1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status"), [(b"away", 503), (b"break", 500), (b"x" * 11, 413), (b"x" * 10, 200)]
)
@pytest.mark.parametrize(("path", "member"), [("/x", "detail"), ("/v2/models/x/infer", "error")])
def test_what_goes_wrong_is_answered(body: bytes, status: int, path: str, member: str) -> None:
    start, answer = ask(PLAIN, path, body)
    assert start["status"] == status
    assert status == 200 or json.loads(answer["body"])[member]


@pytest.mark.parametrize("announced", [b"11", b"99999999999999999999"])
def test_a_body_that_is_announced_too_large_is_not_awaited(announced: bytes) -> None:
    async def never() -> Message:
        raise AssertionError("read")

    with pytest.raises(BodyTooLarge):
        asyncio.run(read(never, {b"content-length": announced}, 10))


def test_who_hangs_up_gets_nothing() -> None:
    assert ask(PLAIN, "/x", b"abc", hang_up=True) == []
    with pytest.raises(Gone):
        asyncio.run(read(receiving(hang_up=True), {}, 10))


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/a/infer",
        "/v2/models/a/versions/1/infer",
        "/v2/models//infer",
        "/v2/models/infer",
        "/v2/models/a/b/infer",
        "/v2/models/a/b/1/infer",
        "/v2/models/a/versions//infer",
        "/v2/models/a/versions/1/2/infer",
        "/v2/models/a/infer/infer",
    ],
)
def test_hot_paths_are_those_of_the_routes(path: str) -> None:
    shapes = [compile_path(one)[0] for one in INFER_PATHS]
    assert is_infer(path) == any(shape.match(path) for shape in shapes)


def test_only_the_exact_method_and_path_is_hot() -> None:
    async def rest(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "rest", "path": scope["path"]})

    app = HotCalls(rest, {"/hot": PLAIN}, PLAIN)
    assert ask(app, "/hot", b"a")[0]["status"] == 200
    assert ask(app, "/v2/models/a/infer", b"a")[0]["status"] == 200
    for method, path in (("GET", "/hot"), ("POST", "/hot/"), ("POST", "/v2/models//infer")):
        assert ask(app, path, b"a", method=method)[0]["type"] == "rest"
