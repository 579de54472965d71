"""Session behaviour, script by script: what the peer says, what we answer, where we then stand."""

import pytest

from core.errors import Unavailable
from fix import timestamps
from fix.codec import Message
from fix.events import LoggedOn, LoggedOut, PeerReject, Recovered, Role, SessionState

S = SessionState
SECOND = 1_000_000_000


def kinds(messages: list[Message]) -> list[bytes]:
    return [message.msg_type for message in messages]


def gaps(messages: list[Message]) -> list[tuple[int, int]]:
    """(first, next) of gap fills."""
    return [(m.integer(34), m.integer(36)) for m in messages if m.msg_type == b"4"]


# --- Logon ---


def test_acceptor_answers_logon_with_the_peers_interval(acceptor) -> None:
    (answer,) = acceptor.say(b"A", (98, b"0"), (108, b"7"))
    assert (answer.msg_type, answer.get(108), answer.integer(34)) == (b"A", b"7", 1)
    assert acceptor.events == [LoggedOn(False)]
    assert acceptor.session.state is S.ACTIVE
    assert acceptor.session.next_in == 2


def test_initiator_sends_logon_first_and_is_active_after_the_answer(new_bench) -> None:
    bench = new_bench(Role.INITIATOR)
    (logon,) = bench.sent()
    assert (logon.msg_type, logon.get(98), logon.get(108)) == (b"A", b"0", b"10")
    assert bench.session.state is S.LOGON_SENT
    with pytest.raises(Unavailable):
        bench.session.send_app(b"C", b"11=x\x01")
    assert bench.logon() == []
    assert bench.session.state is S.ACTIVE


@pytest.mark.parametrize("kind", [b"0", b"C", b"5"])
def test_anything_but_logon_first_ends_it_without_a_word(acceptor, kind: bytes) -> None:
    assert acceptor.say(kind, (112, b"x")) == []
    assert "not a Logon" in acceptor.reason
    assert acceptor.session.next_out == 1


@pytest.mark.parametrize(
    "fields",
    [
        ((108, b"10"),),
        ((98, b"0"),),
        ((98, b"1"), (108, b"10")),
        ((98, b"0"), (108, b"-1")),
        ((98, b"0"), (108, b"x")),
        ((98, b"0"), (108, b"10"), (141, b"Y")),
    ],
)
def test_bad_logon_fields_end_in_logout(acceptor, fields) -> None:
    assert kinds(acceptor.say(b"A", *fields)) == [b"5"]
    assert acceptor.reason


@pytest.mark.parametrize("header", [{"sender": b"WHO"}, {"target": b"OTHER"}])
def test_logon_of_a_stranger_is_hung_up_on_silently(acceptor, header) -> None:
    assert acceptor.say(b"A", (98, b"0"), (108, b"10"), **header) == []
    assert "CompID" in acceptor.reason
    assert acceptor.session.next_out == 1


def test_logon_with_low_number_is_refused_and_told_which_was_expected(new_bench) -> None:
    bench = new_bench(Role.ACCEPTOR)
    bench.store.save_in(5)
    bench.session.connect()
    (logout,) = bench.logon(seq=3)
    assert logout.msg_type == b"5"
    assert logout.get(58) == b"MsgSeqNum too low, expecting 5 but received 3"
    assert bench.session.next_in == 5


def test_logon_with_high_number_is_accepted_and_the_gap_asked_for(acceptor) -> None:
    logon, request = acceptor.logon(seq=4)
    assert (logon.msg_type, request.msg_type) == (b"A", b"2")
    assert (request.get(7), request.get(16)) == (b"1", b"3")
    assert acceptor.events == [LoggedOn(True)]
    assert acceptor.session.state is S.RECOVERING
    assert acceptor.dup(b"4", (123, b"Y"), (36, b"4"), seq=1) == []
    assert acceptor.events == [Recovered()]
    assert (acceptor.session.state, acceptor.session.next_in) == (S.ACTIVE, 5)


def test_second_logon_ends_the_session(active) -> None:
    assert kinds(active.logon()) == [b"5"]
    assert active.session.state is S.ENDED


def test_reset_logon_begins_again_at_one_on_both_sides(new_bench) -> None:
    initiator = new_bench(Role.INITIATOR, reset_on_logon=True)
    initiator.store.save_in(9)
    initiator.session.connect()
    (logon,) = initiator.sent()
    assert (logon.get(141), logon.integer(34)) == (b"Y", 1)
    initiator.logon(1, (141, b"Y"))
    assert (initiator.session.state, initiator.session.next_in) == (S.ACTIVE, 2)

    acceptor = new_bench(Role.ACCEPTOR, reset_on_logon=True)
    acceptor.store.save_in(9)
    acceptor.session.connect()
    (answer,) = acceptor.logon(1, (141, b"Y"))
    assert (answer.get(141), answer.integer(34)) == (b"Y", 1)
    assert acceptor.session.next_in == 2


