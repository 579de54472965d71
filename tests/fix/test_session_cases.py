"""The session test cases of FIX 4.4 (volume 2), each by its name, on both sides of the wire.

The session under test is "US", once as initiator and once as acceptor; the table below says what a
hand-written peer does and what must come of it. Numbers are those of the standard's list, S for
scenarios; where it leaves a choice, the comment says which one was taken.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from fix import tags, timestamps
from fix.codec import frame
from fix.events import AppMessage, LoggedOn, LoggedOut, PeerReject, Role, SessionState
from fix.store import MemoryStore
from tests.fix.conftest import SECOND, T0, Bench

S = SessionState
ORDER = (
    (11, b"A1"), (21, b"1"), (55, b"EURUSD"), (54, b"1"), (60, b"20240102-10:00:00"), (38, b"1"),
    (40, b"2"), (44, b"1.1"), (59, b"3"), (1, b"P"),
)  # fmt: skip
REPORT = (
    (37, b"V1"), (11, b"A1"), (17, b"E1"), (150, b"0"), (39, b"0"), (55, b"EURUSD"), (54, b"1"),
    (151, b"1"), (14, b"0"), (6, b"0"), (60, b"20240102-10:00:00"),
)  # fmt: skip
QUOTE_HEAD = ((262, b"1"), (55, b"EURUSD"))
ENTRIES = ((269, b"0"), (270, b"1.1"), (269, b"1"), (270, b"1.2"))


class Case(NamedTuple):
    """A row of the table."""

    number: str
    name: str
    play: Callable[[Any], None]
    fresh: bool


CASES: list[Case] = []


def case(
    number: str, name: str, *, fresh: bool = False
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Add a row; `fresh` is given the class and the role, other rows an active session."""

    def add(play: Callable[[Any], None]) -> Callable[[Any], None]:
        CASES.append(Case(number, name, play, fresh))
        return play

    return add


class Fresh(NamedTuple):
    """Makes sessions that have not spoken yet."""

    role: Role

    def bench(self, **settings: Any) -> Bench:
        bench = Bench(self.role, **settings)
        bench.sent()  # an initiator's Logon
        return bench

    def numbered(self, next_in: int, next_out: int = 1) -> Bench:
        """A session that expects `next_in`, from earlier connections."""
        store = MemoryStore()
        store.next_in, store.next_out = next_in, next_out
        return self.bench(store=store)


def active(role: Role) -> Bench:
    bench = Fresh(role).bench()
    bench.logon()
    bench.session.processed()
    assert bench.session.state is S.ACTIVE
    return bench


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
@pytest.mark.parametrize("one", CASES, ids=lambda one: f"{one.number} {one.name}")
def test_case(one: Case, role: Role) -> None:
    one.play(Fresh(role) if one.fresh else active(role))


def rejected(answers: list[Any], tag: int, reason: int) -> None:
    """Exactly one Reject with RefTagID and SessionRejectReason."""
    (reject,) = answers
    assert reject.msg_type == tags.REJECT
    found = (reject.get(tags.REF_TAG_ID), reject.get(tags.SESSION_REJECT_REASON))
    assert found == (b"%d" % tag, b"%d" % reason), reject


def asked(answers: list[Any], first: int, last: int) -> None:
    (request,) = answers
    assert request.msg_type == tags.RESEND_REQUEST
    assert (request.integer(7), request.integer(16)) == (first, last)


def ended(bench: Bench, answers: list[Any], words: str) -> None:
    """A Logout that says why, then the end of the connection."""
    assert answers[-1].msg_type == tags.LOGOUT
    assert words.encode() in answers[-1].get(tags.TEXT)
    assert bench.session.state is S.ENDED
    assert bench.reason


# --- 1 Logon ---


@case("1B.a", "valid Logon", fresh=True)
def _(fresh: Fresh) -> None:
    bench = fresh.bench()
    answers = bench.logon()
    assert bench.events == [LoggedOn(False)]
    assert bench.session.state is S.ACTIVE
    assert [a.msg_type for a in answers] == ([tags.LOGON] if fresh.role is Role.ACCEPTOR else [])


