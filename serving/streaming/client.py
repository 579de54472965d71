"""One listener: what it gets at once, what waits, and when it is too far behind."""

from collections import deque
from typing import Protocol

from serving.streaming.messages import (
    CONFLATED,
    MOST_IN_FRAME,
    Coding,
    Envelope,
    Message,
    Topic,
    frame_of,
)

# What the connection may hold unsent before messages wait here, where they can be conflated.
MOST_UNSENT = 32_768


class Wire(Protocol):
    """The connection below."""

    @property
    def unsent(self) -> int:
        """Bytes that the peer has not taken."""
        ...

    def push(self, frame: bytes) -> None:
        """Send a frame without waiting."""
        ...

    def cut(self, reason: str) -> None:
        """Close, whether or not the peer reads."""
        ...


class Client:
    """A listener.

    Parameters
    ----------
    wire : Wire
    topics : frozenset of Topic
    coding : Coding
    capacity : int
        Messages that may wait; one more of those that all count, and the client is cut.

    Attributes
    ----------
    conflated : int
        Messages that were replaced by newer ones of their key.
    is_cut : bool
    """

    def __init__(self, wire: Wire, topics: frozenset[Topic], coding: Coding, capacity: int) -> None:
        self.topics = topics
        self.coding = coding
        self.conflated = 0
        self.is_cut = False
        self._wire = wire
        self._capacity = capacity
        self._waiting: deque[Message] = deque()
        self._newest: dict[tuple[Topic, str], Message] = {}
        self._sent = 0

    @property
    def is_behind(self) -> bool:
        """Whether messages wait."""
        return bool(self._waiting or self._newest)

    def put(self, message: Message, frame: bytes) -> None:
        """Send a message, whose lone `frame` is shared by all, or let it wait."""
        if self.is_behind or self._wire.unsent > MOST_UNSENT:
            self._hold(message)
        else:
            self._sent = message.envelope.seq
            self._wire.push(frame)

    def send(self, messages: list[Message]) -> None:
        """Send several, in order; what does not fit waits."""
        for message in messages:
            self._hold(message)
        self.drain()

    def drain(self) -> None:
        """Send what waits, as far as the peer takes it."""
        while self.is_behind and not self.is_cut and self._wire.unsent <= MOST_UNSENT:
            batch = [self._next() for _ in range(min(MOST_IN_FRAME, self._count))]
            self._sent = batch[-1].envelope.seq
            self._wire.push(frame_of(batch, self.coding))

    def cut(self, reason: str, seq: int) -> None:
        """Tell what it misses, and close."""
        if not self.is_cut:
            self.is_cut = True
            gap = Envelope(Topic.SYSTEM, seq, {"gap": [self._sent + 1, seq], "reason": reason})
            self._waiting.clear()
            self._newest.clear()
            self._wire.push(frame_of([Message(gap)], self.coding))
            self._wire.cut(reason)

    @property
    def _count(self) -> int:
        return len(self._waiting) + len(self._newest)

    def _hold(self, message: Message) -> None:
        envelope = message.envelope
        if self.is_cut:
            return
        if envelope.topic in CONFLATED:
            key = envelope.topic, envelope.key
            self.conflated += self._newest.pop(key, None) is not None
            self._newest[key] = message
        elif len(self._waiting) >= self._capacity:
            self.cut("too far behind", envelope.seq)
        else:
            self._waiting.append(message)

    def _next(self) -> Message:
        """Take the older one of the two fronts, so that sequence numbers never fall."""
        if not self._newest:
            return self._waiting.popleft()
        key, front = next(iter(self._newest.items()))
        if self._waiting and self._waiting[0].envelope.seq < front.envelope.seq:
            return self._waiting.popleft()
        return self._newest.pop(key)