@pytest.mark.parametrize(("seq", "flag"), [(2, b"Y"), (1, b"N")])
def test_reset_that_is_not_as_agreed_is_refused(new_bench, seq: int, flag: bytes) -> None:
    bench = new_bench(Role.ACCEPTOR, reset_on_logon=True)
    assert kinds(bench.logon(seq, (141, flag))) == [b"5"]


def test_initiator_is_told_why_it_was_refused(new_bench) -> None:
    bench = new_bench(Role.INITIATOR)
    bench.say(b"5", (58, b"MsgSeqNum too low, expecting 9 but received 1"))
    assert bench.events[0] == LoggedOut("MsgSeqNum too low, expecting 9 but received 1")
    assert bench.session.state is S.ENDED
    assert bench.session.next_out == 2


@pytest.mark.parametrize("role", list(Role))
def test_no_logon_in_time_ends_it(new_bench, role: Role) -> None:
    bench = new_bench(role, logon_secs=3)
    bench.wait(3.5)
    assert "no answer" in bench.reason


# --- what every message must have ---


def test_wrong_begin_string_ends_in_logout(active) -> None:
    frame = active.raw(b"0").replace(b"8=FIX.4.4", b"8=FIX.4.2")
    frame = frame[:-7] + b"10=%03d\x01" % (sum(frame[:-7]) % 256)
    (logout,) = active.feed(frame)
    assert (logout.msg_type, logout.get(58)) == (b"5", b"BeginString is not FIX.4.4")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"sender": b"WHO"}, b"9"),
        ({"target": b"WHO"}, b"9"),
        ({"sending_time": b"20200101-00:00:00"}, b"10"),
        ({"sending_time": b"yesterday"}, b"6"),
    ],
)
def test_wrong_identity_or_time_is_rejected_then_logged_out(active, header, reason: bytes) -> None:
    reject, logout = active.say(b"0", **header)
    assert (reject.msg_type, reject.get(373), logout.msg_type) == (b"3", reason, b"5")
    assert active.session.state is S.ENDED
    assert active.session.next_in == 3


@pytest.mark.parametrize("number", [b"-1", b"x", b"1.0"])
def test_a_number_that_is_none_ends_in_logout(active, number: bytes) -> None:
    assert kinds(active.say(b"0", number=number)) == [b"5"]


def test_garbled_consumes_no_number_and_is_found_as_a_gap(active) -> None:
    bad = bytearray(active.raw(b"B", (58, b"lost")))
    bad[-2] ^= 1
    assert active.feed(bytes(bad)) == []
    assert (active.session.garbled, active.session.next_in) == (1, 2)
    (request,) = active.say(b"B", (58, b"next"))
    assert (request.msg_type, request.get(7), request.get(16)) == (b"2", b"2", b"2")
    assert active.bodies == []
    active.dup(b"B", (58, b"lost"), seq=2)
    assert active.bodies == [b"lost", b"next"]


def test_malformed_fields_are_rejected_and_consume_the_number(active) -> None:
    frame = active.raw(b"B", (58, b"x")).replace(b"58=x", b"5y=x")
    frame = frame[:-7] + b"10=%03d\x01" % (sum(frame[:-7]) % 256)
    (reject,) = active.feed(frame)
    assert (reject.msg_type, reject.get(45), reject.get(373)) == (b"3", b"2", b"0")
    assert active.session.next_in == 3
    assert active.session.state is S.ACTIVE


def test_frames_may_come_byte_by_byte(active) -> None:
    data = active.raw(b"B", (58, b"a")) + active.raw(b"B", (58, b"b"))
    got = []
    for place in range(len(data)):
        active.feed(data[place : place + 1])
        got += active.bodies
    assert got == [b"a", b"b"]


# --- sequence ---


def test_too_low_without_possdup_ends_in_logout(active) -> None:
    (logout,) = active.say(b"B", (58, b"x"), seq=1)
    assert logout.get(58) == b"MsgSeqNum too low, expecting 2 but received 1"
    assert (active.session.state, active.bodies) == (S.ENDED, [])


def test_too_low_with_possdup_is_ignored(active) -> None:
    assert active.dup(b"B", (58, b"x"), seq=1) == []
    assert (active.session.state, active.bodies, active.session.next_in) == (S.ACTIVE, [], 2)


