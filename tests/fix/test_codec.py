"""Frames survive any split; nothing that does not verify gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadInput, FixFieldError
from fix.codec import FrameDecoder, Message, checksum, clean_text, encode_fields, frame

values = st.binary(min_size=1, max_size=20).filter(lambda value: b"\x01" not in value)
fields = st.lists(st.tuples(st.integers(11, 99_999), values), max_size=12)


def content(msg_type: bytes, pairs: list[tuple[int, bytes]]) -> bytes:
    return b"35=%b\x01" % msg_type + encode_fields(pairs)


ONE = frame(content(b"0", [(49, b"A"), (56, b"B"), (34, b"1")]))
TWO = frame(content(b"D", [(49, b"A"), (56, b"B"), (34, b"2"), (58, b"text 8=FIX inside")]))


@given(st.lists(fields, max_size=5), st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_what_was_framed_comes_back_whatever_the_split(
    batches: list[list[tuple[int, bytes]]], steps: list[int]
) -> None:
    stream = b"".join(frame(content(b"D", pairs)) for pairs in batches)
    decoder = FrameDecoder()
    got, position, turn = [], 0, 0
    while position < len(stream):
        step = steps[turn % len(steps)]
        got += decoder.feed(stream[position : position + step])
        position, turn = position + step, turn + 1
    assert [message.fields for message in got] == batches
    assert (decoder.garbled, decoder.dropped_bytes) == (0, 0)


@given(st.binary(max_size=300))
def test_checksum_is_the_byte_sum(data: bytes) -> None:
    assert checksum(data) == sum(data) % 256


def test_checksum_of_long_data_with_high_bytes() -> None:
    data = b"\xff" * 5_001
    assert checksum(data) == sum(data) % 256


@given(st.binary(max_size=60))
def test_junk_never_yields_a_message_and_never_hides_the_next_frame(junk: bytes) -> None:
    decoder = FrameDecoder()
    # Junk may end in the middle of something that looks like a frame: two frames resynchronise.
    got = decoder.feed(junk + ONE + TWO)
    assert [message.msg_type for message in got][-1:] == [b"D"]
    assert len(got) in (1, 2)


@given(st.data())
def test_a_flipped_byte_is_never_believed(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(TWO) - 1))
    bad = bytearray(TWO)
    bad[place] ^= data.draw(st.integers(1, 255))
    decoder = FrameDecoder()
    got = decoder.feed(bytes(bad)) + decoder.feed(ONE) + decoder.feed(ONE)
    assert b"D" not in [message.msg_type for message in got]
    assert [message.msg_type for message in got][-1:] == [b"0"]


@pytest.mark.parametrize("delta", [-40, -1, 1, 5, 400], ids=str)
def test_wrong_body_length_is_skipped_without_waiting_for_more(delta: int) -> None:
    length = len(content(b"D", [(58, b"x" * 60)]))
    head = b"8=FIX.4.4\x019=%d\x01" % (length + delta) + content(b"D", [(58, b"x" * 60)])
    bad = head + b"10=%03d\x01" % checksum(head)
    decoder = FrameDecoder()
    assert decoder.feed(bad) == []
    assert [m.msg_type for m in decoder.feed(ONE)] == [b"0"]
    assert decoder.garbled == 1
    assert decoder.dropped_bytes == len(bad)


@pytest.mark.parametrize(
    "bad",
    [
        ONE.replace(b"10=", b"10=9", 1),
        ONE.replace(b"35=0\x0149=A", b"49=A\x0135=0", 1),
        b"8=FIX.4.4\x0135=0\x019=5\x0110=000\x01",
        b"8=FIX.4.4\x019=00000000005\x0135=0\x0110=000\x01",
        b"8=FIX.4.4\x019=-5\x0135=0\x0110=000\x01",
    ],
)
def test_a_frame_with_wrong_first_or_last_tags_is_garbled(bad: bytes) -> None:
    decoder = FrameDecoder()
    assert [m.msg_type for m in decoder.feed(bad + TWO)] == [b"D"]
    assert decoder.garbled == 1


def test_a_frame_over_the_limit_is_not_waited_for() -> None:
    decoder = FrameDecoder(max_length=200)
    huge = frame(content(b"D", [(58, b"x" * 300)]))
    assert decoder.feed(huge[:60]) == []
    assert decoder.garbled == 1
    assert [m.msg_type for m in decoder.feed(huge[60:] + ONE)] == [b"0"]


def test_a_partial_frame_is_forgotten_with_its_connection() -> None:
    decoder = FrameDecoder()
    decoder.feed(TWO[:20])
    decoder.clear()
    assert [m.msg_type for m in decoder.feed(ONE)] == [b"0"]
    assert decoder.garbled == 0


@pytest.mark.parametrize(
    ("item", "tag", "reason"),
    [
        (b"58=", 58, 4),
        (b"abc=1", 0, 0),
        (b"058=x", 0, 0),
        (b"0=x", 0, 0),
        (b"=x", 0, 0),
        (b"58", 58, 4),
        (b"1234567890=x", 0, 0),
    ],
)
def test_a_malformed_field_is_told_and_not_garbled(item: bytes, tag: int, reason: int) -> None:
    (message,) = FrameDecoder().feed(frame(b"35=D\x0111=a\x01" + item + b"\x0155=b\x01"))
    assert message.fault is not None
    assert (message.fault.tag, message.fault.reason) == (tag, reason)
    assert message.fields == [(11, b"a"), (55, b"b")]


def test_repeating_groups_keep_their_order_and_their_own_values() -> None:
    message = Message(
        b"W",
        [(55, b"EURUSD"), (268, b"2"), (269, b"0"), (270, b"1.1"), (269, b"1"), (270, b"1.2")],
    )
    assert list(message.groups(268, 269)) == [{269: b"0", 270: b"1.1"}, {269: b"1", 270: b"1.2"}]
    assert list(message.groups(146, 55)) == []


@pytest.mark.parametrize("value", [b"nan", b"inf", b"-inf", b"", b"1,5", b"\xff", b"0x10"])
def test_numbers_that_are_none_are_refused(value: bytes) -> None:
    message = Message(b"D", [(44, value)])
    with pytest.raises(FixFieldError):
        message.decimal(44)
    with pytest.raises(FixFieldError):
        message.integer(44)


def test_a_missing_tag_is_refused_by_number() -> None:
    with pytest.raises(FixFieldError, match="tag 44"):
        Message(b"D", []).decimal(44)


@pytest.mark.parametrize("text", ["", "a\x01b=c", "tab\t", "日本"])
def test_text_cannot_smuggle_fields_in(text: str) -> None:
    with pytest.raises(BadInput):
        clean_text(text)