@case("1B.b", "Logon with a number too high: accepted, then the gap is asked for", fresh=True)
def _(fresh: Fresh) -> None:
    bench = fresh.bench()
    answers = bench.logon(seq=5)
    assert bench.events == [LoggedOn(True)]
    asked(answers[-1:], 1, 4)
    bench.dup(tags.SEQUENCE_RESET, (123, b"Y"), (36, b"5"), seq=1)
    assert (bench.session.state, bench.session.next_in) == (S.ACTIVE, 6)


@case("1B.c", "Logon with a number too low ends it", fresh=True)
def _(fresh: Fresh) -> None:
    bench = fresh.numbered(next_in=7)
    ended(bench, bench.logon(seq=6), "MsgSeqNum too low, expecting 7 but received 6")
    assert bench.session.next_in == 7


@case("1B.d", "Logon of somebody else", fresh=True)
def _(fresh: Fresh) -> None:
    bench = fresh.bench()
    answers = bench.say(tags.LOGON, (98, b"0"), (108, b"10"), sender=b"WHO")
    assert bench.session.state is S.ENDED
    if fresh.role is Role.ACCEPTOR:  # a stranger is not even told that we are here
        assert answers == []


@case("1B.e", "Logon without HeartBtInt ends it", fresh=True)
def _(fresh: Fresh) -> None:
    bench = fresh.bench()
    ended(bench, bench.say(tags.LOGON, (98, b"0")), "HeartBtInt")


@case("1B.f", "Logon with encryption ends it", fresh=True)
def _(fresh: Fresh) -> None:
    bench = fresh.bench()
    ended(bench, bench.say(tags.LOGON, (98, b"2"), (108, b"10")), "EncryptMethod")


@case("1B.g", "Logon with an old SendingTime ends it", fresh=True)
def _(fresh: Fresh) -> None:
    bench = fresh.bench()
    old = timestamps.encode_ms(T0 - 600 * SECOND)
    answers = bench.say(tags.LOGON, (98, b"0"), (108, b"10"), sending_time=old)
    assert bench.session.state is S.ENDED
    assert answers[-1].msg_type == tags.LOGOUT


@case("1D", "anything but Logon first hangs up", fresh=True)
def _(fresh: Fresh) -> None:
    bench = fresh.bench()
    assert bench.say(tags.HEARTBEAT) == []
    assert bench.session.state is S.ENDED


@case("1E", "a second Logon ends it")
def _(bench: Bench) -> None:
    ended(bench, bench.logon(), "already logged on")


@case("1F", "no Logon in time", fresh=True)
def _(fresh: Fresh) -> None:
    bench = fresh.bench(logon_secs=5.0)
    bench.wait(6)
    assert "no answer" in bench.reason


# --- 2 receive a message ---


@case("2a", "expected number")
def _(bench: Bench) -> None:
    assert bench.say(b"8", *REPORT) == []
    (event,) = bench.events
    assert isinstance(event, AppMessage)
    assert not event.replayed


@case("2b", "number too high: queued, the gap is asked for, then in order")
def _(bench: Bench) -> None:
    asked(bench.say(b"B", (58, b"late"), seq=4), 2, 3)
    assert bench.bodies == []
    bench.dup(b"B", (58, b"one"), seq=2)
    bench.dup(b"B", (58, b"two"), seq=3)
    assert bench.bodies == [b"two", b"late"]
    assert (bench.session.state, bench.session.next_in) == (S.ACTIVE, 5)


@case("2c", "number too low without PossDupFlag ends it")
def _(bench: Bench) -> None:
    ended(bench, bench.say(b"8", *REPORT, seq=1), "MsgSeqNum too low, expecting 2 but received 1")


@case("2d", "garbled: ignored, consumes no number, shows as a gap")
def _(bench: Bench) -> None:
    bad = bytearray(bench.raw(b"8", *REPORT))
    bad[20] ^= 1
    assert bench.feed(bytes(bad)) == []
    assert (bench.session.garbled, bench.session.next_in) == (1, 2)
    asked(bench.say(b"8", *REPORT), 2, 2)