def test_too_high_is_queued_and_asked_for_once(active) -> None:
    (request,) = active.say(b"B", (58, b"d"), seq=5)
    assert (request.get(7), request.get(16)) == (b"2", b"4")
    assert active.say(b"B", (58, b"e"), seq=6) == []
    assert active.bodies == []
    active.dup(b"B", (58, b"a"), seq=2)
    assert active.bodies == [b"a"]
    active.dup(b"4", (123, b"Y"), (36, b"5"), seq=3)
    assert active.bodies == [b"d", b"e"]
    assert (active.session.state, active.session.next_in) == (S.ACTIVE, 7)


def test_a_second_gap_behind_the_first_is_asked_for_as_well(active) -> None:
    active.say(b"B", (58, b"b"), seq=3)
    active.say(b"B", (58, b"d"), seq=5)
    (request,) = active.dup(b"B", (58, b"a"), seq=2)
    assert (request.get(7), request.get(16)) == (b"4", b"4")
    active.dup(b"B", (58, b"c"), seq=4)
    assert active.bodies == [b"c", b"d"]
    assert active.session.state is S.ACTIVE


def test_a_full_queue_drops_and_asks_again(new_bench) -> None:
    bench = new_bench(Role.ACCEPTOR, max_queue=2)
    bench.logon()
    for seq in (3, 4, 5):
        bench.say(b"B", (58, b"%d" % seq), seq=seq)
    bench.dup(b"B", (58, b"2"), seq=2)
    assert bench.bodies == [b"2", b"3", b"4"]
    (request,) = bench.say(b"B", (58, b"6"), seq=6)
    assert (request.get(7), request.get(16)) == (b"5", b"5")


def test_replayed_messages_say_so(active) -> None:
    active.dup(b"B", (58, b"x"), seq=2)
    assert active.events[0].replayed
    active.say(b"B", (58, b"y"), seq=3)
    assert not active.events[0].replayed


def test_possdup_without_origin_is_rejected(active) -> None:
    (reject,) = active.say(b"B", (43, b"Y"), (58, b"x"))
    assert (reject.msg_type, reject.get(371), reject.get(373)) == (b"3", b"122", b"1")
    assert (active.bodies, active.session.state, active.session.next_in) == ([], S.ACTIVE, 3)


def test_possdup_from_the_future_ends_the_session(active) -> None:
    future = timestamps.encode_ms(active.clock.now_ns() + SECOND)
    answers = active.say(b"B", (43, b"Y"), (122, future), (58, b"x"))
    assert kinds(answers) == [b"3", b"5"]
    assert active.bodies == []


def test_a_resend_that_never_comes_ends_the_session(new_bench) -> None:
    bench = new_bench(Role.ACCEPTOR, resend_secs=5)
    bench.logon(seq=4)
    bench.wait(5.5)
    assert "recovering" in bench.reason


def test_unprocessed_messages_are_expected_again_after_a_disconnect(active) -> None:
    active.say(b"B", (58, b"x"))
    assert active.session.next_in == 3
    active.session.disconnected()
    assert active.session.next_in == 2


# --- SequenceReset ---


@pytest.mark.parametrize("following", [b"2", b"1"])
def test_gap_fill_that_does_not_lie_ahead_is_rejected(active, following: bytes) -> None:
    (reject,) = active.say(b"4", (123, b"Y"), (36, following))
    assert (reject.msg_type, reject.get(371), reject.get(373)) == (b"3", b"36", b"5")


def test_reset_mode_ignores_its_own_number_and_only_raises(active) -> None:
    assert active.say(b"4", (123, b"N"), (36, b"10"), seq=1) == []
    assert active.session.next_in == 10
    (reject,) = active.say(b"4", (36, b"9"), seq=99)
    assert (reject.get(371), reject.get(373)) == (b"36", b"5")
    assert active.session.next_in == 10


def test_reset_mode_ends_a_recovery(active) -> None:
    active.say(b"B", (58, b"x"), seq=5)
    active.say(b"4", (36, b"5"), seq=1)
    assert active.bodies == [b"x"]
    assert active.session.state is S.ACTIVE


# --- resend requests to us ---


def test_resend_of_admin_and_application_messages(active) -> None:
    for kind, body in ((b"B", b"58=a\x01"), (b"C", b"11=o\x01"), (b"B", b"58=b\x01")):
        active.session.send_app(kind, body)
    active.say(b"1", (112, b"ping"))
    answers = active.say(b"2", (7, b"1"), (16, b"0"))
    # Logon, the order and the heartbeat are gap-filled, the reports sent again.
    assert [(m.msg_type, m.integer(34)) for m in answers] == [
        (b"4", 1), (b"B", 2), (b"4", 3), (b"B", 4), (b"4", 5),
    ]  # fmt: skip
    assert gaps(answers) == [(1, 2), (3, 4), (5, 6)]
    assert all(m.get(43) == b"Y" for m in answers)
    assert [m.get(58) for m in answers if m.msg_type == b"B"] == [b"a", b"b"]
    assert all(m.time_ns(122) <= m.time_ns(52) for m in answers)


