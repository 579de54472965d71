"""The answer to a resend request: kept messages again, everything else as gap fills."""

from collections.abc import Iterator
from typing import NamedTuple

from fix import tags, timestamps
from fix.store import SessionStore


class Replayed(NamedTuple):
    """A message to send under a number that was used before."""

    msg_type: bytes
    seq: int
    body: bytes


def replay(store: SessionStore, first: int, last: int, now_ns: int) -> Iterator[Replayed]:
    """Messages that fill `first` to `last` without a hole.

    Parameters
    ----------
    now_ns : int
        SendingTime of this answer, ns UTC. A gap fill was never sent before, so it is also its
        OrigSendingTime. It bounds that of all others: what was sent while our clock was ahead was
        sent before now all the same, and the peer must refuse an origin that lies in its future,
        again and again.
    """
    now = timestamps.encode_ms(now_ns)
    missing = first
    for message in store.sent(first, last):
        if message.seq > missing:
            yield _gap_fill(missing, message.seq, now)
        origin = timestamps.encode_ms(min(message.sending_ns, now_ns))
        yield Replayed(
            message.msg_type, message.seq, b"43=Y\x01122=%b\x01%b" % (origin, message.body)
        )
        missing = message.seq + 1
    if missing <= last:
        yield _gap_fill(missing, last + 1, now)


def _gap_fill(seq: int, following: int, now: bytes) -> Replayed:
    body = b"43=Y\x01122=%b\x01123=Y\x0136=%d\x01" % (now, following)
    return Replayed(tags.SEQUENCE_RESET, seq, body)