@case("2e", "PossDupFlag, OrigSendingTime not after SendingTime, number too low: ignored")
def _(bench: Bench) -> None:
    assert bench.dup(b"8", *REPORT, seq=1) == []
    assert (bench.events, bench.session.state) == ([], S.ACTIVE)


@case("2f", "PossDupFlag, OrigSendingTime after SendingTime: Reject 122/10, then Logout")
def _(bench: Bench) -> None:
    later = timestamps.encode_ms(T0 + SECOND)
    answers = bench.say(b"8", (43, b"Y"), (122, later), *REPORT)
    rejected(answers[:1], 122, 10)
    ended(bench, answers, "OrigSendingTime")


@case("2g", "PossDupFlag without OrigSendingTime: Reject 122/1")
def _(bench: Bench) -> None:
    rejected(bench.say(b"8", (43, b"Y"), *REPORT), 122, 1)
    assert (bench.session.state, bench.session.next_in) == (S.ACTIVE, 3)


@case("2h", "PossDupFlag with the expected number: taken, said to be a duplicate")
def _(bench: Bench) -> None:
    assert bench.dup(b"8", *REPORT, seq=2) == []
    assert [event.replayed for event in bench.events] == [True]


@case("2i", "another BeginString ends it")
def _(bench: Bench) -> None:
    raw = bench.raw(b"8", *REPORT)
    body = raw[raw.index(b"35=") : raw.rindex(b"10=")]
    head = b"8=FIX.4.2\x019=%d\x01%b" % (len(body), body)
    answers = bench.feed(head + b"10=%03d\x01" % (sum(head) % 256))
    ended(bench, answers, "BeginString")


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
@pytest.mark.parametrize(
    "header", [{"sender": b"WHO"}, {"target": b"WHO"}], ids=["sender", "target"]
)
def test_2k_another_comp_id_is_rejected_and_ends_it(role: Role, header: dict[str, bytes]) -> None:
    bench = active(role)
    answers = bench.say(b"8", *REPORT, **header)
    rejected(answers[:1], 49 if "sender" in header else 56, 9)
    ended(bench, answers, "CompID")


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
@pytest.mark.parametrize("delta", [-300, -3, 3, 300])
def test_2m_another_body_length_is_garbled(role: Role, delta: int) -> None:
    bench = active(role)
    raw = bench.raw(b"8", *REPORT)
    length = int(raw.split(b"\x01")[1][2:])
    bad = raw.replace(b"\x019=%d\x01" % length, b"\x019=%d\x01" % (length + delta))
    assert bench.feed(bad) == []
    assert bench.session.next_in == 2
    # What follows is found again, and shows that something is missing.
    asked(bench.say(b"8", *REPORT), 2, 2)


@case("2o", "SendingTime out of the agreed range: Reject 52/10, then Logout")
def _(bench: Bench) -> None:
    old = timestamps.encode_ms(T0 - 121 * SECOND)
    answers = bench.say(b"8", *REPORT, sending_time=old)
    rejected(answers[:1], 52, 10)
    ended(bench, answers, "SendingTime")


@case("2q", "MsgType that the standard does not know: Reject 35/11")
def _(bench: Bench) -> None:
    rejected(bench.say(b"ZZ", (58, b"x")), 35, 11)
    assert (bench.session.state, bench.session.next_in) == (S.ACTIVE, 3)


@case("2r", "MsgType that we do not speak goes to the application (35=j, 380=3)")
def _(bench: Bench) -> None:
    assert bench.say(b"Q", (58, b"x")) == []
    assert len(bench.events) == 1


@case("2t", "the first three fields out of order are garbled")
def _(bench: Bench) -> None:
    content = b"9=5\x018=FIX.4.4\x0135=0\x01"
    assert bench.feed(content + b"10=%03d\x01" % (sum(content) % 256)) == []
    assert bench.session.next_in == 2


