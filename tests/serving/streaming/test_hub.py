"""Fan-out: who gets what, in which order, and what becomes of who cannot keep up."""

import gzip
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from serving.streaming import hub as hubs
from serving.streaming.hub import Hub, Wish
from serving.streaming.messages import (
    COMPRESS_BYTES,
    CONFLATED,
    DEFAULT_TOPICS,
    MOST_IN_FRAME,
    Coding,
    Topic,
)
from tests.serving.server import Heard, payload

ALL = frozenset(Topic)


def listen(hub: Hub, topics: frozenset[Topic] = ALL, **wish: Any) -> tuple[Heard, Any]:
    wire = Heard()
    return wire, hub.open(wire, Wish(topics, **wish))


def told(wire: Heard, topic: Topic) -> list[Any]:
    return [one["data"] for one in wire.messages if one["topic"] == topic]


def test_each_gets_its_topics_and_a_welcome() -> None:
    hub = Hub(10)
    fills, _ = listen(hub, frozenset({Topic.FILLS}))
    both, _ = listen(hub, DEFAULT_TOPICS)
    hub.publish(Topic.FILLS, 1)
    hub.publish(Topic.ORDERS, 2)
    assert [m["data"] for m in fills.messages] == [{"stream": hub.stream, "seq": 0}, 1]
    assert [m["data"] for m in both.messages[1:]] == [1, 2]
    assert [m["seq"] for m in both.messages[1:]] == [1, 2]


def test_nothing_is_kept_before_anybody_listened() -> None:
    hub = Hub(10)
    hub.publish(Topic.FILLS, 1)
    assert hub.seq == 0


def test_a_slow_client_gets_the_newest_quote_and_every_fill() -> None:
    hub = Hub(100)
    wire, client = listen(hub)
    wire.unsent = 1 << 20
    for n in range(50):
        hub.publish(Topic.QUOTES, n, f"S{n % 3}")
        hub.publish(Topic.FILLS, n)
    assert told(wire, Topic.FILLS) == []
    wire.unsent = 0
    client.drain()
    assert told(wire, Topic.FILLS) == list(range(50))
    assert sorted(told(wire, Topic.QUOTES)) == [47, 48, 49]
    assert hub.conflated == 47
    seqs = [m["seq"] for m in wire.messages]
    assert seqs == sorted(seqs)


def test_who_is_too_far_behind_is_told_the_gap_and_cut() -> None:
    hub = Hub(5)
    wire, client = listen(hub)
    other, _ = listen(hub)
    hub.publish(Topic.FILLS, 0)
    wire.unsent = 1 << 20
    for n in range(1, 20):
        hub.publish(Topic.FILLS, n)
    assert wire.cut_for == "too far behind"
    assert wire.messages[-1]["data"]["gap"] == [2, 7]
    assert client.is_cut
    assert told(other, Topic.FILLS) == list(range(20))
    hub.close(client)
    assert (hub.cut_clients, len(hub)) == (1, 1)


