"""The doors, on a stub platform: good answers, and bad input refused by name."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from core import errors as core_errors
from core.types import TradingState
from serving.errors import STATUS, status_of

QUOTE = {"bid": 1.1, "ask": 1.1001}
ORDER = {"symbol": "EURUSD", "side": "BUY", "lots": "0.10"}
HISTORY = {"ts": [1, 2], "bid": [1.1, 1.2], "ask": [1.1, 1.3]}
BARS = {**HISTORY, "span_ns": 60, "open": [1.1, 1.25], "high": [1.2, 1.3], "low": [1.0, 1.2]}
ANSWER = {
    "decision_id", "symbol", "direction", "confidence", "raw_score", "edge_pips", "reason", "model",
    "model_version", "spec_fingerprint", "quote_seq", "ts_event", "ts_decide", "stages_us",
}  # fmt: skip


def problem_of(answer: Any) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert "Traceback" not in answer.text
    assert "\n" not in body["detail"]
    return body


@pytest.mark.parametrize(
    "body",
    [
        {"symbol": "EURUSD"},
        {"symbol": "EURUSD", "quote": QUOTE},
        {"symbol": "EURUSD", "history": HISTORY},
        {"symbol": "EURUSD", "history": BARS},
    ],
)
def test_decision_has_exactly_the_promised_fields(client: TestClient, body: Any) -> None:
    answer = client.post("/v1/decisions", json=body)
    assert answer.status_code == 200
    assert set(answer.json()) == ANSWER


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "truncated"),
        (b"", 400, "truncated"),
        (b"\xff", 400, "malformed"),
        (b'{"symbol": "\xff"}', 400, "decode"),
        (b'{"symbol": "EURUSD", "quote": {"bid": NaN, "ask": 1}}', 422, "NaN"),
        (b'{"symbol": "EURUSD", "quote": {"bid": Infinity, "ask": 1}}', 422, "Infinity"),
        (b'{"symbol": "EURUSD", "quote": {"bid": 1e999, "ask": 1}}', 422, "out of range"),
        (b'{"symbol": "EURUSD", "quote": {"bid": "x", "ask": 1}}', 422, "quote.bid"),
        (b'{"symbol": "EURUSD", "quote": {"bid": 2, "ask": 1}}', 422, "crossed"),
        (b'{"symbol": "EURUSD", "quote": {"bid": 1, "ask": 1, "mid": 1}}', 422, "mid"),
        (b'{"symbol": "EURUSD", "side": "BUY"}', 422, "side"),
        (b'{"symbol": "NOPE"}', 422, "NOPE"),
        (b"{}", 422, "symbol"),
        (b"[]", 422, "object"),
        (b'{"symbol": "XAUUSD"}', 503, "no quote"),
    ],
)
def test_bad_decision_requests_are_refused_by_name(
    client: TestClient, body: bytes, status: int, words: str
) -> None:
    answer = client.post("/v1/decisions", content=body)
    assert answer.status_code == status
    assert words in problem_of(answer)["detail"]


@pytest.mark.parametrize("lots", ["0.10", 0.1])
def test_order_takes_lots_as_string_or_number(
    client: TestClient, platform: Any, lots: object
) -> None:
    platform.state = TradingState.ACTIVE
    answer = client.post(
        "/v1/orders", json={**ORDER, "lots": lots}, headers={"Idempotency-Key": "a"}
    )
    assert answer.status_code == 201
    assert answer.json()["lots"] == "0.10"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"lots": "NaN"}, "lots"),
        ({"lots": "1e30"}, "lots"),
        ({"lots": "1e400"}, "lots"),
        ({"type": "LIMIT", "limit": "1e999999"}, "limit"),
        ({"lots": 0}, "lots"),
        ({"lots": "-1"}, "lots"),
        ({"lots": "many"}, "lots"),
        ({"side": "UP"}, "side"),
        ({"limit": "Infinity"}, "limit"),
        ({"sybmol": "x"}, "sybmol"),
        ({"symbol": "NOPE"}, "NOPE"),
    ],
)
def test_bad_orders_are_refused_by_name(
    client: TestClient, change: dict[str, object], word: str
) -> None:
    answer = client.post("/v1/orders", json={**ORDER, **change}, headers={"Idempotency-Key": "a"})
    assert answer.status_code == 422
    assert word in problem_of(answer)["detail"]


def test_order_without_idempotency_key_is_refused(client: TestClient) -> None:
    answer = client.post("/v1/orders", json=ORDER)
    assert answer.status_code == 400
    assert "Idempotency-Key" in problem_of(answer)["detail"]


def test_malformed_order_is_a_400(client: TestClient) -> None:
    answer = client.post(
        "/v1/orders",
        content=b"{",
        headers={"Idempotency-Key": "a", "Content-Type": "application/json"},
    )
    assert answer.status_code == 400
    assert "malformed" in problem_of(answer)["detail"]


def test_refusal_names_check_limit_observed_and_largest(client: TestClient) -> None:
    answer = client.post("/v1/orders", json=ORDER, headers={"Idempotency-Key": "a"})
    body = problem_of(answer)
    assert answer.status_code == 422
    assert body["check"] == "trading_state"
    assert {"limit", "observed", "largest_lots", "reason"} <= set(body)


def test_same_key_same_body_is_the_first_result_another_body_a_conflict(
    client: TestClient, platform: Any
) -> None:
    platform.state = TradingState.ACTIVE
    headers = {"Idempotency-Key": "a"}
    first = client.post("/v1/orders", json=ORDER, headers=headers)
    again = client.post("/v1/orders", json=ORDER, headers=headers)
    other = client.post("/v1/orders", json={**ORDER, "lots": "0.20"}, headers=headers)
    assert first.json() == again.json()
    assert other.status_code == 409
    assert len(client.get("/v1/orders").json()) == 1


def test_orders_come_newest_first_in_pages(client: TestClient, platform: Any) -> None:
    platform.state = TradingState.ACTIVE
    for key in "abc":
        client.post("/v1/orders", json=ORDER, headers={"Idempotency-Key": key})
    page = client.get("/v1/orders?limit=2").json()
    assert [order["key"] for order in page] == ["c", "b"]
    rest = client.get(f"/v1/orders?limit=2&before={page[-1]['client_order_id']}").json()
    assert [order["key"] for order in rest] == ["a"]
    for limit in ("0", "1001", "many"):
        assert "limit" in problem_of(client.get(f"/v1/orders?limit={limit}"))["detail"]


def test_unknown_order_is_404_on_get_and_delete(client: TestClient) -> None:
    for method in ("GET", "DELETE"):
        answer = client.request(method, "/v1/orders/none")
        assert answer.status_code == 404
        assert "none" in problem_of(answer)["detail"]


def test_unknown_path_and_method_are_problems(client: TestClient) -> None:
    assert problem_of(client.get("/nope"))["status"] == 404
    assert problem_of(client.get("/v1/decisions"))["status"] == 405


def test_an_unexpected_error_shows_no_trace(client: TestClient, platform: Any) -> None:
    platform.positions = lambda: 1 / 0
    answer = client.get("/v1/positions")
    assert answer.status_code == 500
    assert "division" not in problem_of(answer)["detail"]


def test_trading_state_round_trip(client: TestClient) -> None:
    assert client.get("/v1/trading-state").json()["state"] == "HALTED"
    assert client.post("/v1/trading-state", json={"state": "ACTIVE"}).json()["state"] == "ACTIVE"
    wrong = client.post("/v1/trading-state", json={"state": "OPEN"})
    assert "ACTIVE" in problem_of(wrong)["detail"]


def test_ready_names_what_is_missing(client: TestClient, platform: Any) -> None:
    assert client.get("/readyz").status_code == 200
    platform.missing = ["feed"]
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["waiting_for"] == ["feed"]
    assert client.get("/healthz").json() == {"status": "ok"}


def test_openapi_describes_the_hot_route_beside_the_others(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    hot = paths["/v1/decisions"]["post"]
    answer = hot["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(answer["properties"]) == ANSWER
    assert {"/v1/orders", "/v1/models", "/v1/positions", "/healthz"} <= set(paths)


def test_every_error_type_has_a_status() -> None:
    kinds = [k for k in vars(core_errors).values() if isinstance(k, type)]
    for kind in kinds:
        error = kind.__new__(kind)
        assert 400 <= status_of(error) <= 503
    assert STATUS[core_errors.AppError] == 500


@pytest.mark.parametrize("body", [{"symbol": "EURUSD"}, {"symbol": "EURUSD", "history": HISTORY}])
def test_features_have_exactly_the_promised_fields(client: TestClient, body: Any) -> None:
    answer = client.post("/v1/features", json=body)
    assert answer.status_code == 200
    assert set(answer.json()) == {
        "symbol", "spec", "spec_fingerprint", "values", "source", "stale", "quote_seq", "ts_event",
        "age_ms",
    }  # fmt: skip


BAD_HISTORIES = [
    ({"ts": [2, 1], "bid": [1, 1], "ask": [1, 1]}, 422, "unsorted"),
    ({"ts": [1, 2], "bid": [1, 1], "ask": [1, 0.9]}, 422, "history.ask[1]"),
    ({"ts": [1, 2], "bid": [1, -1], "ask": [1, 1]}, 422, "history.bid[1]"),
    ({"ts": [1], "bid": [1, 1], "ask": [1]}, 422, "history.bid has 2"),
    ({"ts": [], "bid": [], "ask": []}, 422, "1..5 quotes, not 0"),
    ({"ts": [1] * 6, "bid": [1] * 6, "ask": [1] * 6}, 422, "1..5 quotes, not 6"),
    ({"ts": [1], "bid": [1], "ask": [1], "mid": [1]}, 422, "mid"),
    ({"ts": [1], "bid": [1]}, 422, "ask"),
    ({"ts": ["x"], "bid": [1], "ask": [1]}, 422, "history.ts[0]"),
    ({"ts": [1.5], "bid": [1], "ask": [1]}, 422, "int"),
    ({"ts": [10**30], "bid": [1], "ask": [1]}, 422, "history.ts"),
    ({"ts": [1], "bid": [1], "ask": [1], "span_ns": 60}, 422, "go together"),
    ({"ts": [1], "bid": [1], "ask": [1], "high": [1]}, 422, "go together"),
    ({**BARS, "high": [1.0, 1.3]}, 422, "history.high[0]"),
    ({"ts": [1] * 500, "bid": [1] * 500, "ask": [1] * 500}, 413, "more than 1000"),
]


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/features"])
@pytest.mark.parametrize(("history", "status", "words"), BAD_HISTORIES)
def test_a_bad_history_is_refused_by_name(
    client: TestClient, path: str, history: Any, status: int, words: str
) -> None:
    answer = client.post(path, json={"symbol": "EURUSD", "history": history})
    assert answer.status_code == status, answer.text
    assert words in problem_of(answer)["detail"]


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/features"])
@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "truncated"),
        (b'{"symbol": "NOPE"}', 422, "NOPE"),
        (b'{"symbol": "EURUSD", "history": {"ts": [1], "bid": [NaN], "ask": [1]}}', 422, "NaN"),
        (b'{"symbol": "EURUSD", "side": 1}', 422, "side"),
        (b'{"symbol": "XAUUSD"}', 503, "no quote"),
        (b" " * 1_001, 413, "more than 1000"),
    ],
)
def test_a_bad_body_is_refused_by_name(
    client: TestClient, path: str, body: bytes, status: int, words: str
) -> None:
    answer = client.post(path, content=body)
    assert answer.status_code == status, answer.text
    assert words in problem_of(answer)["detail"]


def test_a_body_of_unknown_length_is_bounded_too(client: TestClient) -> None:
    def pieces() -> Any:
        for _ in range(20):
            yield b" " * 100

    answer = client.post("/v1/features", content=pieces())
    assert answer.status_code == 413
    assert "more than 1000" in problem_of(answer)["detail"]
    whole = client.post("/v1/features", content=iter([b'{"symbol"', b': "EURUSD"}']))
    assert whole.status_code == 200


def test_a_quote_and_a_history_exclude_each_other(client: TestClient) -> None:
    body = {"symbol": "EURUSD", "quote": QUOTE, "history": HISTORY}
    answer = client.post("/v1/decisions", json=body)
    assert answer.status_code == 422
    assert "exclude" in problem_of(answer)["detail"]


def test_the_document_describes_both_doors(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/v1/decisions", "/v1/features"):
        asked = paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        history = json.dumps(asked["properties"]["history"])
        assert all(f'"{name}"' in history for name in ("ts", "bid", "ask", "span_ns"))
        assert "$ref" not in history
        assert paths[path]["post"]["responses"]["200"]


def test_a_roll_back_answers_with_what_serves_then(client: TestClient) -> None:
    answer = client.post("/v1/models/EURUSD/rollback", json={"reason": "loses", "version": "2"})
    assert (answer.status_code, answer.json()["version"]) == (200, "2")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("EURUSD", {}, 422),
        ("EURUSD", {"reason": ""}, 422),
        ("EURUSD", {"reason": "x", "version": "two"}, 422),
        ("EURUSD", {"reason": "x", "version": "9"}, 404),
        ("NOPE", {"reason": "x"}, 422),
    ],
)
def test_an_odd_roll_back_is_refused(
    client: TestClient, path: str, body: dict[str, str], status: int
) -> None:
    answer = client.post(f"/v1/models/{path}/rollback", json=body)
    assert problem_of(answer)["status"] == status


def test_held_symbols_are_shown_and_re_armed(client: TestClient) -> None:
    held = client.get("/v1/features/holds")
    assert held.json() == [{"symbol": "EURUSD", "reason": "feature_skew"}]
    assert client.post("/v1/features/rearm", json={"symbol": "EURUSD"}).json() == []
    assert client.post("/v1/features/rearm", json={"symbol": "EURUSD"}).status_code == 404
    assert client.post("/v1/features/rearm", json={"symbl": "EURUSD"}).status_code == 422


def test_the_kill_switch_has_a_door_of_its_own(client: TestClient, platform: Any) -> None:
    answer = client.post("/v1/kill", json={"reason": "smoke", "scope": "symbol:EURUSD"})
    assert answer.json()["state"] == "HALTED"
    assert platform.killed == [("symbol:EURUSD", "smoke")]
    assert problem_of(client.post("/v1/kill", json={"scop": "global"}))["status"] == 422


def test_new_terms_are_handed_on_as_they_were_said(client: TestClient, platform: Any) -> None:
    platform.state = TradingState.ACTIVE
    sent = client.post("/v1/orders", json=ORDER, headers={"Idempotency-Key": "a"}).json()
    name = sent["client_order_id"]
    answer = client.patch(f"/v1/orders/{name}", json={"lots": "0.30", "stop": 1.2})
    assert answer.status_code == 202
    ((asked, terms),) = platform.replaced
    assert asked == name
    assert (str(terms.lots), terms.limit, str(terms.stop)) == ("0.30", None, "1.2")
    assert problem_of(client.patch(f"/v1/orders/{name}", json={"lots": "NaN"}))["status"] == 422
    assert problem_of(client.patch("/v1/orders/none", json={"lots": "1"}))["status"] == 404


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-1", 0])
@pytest.mark.parametrize("field", ["stop", "take_profit", "stop_loss"])
def test_prices_of_an_order_are_finite_and_positive(
    client: TestClient, field: str, price: object
) -> None:
    body = {**ORDER, field: price}
    answer = client.post("/v1/orders", json=body, headers={"Idempotency-Key": "a"})
    assert answer.status_code == 422
    assert field in problem_of(answer)["detail"]