@case("3", "CheckSum that is wrong, not of three digits, or not last: garbled")
def _(bench: Bench) -> None:
    raw = bench.raw(b"0")
    body = raw[: raw.rindex(b"10=")]
    wrong = (sum(body) + 1) % 256
    for tail in (b"10=%03d\x01" % wrong, b"10=1\x01", b"10=00001\x01", b"10=abc\x01"):
        assert bench.feed(body + tail) == []
    assert (bench.session.next_in, bench.session.state) == (2, S.ACTIVE)
    asked(bench.say(b"0"), 2, 2)


# --- 4 to 6 being alive ---


@case("4a", "Heartbeat after the interval without anything sent")
def _(bench: Bench) -> None:
    kinds = [answer.msg_type for answer in bench.wait(10.5)]
    assert kinds.count(tags.HEARTBEAT) == 1


@case("4b", "TestRequest is answered with its id")
def _(bench: Bench) -> None:
    (answer,) = bench.say(tags.TEST_REQUEST, (112, b"are you there"))
    assert (answer.msg_type, answer.get(112)) == (tags.HEARTBEAT, b"are you there")


@case("5", "a Heartbeat is taken and says nothing")
def _(bench: Bench) -> None:
    assert bench.say(tags.HEARTBEAT) == []
    assert bench.session.next_in == 3


@case("6a", "silence beyond the interval: TestRequest")
def _(bench: Bench) -> None:
    answers = bench.wait(13)
    assert tags.TEST_REQUEST in {answer.msg_type for answer in answers}
    assert bench.session.state is S.ACTIVE


@case("6b", "silence after the TestRequest: the connection is given up")
def _(bench: Bench) -> None:
    bench.wait(30)
    assert bench.reason == "heartbeat time-out"


# --- 7 Reject ---


@case("7", "Reject of the peer is told with number, tag and text; no answer")
def _(bench: Bench) -> None:
    assert bench.say(tags.REJECT, (45, b"3"), (371, b"44"), (373, b"5"), (58, b"no")) == []
    assert bench.events == [PeerReject(3, 44, "no")]


# --- 8 ResendRequest ---


@case("8a", "resend of mixed administrative and application messages")
def _(bench: Bench) -> None:
    first = bench.session.next_out
    bench.session.send_app(b"B", b"58=one\x01")
    bench.say(tags.TEST_REQUEST, (112, b"x"))  # answered by a Heartbeat, not to be sent again
    bench.session.send_app(b"B", b"58=two\x01")
    bench.session.send_app(b"C", b"58=never again\x01")  # not replayable, as an order
    bench.session.send_app(b"B", b"58=three\x01")
    bench.sent()
    answers = bench.say(tags.RESEND_REQUEST, (7, b"1"), (16, b"0"))
    told = [(a.msg_type, a.integer(34), a.get(58) or a.get(36)) for a in answers]
    ahead = [(b"4", 1, b"%d" % first)] if first > 1 else []
    assert told == [
        *ahead,
        (b"B", first, b"one"),
        (b"4", first + 1, b"%d" % (first + 2)),
        (b"B", first + 2, b"two"),
        (b"4", first + 3, b"%d" % (first + 4)),
        (b"B", first + 4, b"three"),
    ]
    assert all(a.flag(43) and a.get(122) for a in answers)
    assert {a.get(123) for a in answers if a.msg_type == b"4"} == {b"Y"}


@case("8b", "resend of an open and of a closed range")
def _(bench: Bench) -> None:
    first = bench.session.next_out
    for text in (b"one", b"two", b"three"):
        bench.session.send_app(b"B", b"58=%b\x01" % text)
    bench.sent()
    asks = {(first + 1, 0): [b"two", b"three"], (first, first + 1): [b"one", b"two"],
            (first + 2, 999_999): [b"three"]}  # fmt: skip
    for (begin, end), texts in asks.items():
        answers = bench.say(tags.RESEND_REQUEST, (7, b"%d" % begin), (16, b"%d" % end))
        assert [a.get(58) for a in answers] == texts


@case("8c", "resend of numbers that were never used: Reject 7/5")
def _(bench: Bench) -> None:
    rejected(bench.say(tags.RESEND_REQUEST, (7, b"50"), (16, b"0")), 7, 5)