def test_quotes_alone_never_cut_anybody() -> None:
    hub = Hub(5)
    wire, client = listen(hub)
    wire.unsent = 1 << 20
    for n in range(10_000):
        hub.publish(Topic.QUOTES, n, f"S{n % 7}")
    assert not client.is_cut


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("compression", ["", "gzip", "zstd"])
@pytest.mark.parametrize("count", [1, 15, 16, 100, 250])
def test_frames_hold_up_to_a_hundred_messages_in_every_coding(
    packed: bool, compression: str, count: int
) -> None:
    hub = Hub(1_000)
    wire, client = listen(hub, coding=Coding(packed, compression))
    wire.unsent = 1 << 20
    for n in range(count):
        hub.publish(Topic.ORDERS, {"n": n, "text": "x" * 30})
    wire.unsent = 0
    client.drain()
    assert len(wire.frames) == 1 + -(-count // MOST_IN_FRAME)
    found: list[Any] = []
    for frame in wire.frames:
        body = payload(frame)
        if body[0] == 0x1F:
            assert compression == "gzip"
            body = gzip.decompress(body)
        elif body[0] == 0x28:
            assert compression == "zstd"
            body = zstandard.decompress(body)
        else:
            assert not compression or len(body) < COMPRESS_BYTES
        decode = msgspec.msgpack.decode if packed else msgspec.json.decode
        found += decode(body)
    assert [m["data"]["n"] for m in found if m["topic"] == "orders"] == list(range(count))


def test_who_comes_back_gets_what_it_missed() -> None:
    hub = Hub(100)
    _, client = listen(hub)
    hub.publish(Topic.FILLS, 1)
    hub.close(client)
    hub.publish(Topic.FILLS, 2)
    hub.publish(Topic.QUOTES, 3, "S")
    hub.publish(Topic.DECISIONS, 4)
    again, _ = listen(hub, frozenset({Topic.FILLS, Topic.QUOTES}), stream=hub.stream, since=1)
    assert "gap" not in again.messages[0]["data"]
    assert [m["data"] for m in again.messages[1:]] == [2, 3]


def test_who_comes_back_too_late_or_to_another_run_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hubs, "KEPT", 10)
    hub = Hub(100)
    listen(hub)
    for n in range(1, 31):
        hub.publish(Topic.FILLS, n)
    late, _ = listen(hub, stream=hub.stream, since=5)
    assert late.messages[0]["data"]["gap"] == [6, 20]
    assert told(late, Topic.FILLS) == list(range(21, 31))
    foreign, _ = listen(hub, stream="another", since=5)
    assert "another stream" in foreign.messages[0]["data"]["gap"]
    assert told(foreign, Topic.FILLS) == []


def test_a_new_client_is_told_how_things_stand() -> None:
    hub = Hub(100)
    listen(hub)
    hub.publish(Topic.QUOTES, 1, "S")
    hub.publish(Topic.QUOTES, 2, "S")
    wire = Heard()
    hub.open(wire, Wish(ALL), [(Topic.ORDERS, "open")])
    assert told(wire, Topic.QUOTES) == [2]
    assert told(wire, Topic.ORDERS) == ["open"]


def test_a_heartbeat_reaches_everyone_and_takes_no_number() -> None:
    hub = Hub(10)
    wire, _ = listen(hub, frozenset({Topic.FILLS}))
    hub.beat()
    hub.publish(Topic.FILLS, 1)
    assert [m["data"] for m in wire.messages[1:]] == [{"heartbeat": 0}, 1]
    assert wire.messages[-1]["seq"] == 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["publish", "stall", "drain"]), st.sampled_from(sorted(Topic)),
              st.integers(0, 3)),
    max_size=200,
)  # fmt: skip


@given(STEPS)
def test_whatever_the_peer_does_nothing_that_counts_is_lost_or_out_of_order(
    steps: list[tuple[str, Topic, int]],
) -> None:
    hub = Hub(1_000)
    wire, client = listen(hub)
    sent: list[tuple[Topic, int]] = []
    newest: dict[tuple[Topic, str], int] = {}
    for number, (step, topic, key) in enumerate(steps):
        if step == "stall":
            wire.unsent = 1 << 20
        elif step == "drain":
            wire.unsent = 0
            client.drain()
        elif topic in CONFLATED:
            hub.publish(topic, number, str(key))
            newest[topic, str(key)] = number
        else:
            hub.publish(topic, number)
            sent.append((topic, number))
    wire.unsent = 0
    client.drain()
    got = wire.messages[1:]
    assert [(m["topic"], m["data"]) for m in got if m["topic"] not in CONFLATED] == sent
    last = {(m["topic"], m["key"]): m["data"] for m in got if m["topic"] in CONFLATED}
    assert last == newest
    seqs = [m["seq"] for m in got]
    assert seqs == sorted(set(seqs))
