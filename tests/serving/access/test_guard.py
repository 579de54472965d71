"""Every role at every door, for its own account and for another one's."""

import json
import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from serving.access.audit import Call
from serving.access.guard import Access, Guard, open_access, undeclared
from serving.access.keys import KeyRing, mint
from serving.access.rates import Rates
from serving.access.roles import RULES, SCOPES_OF, Role, Scope
from serving.access.tickets import LIFE_SECS, Tickets
from serving.app import create_app, routes_of
from tests.serving.server import Server

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

NOW = 1_700_000_000_000_000_000
OURS, OTHERS = "PAPER", "OTHER"
HTTP = sorted(key for key in RULES if key[0] != "WEBSOCKET")

# Written a second time, by hand: what each role may, as the desk understands it.
MAY: dict[str, set[Role]] = {
    "public": set(Role),
    "read": set(Role),
    "decide": {Role.TRADER, Role.RISK, Role.ADMIN},
    "trade": {Role.TRADER},
    "risk": {Role.RISK},
    "models": {Role.ADMIN},
}
OF_ACCOUNT = {
    "/v1/orders", "/v1/orders/{client_order_id}", "/v1/positions", "/v1/risk", "/v1/scenarios",
    "/v1/stream/tickets",
}  # fmt: skip
PUBLIC = {
    "/healthz", "/readyz", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/v2",
    "/v2/health/live", "/v2/health/ready",
}  # fmt: skip
SETS = {("POST", path) for path in ("/v1/kill", "/v1/trading-state", "/v1/features/rearm")}


class Door:
    """The application behind keys of every role, with what it wrote to the audit."""

    def __init__(self, platform: Any) -> None:
        self.clock = [0]
        self.keys = {
            (role, account): mint(f"{role}-{account}", role, [account], NOW)
            for role, account in product(Role, (OURS, OTHERS))
        }
        self.audit: list[Call] = []
        self.rates = Rates(0, 1, lambda: self.clock[0])
        self.orders = Rates(0, 1, lambda: self.clock[0])
        self.tickets = Tickets(lambda: self.clock[0])
        ring = KeyRing(row for row, _ in self.keys.values())
        access = Access(
            OURS, lambda: ring, self.rates, self.tickets, self.audit.append,
            self.orders, frozenset({"https://desk.example"}), lambda: NOW,
        )  # fmt: skip
        self.platform, self.access = platform, access
        self.client = TestClient(create_app(platform, access), raise_server_exceptions=False)

    def head(self, role: Role, account: str = OURS) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[role, account][1]}"}

    def text(self, role: Role, account: str = OURS) -> str:
        return self.keys[role, account][1]


@pytest.fixture
def door(platform: Any) -> Iterator[Door]:
    made = Door(platform)
    with made.client:
        yield made


def path_of(shape: str) -> str:
    return shape.format(symbol="EURUSD", client_order_id="C-1", name="m", version="1")


def test_every_route_declares_its_scope(platform: Any) -> None:
    app = create_app(platform)
    routes = [route for route in routes_of(app) if hasattr(route, "path")]
    assert undeclared(routes) == []
    served = {
        (method, route.path)
        for route in routes
        for method in getattr(route, "methods", None) or {"WEBSOCKET"}
    }
    assert set(RULES) <= served