@case("8d", "a gap while one is open is not asked for twice")
def _(bench: Bench) -> None:
    asked(bench.say(b"B", seq=5), 2, 4)
    assert bench.say(b"B", seq=6) == []
    assert bench.say(b"B", seq=7) == []


@case("8e", "OrigSendingTime of a resend is never after its SendingTime, though our clock was")
def _(bench: Bench) -> None:
    bench.clock.advance(200 * SECOND)
    bench.session.send_app(b"B", b"58=from the future\x01")
    bench.sent()
    bench.clock.advance(-200 * SECOND)
    ours = bench.session.next_out - 1
    (again,) = bench.say(tags.RESEND_REQUEST, (7, b"%d" % ours), (16, b"0"))
    assert again.get(58) == b"from the future"
    assert again.time_ns(122) <= again.time_ns(52)


# --- 9 to 11 synchronise, SequenceReset ---


@case("10a", "gap fill with the expected number moves on")
def _(bench: Bench) -> None:
    assert bench.say(tags.SEQUENCE_RESET, (123, b"Y"), (36, b"20")) == []
    assert bench.session.next_in == 20


@case("10b", "gap fill with a number too high: the gap before it is asked for")
def _(bench: Bench) -> None:
    asked(bench.say(tags.SEQUENCE_RESET, (123, b"Y"), (36, b"20"), seq=5), 2, 4)
    assert bench.session.next_in == 2


@case("10c", "gap fill with a number too low, PossDupFlag: ignored")
def _(bench: Bench) -> None:
    assert bench.dup(tags.SEQUENCE_RESET, (123, b"Y"), (36, b"20"), seq=1) == []
    assert (bench.session.next_in, bench.session.state) == (2, S.ACTIVE)


@case("10d", "gap fill with a number too low, no PossDupFlag: ends it")
def _(bench: Bench) -> None:
    ended(bench, bench.say(tags.SEQUENCE_RESET, (123, b"Y"), (36, b"20"), seq=1), "too low")


@case("10e", "gap fill backwards: Reject 36/5")
def _(bench: Bench) -> None:
    rejected(bench.say(tags.SEQUENCE_RESET, (123, b"Y"), (36, b"1"), seq=2), 36, 5)


@case("11a", "reset forwards, whatever its own number")
def _(bench: Bench) -> None:
    assert bench.say(tags.SEQUENCE_RESET, (36, b"40"), seq=999) == []
    assert bench.session.next_in == 40
    bench.say(b"B", (58, b"on"), seq=40)
    assert bench.bodies == [b"on"]


@case("11b", "reset to the number that is expected changes nothing")
def _(bench: Bench) -> None:
    assert bench.say(tags.SEQUENCE_RESET, (123, b"N"), (36, b"2"), seq=999) == []
    assert (bench.session.next_in, bench.session.state) == (2, S.ACTIVE)


@case("11c", "reset backwards: Reject 36/5, the number stays")
def _(bench: Bench) -> None:
    rejected(bench.say(tags.SEQUENCE_RESET, (36, b"1"), seq=2), 36, 5)
    assert bench.session.next_in == 2


@case("11d", "reset ends an open gap")
def _(bench: Bench) -> None:
    bench.say(b"B", (58, b"early"), seq=6)
    assert bench.session.state is S.RECOVERING
    bench.say(tags.SEQUENCE_RESET, (36, b"6"), seq=1)
    assert bench.bodies == [b"early"]
    assert (bench.session.state, bench.session.next_in) == (S.ACTIVE, 7)


@case("11e", "our own numbers after a reset at Logon begin at 1 on both sides", fresh=True)
def _(fresh: Fresh) -> None:
    store = MemoryStore()
    store.next_in, store.next_out = 31, 41
    bench = Bench(fresh.role, store=store, reset_on_logon=True)
    ahead = bench.sent()
    answers = ahead + bench.logon(1, (141, b"Y"))
    assert [(a.msg_type, a.integer(34), a.get(141)) for a in answers] == [(b"A", 1, b"Y")]
    assert (bench.session.next_in, bench.session.next_out) == (2, 2)


# --- 12, 13 Logout ---


