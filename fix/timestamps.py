"""UTCTimestamp of FIX: ``YYYYMMDD-HH:MM:SS[.fraction]`` to and from integer ns UTC."""

import calendar
import time
from datetime import datetime
from functools import lru_cache

from core.errors import BadInput

_SECOND = 1_000_000_000
_WHOLE = len("YYYYMMDD-HH:MM:SS")


@lru_cache(maxsize=16)
def _second_text(second: int) -> bytes:
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(second)).encode()


@lru_cache(maxsize=16)
def _second_of(text: bytes) -> int:
    parsed = datetime.strptime(text.decode("ascii"), "%Y%m%d-%H:%M:%S")  # noqa: DTZ007
    return calendar.timegm(parsed.timetuple())


def encode_ms(ns: int) -> bytes:
    """Timestamp with milliseconds, as the standard header carries it."""
    second, rest = divmod(ns, _SECOND)
    return b"%b.%03d" % (_second_text(second), rest // 1_000_000)


def encode_ns(ns: int) -> bytes:
    """Timestamp with all nine digits, so that tape times survive the wire."""
    second, rest = divmod(ns, _SECOND)
    return b"%b.%09d" % (_second_text(second), rest)


def decode(text: bytes) -> int:
    """Return ns UTC of a timestamp with up to nine digits of fraction.

    Raises
    ------
    BadInput
        When the text is no such timestamp.
    """
    fraction = text[_WHOLE + 1 :]
    plain = len(text) == _WHOLE
    dotted = text[_WHOLE : _WHOLE + 1] == b"." and fraction.isdigit() and len(fraction) <= 9
    # strptime also takes single digits; fixed places keep one spelling per time.
    if (plain or dotted) and text[:8].isdigit() and text[8:9] == b"-":
        try:
            return _second_of(text[:_WHOLE]) * _SECOND + int(fraction.ljust(9, b"0"))
        except ValueError:
            pass
    raise BadInput(f"not a UTC timestamp: {text[:40]!r}")
