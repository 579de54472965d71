"""Frames of FIX 4.4: encode, and decode from partial reads.

A frame is ``8=FIX.4.4|9=<length>|35=...|10=<sum>|``. A garbled one (wrong first three tags, wrong
BodyLength or CheckSum, longer than the limit) is counted and skipped up to the next ``8=FIX``; it
consumes no sequence number. Fields of type data (SOH inside a value) are not spoken here.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from zlib import adler32

from core.errors import BadInput, FixFieldError
from fix import tags, timestamps

SOH = b"\x01"
BEGIN_STRING = b"FIX.4.4"
MAX_LENGTH = 1 << 16

_START = b"8=FIX"
_HEADER = re.compile(rb"8=(FIX[T0-9.]{2,5})\x019=([0-9]{1,6})\x0135=([^\x01]{1,3})\x01")
_HEADER_ROOM = len(b"8=FIXT.1.1|9=999999|35=ABC|")
_TRAILER_LENGTH = len(b"10=000|")
_TAG = re.compile(rb"[1-9][0-9]{0,8}")
_TRAILER = re.compile(rb"\x0110=[0-9]{3}\x01")

Field = tuple[int, bytes]


class Message:
    """A decoded message.

    Attributes
    ----------
    begin_string, msg_type : bytes
        Values of tags 8 and 35.
    fields : list of (int, bytes)
        Everything between tag 35 and tag 10, in wire order.
    fault : FixFieldError or None
        First field that is not ``tag=value``; such a message is rejected, not garbled.
    """

    __slots__ = ("_first", "begin_string", "fault", "fields", "msg_type")

    def __init__(
        self,
        msg_type: bytes,
        fields: list[Field],
        begin_string: bytes = BEGIN_STRING,
        fault: FixFieldError | None = None,
    ) -> None:
        self.begin_string = begin_string
        self.msg_type = msg_type
        self.fields = fields
        self.fault = fault
        self._first = dict(reversed(fields))

    def __repr__(self) -> str:
        body = "|".join(f"{tag}={value.decode('latin-1')}" for tag, value in self.fields)
        return f"Message(35={self.msg_type.decode('latin-1')}|{body})"

    def get(self, tag: int, default: bytes = b"") -> bytes:
        """Value of the first field with `tag`."""
        return self._first.get(tag, default)

    def __contains__(self, tag: int) -> bool:
        return tag in self._first

    def require(self, tag: int) -> bytes:
        """Value of `tag`.

        Raises
        ------
        FixFieldError
            When the message has no such field; so do the typed readers below.
        """
        try:
            return self._first[tag]
        except KeyError:
            raise FixFieldError(tag, tags.REQUIRED_TAG_MISSING, "required tag is missing") from None

    def text(self, tag: int) -> str:
        """Value of `tag` as text."""
        return self.require(tag).decode("latin-1")

    def integer(self, tag: int) -> int:
        """Value of `tag` as a non-negative integer of at most 18 digits."""
        value = self.require(tag)
        if not value.isdigit() or len(value) > 18:
            raise FixFieldError(tag, tags.INCORRECT_FORMAT, f"not an integer: {value[:24]!r}")
        return int(value)

    def decimal(self, tag: int) -> Decimal:
        """Value of `tag` as a finite decimal."""
        value = self.require(tag)
        try:
            number = Decimal(value.decode("ascii"))
        except (InvalidOperation, UnicodeDecodeError):
            number = Decimal("NaN")
        if not number.is_finite():
            raise FixFieldError(tag, tags.INCORRECT_FORMAT, f"not a number: {value[:24]!r}")
        return number

    def time_ns(self, tag: int) -> int:
        """Value of `tag` as ns UTC."""
        try:
            return timestamps.decode(self.require(tag))
        except FixFieldError:
            raise
        except BadInput as error:
            raise FixFieldError(tag, tags.INCORRECT_FORMAT, str(error)) from None

    def flag(self, tag: int) -> bool:
        """Return True when `tag` is Y; absent is N."""
        return self._first.get(tag) == b"Y"

    def groups(self, count_tag: int, first_tag: int) -> Iterator[dict[int, bytes]]:
        """Entries of the repeating group behind `count_tag`, each starting at `first_tag`."""
        entry: dict[int, bytes] | None = None
        inside = False
        for tag, value in self.fields:
            if tag == first_tag and inside:
                if entry is not None:
                    yield entry
                entry = {}
            if entry is not None:
                entry.setdefault(tag, value)
            inside = inside or tag == count_tag
        if entry is not None:
            yield entry


def checksum(data: bytes) -> int:
    """Sum of the bytes modulo 256.

    The low half of Adler-32 is one plus the byte sum modulo 65,521, which cannot wrap within 256
    bytes; that makes it several times quicker than summing in the interpreter.
    """
    if len(data) <= 256:
        return (adler32(data) - 1) & 0xFF
    return sum(adler32(data[i : i + 256]) - 1 for i in range(0, len(data), 256)) & 0xFF


def frame(content: bytes) -> bytes:
    """Put BeginString, BodyLength and CheckSum around `content` (from ``35=`` to its last SOH)."""
    head = b"8=FIX.4.4\x019=%d\x01%b" % (len(content), content)
    return b"%b10=%03d\x01" % (head, checksum(head))


def encode_fields(fields: Iterable[tuple[int, bytes]]) -> bytes:
    """Encode fields as ``tag=value`` with SOH behind each."""
    return b"".join([b"%d=%b\x01" % field for field in fields])


def clean_text(value: str) -> bytes:
    """Text as a field value.

    Raises
    ------
    BadInput
        When it is empty or holds a control character (an SOH would smuggle in fields) or anything
        that Latin-1 lacks.
    """
    if not value or min(value) < " ":
        raise BadInput(f"not a FIX field value: {value!r}")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise BadInput(f"not a FIX field value: {value!r}") from None


class _TagNumbers(dict[bytes, int]):
    """Numbers of the tags in use, so that a field costs a look-up and not a conversion."""

    def __missing__(self, text: bytes) -> int:
        return int(text)


_TAG_NUMBERS = _TagNumbers({b"%d" % tag: tag for tag in (*range(1, 1000), 5001, 5002)})
_WELL_FORMED = re.compile(rb"(?:[1-9][0-9]{0,8}=[^\x01]+\x01)*+")


def parse_fields(content: bytes) -> tuple[list[Field], FixFieldError | None]:
    """Split fields, each ended by SOH; also return the first malformed one as an error."""
    if _WELL_FORMED.fullmatch(content):
        items = [item.partition(b"=") for item in content.split(SOH)[:-1]]
        return [(_TAG_NUMBERS[text], value) for text, _, value in items], None
    return _parse_malformed(content)


def _parse_malformed(content: bytes) -> tuple[list[Field], FixFieldError | None]:
    fields: list[Field] = []
    faults = []
    for item in content.removesuffix(SOH).split(SOH):
        text, _, value = item.partition(b"=")
        tag = int(text) if _TAG.fullmatch(text) else 0
        if not tag:
            faults.append(FixFieldError(0, tags.INVALID_TAG, f"invalid tag {text[:16]!r}"))
        elif not value:
            faults.append(FixFieldError(tag, tags.TAG_WITHOUT_VALUE, "tag without a value"))
        else:
            fields.append((tag, value))
    return fields, faults[0]


class FrameDecoder:
    """Cuts frames out of a byte stream, however it is split.

    Attributes
    ----------
    garbled : int
        Frames that were skipped.
    dropped_bytes : int
        Bytes of garbled frames and of junk between frames.
    """

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        self._max_length = max_length
        self._rest = b""
        self.garbled = 0
        self.dropped_bytes = 0

    def clear(self) -> None:
        """Forget a partial frame: the connection it came on is gone."""
        self._rest = b""

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes as they came; return the messages that are now whole."""
        data = self._rest + data if self._rest else data
        messages: list[Message] = []
        position, size = 0, len(data)
        while position < size:
            start = self._align(data, position)
            end = self._frame_end(data, start)
            if end == 0:  # incomplete
                position = start
                break
            message = _decode(data[start:end]) if end > 0 else None
            if message is None:
                self.garbled += 1
                self.dropped_bytes += 1
                position = start + 1
            else:
                messages.append(message)
                position = end
        self._rest = data[position:]
        return messages

    def _align(self, data: bytes, position: int) -> int:
        if data.startswith(_START, position):
            return position
        found = data.find(_START, position)
        if found < 0:
            # The last bytes may be the beginning of a start that is still under way.
            keep = next(n for n in (4, 3, 2, 1, 0) if data.endswith(_START[:n]) or n == 0)
            found = max(position, len(data) - keep)
        self.dropped_bytes += found - position
        return found

    def _frame_end(self, data: bytes, start: int) -> int:
        """Offset behind the frame at `start`; 0 when it is incomplete, -1 when it is garbled."""
        header = _HEADER.match(data, start)
        if header is None:
            window = data[start : start + _HEADER_ROOM]
            return 0 if len(window) < _HEADER_ROOM and window.count(SOH) < 3 else -1
        body = header.start(3) - 3
        end = body + int(header.group(2)) + _TRAILER_LENGTH
        if end - start > self._max_length:
            return -1
        if end <= len(data):
            return end
        # A trailer before the announced end means that BodyLength is wrong: do not wait for it.
        early = _TRAILER.search(data, header.end() - 1)
        return -1 if early and early.end() < end else 0


def _decode(raw: bytes) -> Message | None:
    end = len(raw) - _TRAILER_LENGTH
    if raw[end - 1 :] != b"\x0110=%03d\x01" % checksum(raw[:end]):
        return None
    header = _HEADER.match(raw)
    if header is None or header.end() > end:
        return None
    fields, fault = parse_fields(raw[header.end() : end])
    begin_string, _, msg_type = header.groups()
    return Message(msg_type, fields, begin_string, fault)