@case("12a", "Logout of the peer is answered, the peer hangs up")
def _(bench: Bench) -> None:
    (answer,) = bench.say(tags.LOGOUT, (58, b"good night"))
    assert answer.msg_type == tags.LOGOUT
    assert bench.events == [LoggedOut("good night")]
    assert bench.session.state is S.AWAITING_CLOSE
    bench.wait(3)
    assert bench.reason  # it did not, so we do


@case("12b", "Logout with a number too high is answered, and the gap stays known")
def _(bench: Bench) -> None:
    (answer,) = bench.say(tags.LOGOUT, seq=9)
    assert answer.msg_type == tags.LOGOUT
    assert bench.session.next_in == 2


@case("13a", "our Logout is answered: over")
def _(bench: Bench) -> None:
    bench.session.logout("done")
    (ours,) = bench.sent()
    assert (ours.msg_type, ours.get(58)) == (tags.LOGOUT, b"done")
    assert bench.say(tags.LOGOUT) == []
    assert bench.reason == "logged out"


@case("13b", "our Logout is not answered: over after a while")
def _(bench: Bench) -> None:
    bench.session.logout()
    bench.wait(3)
    assert "no answer" in bench.reason


@case("13c", "messages on their way are still taken after our Logout")
def _(bench: Bench) -> None:
    bench.session.logout()
    bench.say(b"8", *REPORT)
    assert len(bench.events) == 1


# --- 14 fields ---

FIELDS: dict[str, tuple[bytes, tuple[tuple[int, bytes], ...], int, int]] = {
    "14a undefined tag": (b"8", (*REPORT, (4_321, b"x")), 4_321, 0),
    "14b required tag missing": (b"8", REPORT[1:], 37, 1),
    "14b required tag of an order missing": (b"D", ORDER[:2] + ORDER[3:], 55, 1),
    "14b TestReqID missing": (b"1", (), 112, 1),
    "14b NewSeqNo missing": (b"4", ((123, b"Y"),), 36, 1),
    "14b EndSeqNo missing": (b"2", ((7, b"1"),), 16, 1),
    "14e incorrect value of Side": (b"D", (*ORDER[:3], (54, b"Z"), *ORDER[4:]), 54, 5),
    "14e incorrect value of ExecType": (b"8", (*REPORT[:3], (150, b"z"), *REPORT[4:]), 150, 5),
    "14f incorrect format of a price": (b"D", (*ORDER[:7], (44, b"1,1"), *ORDER[8:]), 44, 6),
    "14f price with an exponent": (b"D", (*ORDER[:7], (44, b"1e3"), *ORDER[8:]), 44, 6),
    "14f price that is not finite": (b"D", (*ORDER[:7], (44, b"NaN"), *ORDER[8:]), 44, 6),
    "14f incorrect format of a time": (b"8", (*REPORT[:-1], (60, b"20241302-10:00:00")), 60, 6),
    "14f incorrect format of a flag": (b"8", (*REPORT[:1], (912, b"yes"), *REPORT[1:]), 912, 6),
    "14f incorrect format of a number": (b"2", ((7, b"one"), (16, b"0")), 7, 6),
    "14h tag twice": (b"8", (*REPORT, (37, b"V2")), 37, 13),
    "14i group with fewer entries than counted": (
        b"W", (*QUOTE_HEAD, (268, b"3"), *ENTRIES), 268, 16,
    ),
    "14i group with more entries than counted": (
        b"W", (*QUOTE_HEAD, (268, b"1"), *ENTRIES), 268, 16,
    ),
    "14i group with a count that is none": (b"W", (*QUOTE_HEAD, (268, b"two"), *ENTRIES), 268, 6),
    "14j group that begins with another field": (
        b"W", (*QUOTE_HEAD, (268, b"2"), *ENTRIES[1::-1], *ENTRIES[2:]), 270, 15,
    ),
    "14j field twice in an entry": (
        b"W", (*QUOTE_HEAD, (268, b"2"), ENTRIES[0], ENTRIES[1], *ENTRIES[1:]), 270, 13,
    ),
    "14k header field behind the body": (b"8", (*REPORT, (115, b"X")), 115, 14),
}  # fmt: skip


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
@pytest.mark.parametrize("name", FIELDS)
def test_14_fields_that_are_wrong_are_rejected_by_tag_and_reason(name: str, role: Role) -> None:
    bench = active(role)
    kind, fields, tag, reason = FIELDS[name]
    rejected(bench.say(kind, *fields), tag, reason)
    # The number is used up, nothing reaches the application, and the session lives.
    assert not [event for event in bench.events if isinstance(event, AppMessage)]
    assert (bench.session.next_in, bench.session.state) == (3, S.ACTIVE)


