"""Both sides against each other, over breaks and restarts."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fix.events import AppMessage
from fix.store import FileStore


def texts(messages) -> list[bytes]:
    return [event.message.get(58) for event in messages]


def test_messages_cross_both_ways(wire) -> None:
    wire.connect()
    wire.initiator.send_app(b"C", b"58=order\x01")
    wire.acceptor.send_app(b"B", b"58=report\x01")
    wire.pump()
    assert texts(wire.got["acceptor"]) == [b"order"]
    assert texts(wire.got["initiator"]) == [b"report"]
    wire.initiator.logout()
    wire.pump()
    assert not wire.acceptor.live


def test_reports_lost_on_the_way_come_after_the_next_logon(wire) -> None:
    wire.connect()
    for text in (b"58=a\x01", b"58=b\x01"):
        wire.acceptor.send_app(b"B", text)
    wire.drop()
    wire.connect()
    assert texts(wire.got["initiator"]) == [b"a", b"b"]
    assert wire.active


def test_an_order_lost_on_the_way_is_never_sent_again(wire) -> None:
    wire.connect()
    wire.initiator.send_app(b"C", b"58=stale\x01")
    wire.drop()
    wire.connect()
    assert wire.got["acceptor"] == []
    wire.initiator.send_app(b"C", b"58=fresh\x01")
    wire.pump()
    assert texts(wire.got["acceptor"]) == [b"fresh"]


def test_restart_of_both_goes_on_where_the_files_stand(new_wire, tmp_path: Path) -> None:
    def stores() -> tuple[FileStore, FileStore]:
        return FileStore(tmp_path / "us"), FileStore(tmp_path / "peer")

    first = new_wire(*stores())
    first.connect()
    first.initiator.send_app(b"C", b"58=a\x01")
    first.pump()
    first.acceptor.send_app(b"B", b"58=lost\x01")
    numbers = (first.initiator.next_out, first.acceptor.next_out)
    for store in first.stores:
        store.close()

    second = new_wire(*stores())
    assert (second.initiator.next_out, second.acceptor.next_out) == numbers
    second.connect()
    assert second.active
    assert texts(second.got["initiator"]) == [b"lost"]
    assert second.got["acceptor"] == []
    for store in second.stores:
        store.close()


actions = st.lists(
    st.sampled_from(["order", "report", "pump", "lose", "drop", "restart"]), max_size=30
)


@settings(deadline=None, max_examples=150)
@given(script=actions)
def test_whatever_breaks_reports_arrive_once_in_order_and_orders_at_most_once(
    script: list[str], new_wire
) -> None:
    wire = new_wire()
    wire.connect()
    reports, orders = [], []
    for number, action in enumerate(script):
        text = b"%d" % number
        if action == "order":
            wire.initiator.send_app(b"C", b"58=%b\x01" % text)
            orders.append(text)
        elif action == "report":
            wire.acceptor.send_app(b"B", b"58=%b\x01" % text)
            reports.append(text)
        elif action == "lose":
            wire.acceptor.take_outgoing()
            wire.initiator.take_outgoing()
        elif action == "pump":
            wire.pump()
        else:
            wire.drop()
            if action == "restart":
                wire.restart()
            wire.connect()
    wire.drop()
    wire.connect()
    assert wire.active
    assert texts(wire.got["initiator"]) == reports
    arrived = texts(wire.got["acceptor"])
    assert arrived == [text for text in orders if text in arrived]
    assert len(arrived) == len(set(arrived))


@pytest.mark.parametrize("times", [1, 3])
def test_a_death_before_processing_is_durable_brings_the_message_again(wire, times: int) -> None:
    wire.connect()
    wire.acceptor.send_app(b"B", b"58=fill\x01")
    data = wire.acceptor.take_outgoing()
    for _ in range(times):
        assert isinstance(wire.initiator.receive(data)[0], AppMessage)
        wire.drop()
        wire.restart()
        wire.acceptor.connect()
        wire.initiator.connect()
        # Only the logons and the resend cross; the process dies again before `processed`.
        wire.acceptor.receive(wire.initiator.take_outgoing())
        events = wire.initiator.receive(wire.acceptor.take_outgoing())
        wire.acceptor.receive(wire.initiator.take_outgoing())
        data = wire.acceptor.take_outgoing()
        assert data
        assert events
    wire.take("initiator", wire.initiator, data)
    assert texts(wire.got["initiator"]) == [b"fill"]
