"""The outgoing half of a session: numbers messages, stores them, frames them."""

from collections.abc import Callable

from core.clock import Clock
from core.errors import FixFieldError
from fix import tags, timestamps
from fix.codec import Message, clean_text, encode_fields, frame
from fix.replay import replay
from fix.store import SentMessage, SessionStore


class Sender:
    """Turns message types and bodies into numbered frames.

    Parameters
    ----------
    sender, target : str
        SenderCompID and TargetCompID.
    replayable : callable of MsgType to bool
        Which application messages are kept to be sent again.

    Attributes
    ----------
    last_sent : int
        Monotonic time of the last frame, ns.
    """

    def __init__(
        self,
        sender: str,
        target: str,
        store: SessionStore,
        clock: Clock,
        replayable: Callable[[bytes], bool],
    ) -> None:
        comp_ids = (clean_text(sender), clean_text(target))
        self._address = b"\x0149=%b\x0156=%b\x0134=" % comp_ids
        self._store = store
        self._clock = clock
        self._replayable = replayable
        self._frames: list[bytes] = []
        self.last_sent = 0

    def send(self, msg_type: bytes, body: bytes) -> int:
        """Send a message: number, store and frame it; return its number.

        Raises
        ------
        core.errors.Unavailable
            When the store cannot be written; nothing leaves then.
        """
        seq = self._store.next_out
        now = self._clock.now_ns()
        keep = msg_type not in tags.ADMIN and self._replayable(msg_type)
        self._store.save_out(SentMessage(seq, msg_type, now, body if keep else b""))
        self._put(msg_type, seq, body, timestamps.encode_ms(now))
        return seq

    def logon(self, heartbeat_secs: int, *, reset: bool) -> None:
        """Send Logon (35=A)."""
        flag = b"141=Y\x01" if reset else b""
        self.send(tags.LOGON, b"98=0\x01108=%d\x01%b" % (heartbeat_secs, flag))

    def logout(self, text: str) -> None:
        """Send Logout (35=5)."""
        self.send(tags.LOGOUT, b"58=%b\x01" % text.encode("ascii", "replace") if text else b"")

    def reject(self, message: Message, fault: FixFieldError) -> None:
        """Send Reject (35=3) for `message`."""
        pairs = [(tags.REF_SEQ_NUM, message.get(tags.MSG_SEQ_NUM, b"0"))]
        if fault.tag:
            pairs.append((tags.REF_TAG_ID, b"%d" % fault.tag))
        pairs.append((tags.REF_MSG_TYPE, message.msg_type))
        pairs.append((tags.SESSION_REJECT_REASON, b"%d" % fault.reason))
        pairs.append((tags.TEXT, str(fault).encode("ascii", "replace")))
        self.send(tags.REJECT, encode_fields(pairs))

    def resend(self, message: Message) -> None:
        """Answer ResendRequest (35=2).

        Raises
        ------
        FixFieldError
            When it asks for numbers that were never sent.
        """
        first, last = message.integer(tags.BEGIN_SEQ_NO), message.integer(tags.END_SEQ_NO)
        newest = self._store.next_out - 1
        if not 1 <= first <= newest or 0 < last < first:
            raise FixFieldError(tags.BEGIN_SEQ_NO, tags.VALUE_INCORRECT, "no such messages")
        last = newest if last == 0 else min(last, newest)
        now_ns = self._clock.now_ns()
        now = timestamps.encode_ms(now_ns)
        for part in replay(self._store, first, last, now_ns):
            self._put(part.msg_type, part.seq, part.body, now)

    def take(self) -> bytes:
        """Return the frames made since the last call."""
        frames = self._frames
        if not frames:
            return b""
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()
        return data

    def _put(self, msg_type: bytes, seq: int, body: bytes, sending_time: bytes) -> None:
        parts = (msg_type, self._address, seq, sending_time, body)
        self._frames.append(frame(b"35=%b%b%d\x0152=%b\x01%b" % parts))
        self.last_sent = self._clock.monotonic_ns()