@case("14d", "tag without a value: Reject 44/4")
def _(bench: Bench) -> None:
    raw = bench.raw(b"D", *ORDER).replace(b"\x0144=1.1\x01", b"\x0144=\x01")
    rejected(bench.feed(_reframed(raw)), 44, 4)


@case("14g", "not tag=value at all: Reject with 373=0")
def _(bench: Bench) -> None:
    raw = bench.raw(b"D", *ORDER).replace(b"\x0144=1.1\x01", b"\x01price\x01")
    (reject,) = bench.feed(_reframed(raw))
    assert (reject.msg_type, reject.get(373)) == (tags.REJECT, b"0")


@case("15", "fields in another order than usual, and fields that we do not use, are taken")
def _(bench: Bench) -> None:
    extra = ((20, b"0"), (198, b"second id"), (5_999, b"a field of the user's"))
    assert bench.say(b"8", *reversed(REPORT), *extra) == []
    assert len(bench.events) == 1


def _reframed(raw: bytes) -> bytes:
    return frame(raw[raw.index(b"35=") : raw.rindex(b"10=")])


# --- 16 to 20 ---


@case("16", "messages wait for the session: none can be sent before Logon", fresh=True)
def _(fresh: Fresh) -> None:
    bench = fresh.bench()
    with pytest.raises(Exception, match=r"is (awaiting logon|logon sent)"):
        bench.session.send_app(b"B", b"58=x\x01")


@case("17", "PossResend goes to the application with its flag, under a new number")
def _(bench: Bench) -> None:
    assert bench.say(b"D", (97, b"Y"), *ORDER) == []
    (event,) = bench.events
    assert isinstance(event, AppMessage)
    assert event.message.flag(tags.POSS_RESEND)
    assert not event.replayed


@case("18", "bytes one at a time")
def _(bench: Bench) -> None:
    data = bench.raw(b"8", *REPORT) + bench.raw(b"0")
    events = []
    for at in range(len(data)):
        bench.feed(data[at : at + 1])
        events += bench.events
    assert len(events) == 1
    assert bench.session.next_in == 4


@case("20", "both sides ask for a resend at once: each answers before it is answered")
def _(bench: Bench) -> None:
    bench.session.send_app(b"B", b"58=ours\x01")
    bench.sent()
    ours = bench.session.next_out - 1
    asked(bench.say(b"B", (58, b"early"), seq=4), 2, 3)
    answers = bench.say(tags.RESEND_REQUEST, (7, b"%d" % ours), (16, b"0"), seq=5)
    assert answers[0].get(58) == b"ours"
    bench.dup(tags.SEQUENCE_RESET, (123, b"Y"), (36, b"4"), seq=2)
    assert bench.bodies == [b"early"]
    assert (bench.session.state, bench.session.next_in) == (S.ACTIVE, 6)


@case("S.1", "unprocessed messages are expected again on the next connection")
def _(bench: Bench) -> None:
    bench.say(b"8", *REPORT)
    bench.session.disconnected()
    bench.session.connect()
    bench.sent()
    assert bench.session.next_in == 2


def test_every_case_has_a_number_of_its_own() -> None:
    numbers = [one.number for one in CASES]
    assert len(numbers) == len(set(numbers))
    assert {"1B.a", "2b", "2c", "2d", "2e", "2f", "2g", "3", "4a", "6b", "8a", "10b", "11c",
            "12a", "13a"} <= set(numbers)  # fmt: skip