def test_resend_keeps_the_first_sending_time(active) -> None:
    first = active.clock.now_ns()
    active.session.send_app(b"B", b"58=a\x01")
    active.sent()
    active.clock.advance(3 * SECOND)
    (again,) = active.say(b"2", (7, b"2"), (16, b"2"))
    assert (again.time_ns(122), again.time_ns(52)) == (first, first + 3 * SECOND)


def test_resend_range_is_cut_to_what_was_sent(active) -> None:
    active.session.send_app(b"C", b"11=o\x01")
    active.sent()
    answers = active.say(b"2", (7, b"2"), (16, b"999"))
    assert gaps(answers) == [(2, 3)]


@pytest.mark.parametrize(("first", "last"), [(b"0", b"0"), (b"9", b"0"), (b"2", b"1")])
def test_resend_of_what_was_never_sent_is_rejected(active, first: bytes, last: bytes) -> None:
    active.session.send_app(b"C", b"11=o\x01")
    active.sent()
    (reject,) = active.say(b"2", (7, first), (16, last))
    assert (reject.msg_type, reject.get(371)) == (b"3", b"7")


def test_resend_request_ahead_of_a_gap_is_answered_before_ours_is(active) -> None:
    active.session.send_app(b"B", b"58=a\x01")
    active.sent()
    answers = active.say(b"2", (7, b"2"), (16, b"0"), seq=4)
    assert kinds(answers) == [b"B", b"2"]
    active.dup(b"4", (123, b"Y"), (36, b"4"), seq=2)
    assert (active.session.state, active.session.next_in) == (S.ACTIVE, 5)


# --- heartbeats ---


def test_heartbeat_after_an_idle_interval(active) -> None:
    answers = active.wait(9.5)
    assert answers == []
    assert kinds(active.wait(0.5)) == [b"0"]


def test_test_request_is_answered_with_its_id(active) -> None:
    (answer,) = active.say(b"1", (112, b"are you there"))
    assert (answer.msg_type, answer.get(112)) == (b"0", b"are you there")


def test_test_request_without_id_is_rejected(active) -> None:
    (reject,) = active.say(b"1")
    assert (reject.msg_type, reject.get(371), reject.get(373)) == (b"3", b"112", b"1")


def test_a_silent_peer_is_asked_and_then_given_up(active) -> None:
    answers = active.wait(12.5)
    assert b"1" in kinds(answers)
    assert active.reason == ""
    active.wait(12.5)
    assert active.reason == "heartbeat time-out"


def test_any_message_of_the_peer_counts_as_life(active) -> None:
    active.wait(13)
    active.say(b"0")
    active.wait(11)
    assert (active.reason, active.session.state) == ("", S.ACTIVE)


def test_no_heartbeats_when_the_interval_is_zero(acceptor) -> None:
    acceptor.say(b"A", (98, b"0"), (108, b"0"))
    assert acceptor.wait(100) == []
    assert acceptor.session.state is S.ACTIVE


# --- Logout ---


def test_logout_of_the_peer_is_answered_and_its_close_awaited(active) -> None:
    (answer,) = active.say(b"5", (58, b"bye"))
    assert answer.msg_type == b"5"
    assert active.events == [LoggedOut("bye")]
    assert active.session.state is S.AWAITING_CLOSE
    with pytest.raises(Unavailable):
        active.session.send_app(b"B", b"58=a\x01")
    active.wait(2.5)
    assert active.reason


def test_our_logout_ends_with_the_answer(active) -> None:
    active.session.logout("night")
    (logout,) = active.sent()
    assert (logout.msg_type, logout.get(58)) == (b"5", b"night")
    active.say(b"B", (58, b"still"))
    assert active.bodies == [b"still"]
    active.say(b"5")
    assert active.reason == "logged out"


def test_our_logout_without_answer_ends_in_time(active) -> None:
    active.session.logout()
    active.wait(2.5)
    assert "no answer" in active.reason


def test_logout_ahead_of_a_gap_is_answered_and_the_gap_stays_known(active) -> None:
    assert kinds(active.say(b"5", seq=9)) == [b"5"]
    assert active.session.next_in == 2


# --- rejects ---


def test_a_reject_of_the_peer_is_told_with_its_number(active) -> None:
    assert active.say(b"3", (45, b"17"), (371, b"55"), (58, b"what?")) == []
    assert active.events == [PeerReject(17, 55, "what?")]


def test_nothing_is_heard_after_the_end(active) -> None:
    active.say(b"B", seq=1)
    assert active.say(b"B", (58, b"x")) == []
    assert active.events == []