def test_an_application_with_an_undeclared_route_does_not_start(
    platform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(RULES, ("POST", "/v1/kill"))
    with pytest.raises(Exception, match="POST /v1/kill"):
        create_app(platform)


@pytest.mark.parametrize("account", [OURS, OTHERS])
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("key", HTTP, ids=" ".join)
def test_each_role_passes_where_it_may(
    door: Door, key: tuple[str, str], role: Role, account: str
) -> None:
    method, shape = key
    status = door.client.request(
        method, path_of(shape), headers=door.head(role, account)
    ).status_code
    public = shape in PUBLIC
    belongs = shape in OF_ACCOUNT or key in SETS
    may = public or (
        role in MAY[RULES[key].scope] and (account == OURS or not (belongs and not public))
    )
    assert (status not in (401, 403)) == may, status
    assert status != 401


@pytest.mark.parametrize("key", HTTP, ids=" ".join)
@pytest.mark.parametrize("shown", [None, "Bearer ", "Bearer tp_a_b", "Basic dXNlcjpwYXNz"])
def test_without_a_good_key_only_public_doors_open(
    door: Door, key: tuple[str, str], shown: str | None
) -> None:
    method, shape = key
    headers = {"Authorization": shown} if shown else {}
    answer = door.client.request(method, path_of(shape), headers=headers)
    if RULES[key].scope is Scope.PUBLIC:
        assert answer.status_code != 401
    else:
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        own = "json" if shape.startswith("/v2") else "problem+json"
        assert answer.headers["content-type"] == f"application/{own}"


@pytest.mark.parametrize("path", ["/nope", "/v1/orders/a/b", "/v1//orders", "/V1/orders"])
def test_an_unknown_path_needs_a_key_too(door: Door, path: str) -> None:
    assert door.client.get(path).status_code == 401
    assert door.client.get(path, headers=door.head(Role.VIEWER)).status_code == 404


def test_scopes_of_the_roles_are_those_of_the_table() -> None:
    for scope in set(Scope) - {Scope.PUBLIC}:
        assert {role for role in Role if scope in SCOPES_OF[role]} == MAY[scope]


def test_what_changes_something_is_audited_with_who_and_how_it_ended(door: Door) -> None:
    door.client.post("/v1/kill", json={"reason": "x"}, headers=door.head(Role.RISK))
    door.client.post("/v1/kill", json={"reason": "x"}, headers=door.head(Role.VIEWER))
    door.client.post("/v1/kill", json={"reason": "x"})
    door.client.get("/v1/orders", headers=door.head(Role.VIEWER))
    assert [(c.who, c.method, c.path, c.status) for c in door.audit] == [
        ("risk-PAPER", "POST", "/v1/kill", 200),
        ("local", "POST", "/v1/kill", 403),
        ("local", "POST", "/v1/kill", 401),
    ]


def test_who_calls_too_often_waits_but_never_to_cancel_or_halt(platform: Any) -> None:
    door = Door(platform)
    door.rates._per_ns, door.rates._most = 2 / 1e9, 2.0
    trader, risk = door.head(Role.TRADER), door.head(Role.RISK)
    seen = [door.client.get("/v1/orders", headers=trader).status_code for _ in range(3)]
    assert seen == [200, 200, 429]
    answer = door.client.get("/v1/orders", headers=trader)
    assert answer.headers["Retry-After"] == "1"
    assert door.client.get("/v1/orders", headers=risk).status_code == 200  # a bucket each
    assert door.client.delete("/v1/orders/C-1", headers=trader).status_code == 404
    door.clock[0] += 500_000_000
    assert door.client.get("/v1/orders", headers=trader).status_code == 200


def test_a_flood_of_orders_is_refused_unread_but_no_cancel_and_no_look(platform: Any) -> None:
    door = Door(platform)
    door.orders._per_ns, door.orders._most = 2 / 1e9, 2.0
    trader = door.head(Role.TRADER)
    seen = [door.client.post("/v1/orders", headers=trader).status_code for _ in range(3)]
    assert seen == [400, 400, 503]  # the first two are read, and lack a key
    assert door.client.patch("/v1/orders/C-1", headers=trader).status_code == 503
    for _ in range(50):
        assert door.client.delete("/v1/orders/C-1", headers=trader).status_code == 404
        assert door.client.get("/v1/orders", headers=trader).status_code == 200
    door.clock[0] += 500_000_000
    assert door.client.post("/v1/orders", headers=trader).status_code == 400


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://evil.example", 403), ("null", 403), ("http://127.0.0.1.evil.example", 403),
        ("http://localhost.evil.example:8080", 403), ("https://desk.example", 200),
        ("http://127.0.0.1:8080", 200), ("http://localhost", 200),
    ],
)  # fmt: skip
def test_pages_of_elsewhere_cannot_call(door: Door, origin: str, status: int) -> None:
    headers = {**door.head(Role.VIEWER), "Origin": origin}
    assert door.client.get("/v1/orders", headers=headers).status_code == status
    if status == 403:
        with (
            pytest.raises(WebSocketDisconnect),
            door.client.websocket_connect("/v1/stream", headers=headers),
        ):
            pass


def test_every_answer_tells_its_time(door: Door) -> None:
    for answer in (door.client.get("/healthz"), door.client.get("/v1/orders")):
        assert answer.headers["X-Response-Time"].endswith("ms")


@pytest.fixture
def streaming(door: Door) -> Iterator[str]:
    with Server(door.platform, door.access) as server:
        yield f"ws://{server.address}/v1/stream"


def welcome(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(10))[0]["data"]


def test_a_stream_opens_by_header(door: Door, streaming: str) -> None:
    with connect(streaming, additional_headers=door.head(Role.VIEWER)) as socket:
        assert welcome(socket)["stream"] == door.platform.hub.stream


def test_a_stream_opens_by_first_frame(door: Door, streaming: str) -> None:
    with connect(streaming) as socket:
        socket.send(json.dumps({"key": door.text(Role.VIEWER)}))
        assert welcome(socket)["stream"] == door.platform.hub.stream


def test_a_ticket_opens_one_stream_within_its_time(door: Door, streaming: str) -> None:
    def issue() -> str:
        answer = door.client.post("/v1/stream/tickets", headers=door.head(Role.VIEWER))
        assert (answer.status_code, answer.json()["expires_secs"]) == (201, LIFE_SECS)
        return str(answer.json()["ticket"])

    ticket = issue()
    with connect(f"{streaming}?ticket={ticket}") as socket:
        assert welcome(socket)["stream"] == door.platform.hub.stream
    refused(f"{streaming}?ticket={ticket}")
    late = issue()
    door.clock[0] += LIFE_SECS * 1_000_000_000
    refused(f"{streaming}?ticket={late}")


def refused(address: str) -> None:
    with connect(address) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


@pytest.mark.parametrize("frame", ['{"key": "tp_a_b"}', "{", "[]", "{}", "x" * 1000])
def test_a_stream_with_a_wrong_first_frame_is_closed(door: Door, frame: str) -> None:
    with door.client.websocket_connect("/v1/stream") as socket:
        socket.send_text(frame)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
        assert closed.value.code == 1008


def test_a_stream_is_for_those_who_own_the_account(door: Door) -> None:
    headers = door.head(Role.TRADER, OTHERS)
    stream = door.client.websocket_connect("/v1/stream", headers=headers)
    with stream as socket, pytest.raises(WebSocketDisconnect):
        socket.receive_text()


def test_lifespan_passes_through(platform: Any) -> None:
    app = FastAPI()
    app.add_middleware(Guard, access=open_access(OURS))
    with TestClient(app) as client:
        assert client.get("/x").status_code == 404
