"""UTCTimestamp of FIX: ``YYYYMMDD-HH:MM:SS[.fraction]`` to and from integer ns UTC."""

import re
import time
from datetime import UTC, datetime
from functools import lru_cache

from core.errors import BadInput

_SECOND = 1_000_000_000
_WHOLE = len("YYYYMMDD-HH:MM:SS")
_SHAPE = re.compile(rb"[0-9]{8}-[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?")


@lru_cache(maxsize=16)
def _second_text(second: int) -> bytes:
    return time.strftime("%Y%m%d-%H:%M:%S", time.gmtime(second)).encode()


@lru_cache(maxsize=16)
def _second_of(text: bytes) -> int:
    # Every quote of a tape may stand in another second, so this is on the tick path; strptime would
    # take ten times as long, and milliseconds at its first call.
    date, clock = divmod(int(text[:8]), 100), text[9:].split(b":")
    hours, minutes, seconds = map(int, clock)
    whole = datetime(*divmod(date[0], 100), date[1], hours, minutes, seconds, tzinfo=UTC)
    return int(whole.timestamp())


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
    if _SHAPE.fullmatch(text) is not None:
        try:
            return _second_of(text[:_WHOLE]) * _SECOND + int(fraction.ljust(9, b"0"))
        except ValueError:
            pass
    raise BadInput(f"not a UTC timestamp: {text[:40]!r}")
