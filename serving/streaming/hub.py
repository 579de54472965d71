"""Fan-out: every message encoded once, handed to each connection, and kept for who comes back."""

import secrets
from collections import deque
from collections.abc import Iterable
from typing import Any, NamedTuple

from serving.streaming.client import Client, Wire
from serving.streaming.messages import (
    CONFLATED,
    Coding,
    Envelope,
    Message,
    Topic,
    frame_of,
)

KEPT = 10_000


class Wish(NamedTuple):
    """What a client asks for; `since` is the last sequence number it has of the stream `stream`."""

    topics: frozenset[Topic]
    coding: Coding = Coding()
    stream: str = ""
    since: int = 0


class Hub:
    """All listeners; publishing costs next to nothing while there never was one.

    Parameters
    ----------
    capacity : int
        Messages that may wait for one client.

    Attributes
    ----------
    stream : str
        Name of this run of the stream; sequence numbers count from 1 within it.
    cut_clients, dropped : int
        Clients that were cut; messages that newer ones replaced for clients that are gone.
    """

    def __init__(self, capacity: int) -> None:
        self.stream = secrets.token_hex(6)
        self.cut_clients = 0
        self._capacity = capacity
        self._clients: set[Client] = set()
        self._kept: deque[Message] = deque(maxlen=KEPT)
        self._newest: dict[tuple[Topic, str], Message] = {}
        self._seq = 0
        self._conflated_of_gone = 0
        self._was_heard = False

    def __len__(self) -> int:
        return len(self._clients)

    @property
    def seq(self) -> int:
        """Number of the newest message."""
        return self._seq

    @property
    def conflated(self) -> int:
        """Messages that clients got a newer one instead of, ever."""
        return self._conflated_of_gone + sum(client.conflated for client in self._clients)

    def listens(self, topic: Topic) -> bool:
        """Tell whether anybody listens to `topic`."""
        return any(topic in client.topics for client in self._clients)

    def publish(self, topic: Topic, data: Any, key: str = "") -> None:
        """Tell everyone who listens to `topic`."""
        if not self._was_heard:
            return
        self._seq += 1
        message = Message(Envelope(topic, self._seq, data, key))
        if topic in CONFLATED:
            self._newest[topic, key] = message
        else:
            self._kept.append(message)
        self._fan_out(message, [one for one in self._clients if topic in one.topics])

    def open(self, wire: Wire, wish: Wish, snapshots: Iterable[tuple[Topic, Any]] = ()) -> Client:
        """Start to tell a client, with a welcome, what it missed, and how things stand."""
        self._was_heard = True
        client = Client(wire, wish.topics, wish.coding, self._capacity)
        client.send([self._system({"stream": self.stream, "seq": self._seq, **self._gap(wish)})])
        stands = [
            Message(Envelope(topic, self._seq, data, "snapshot"))
            for topic, data in snapshots
            if topic in wish.topics
        ]
        newest = [one for (topic, _), one in self._newest.items() if topic in wish.topics]
        messages = [*self._missed(wish), *newest, *stands]
        client.send(sorted(messages, key=lambda one: one.envelope.seq))
        self._clients.add(client)
        return client

    def close(self, client: Client) -> None:
        """Stop telling a client."""
        if client in self._clients:
            self._clients.discard(client)
            self._conflated_of_gone += client.conflated
            self.cut_clients += client.is_cut

    def beat(self) -> None:
        """Tell everyone that nothing happened."""
        self._fan_out(self._system({"heartbeat": self._seq}), list(self._clients))

    def _fan_out(self, message: Message, clients: list[Client]) -> None:
        frames: dict[Coding, bytes] = {}
        for client in clients:
            frame = frames.get(client.coding)
            if frame is None:
                frame = frames[client.coding] = frame_of([message], client.coding)
            client.put(message, frame)

    def _system(self, data: dict[str, Any]) -> Message:
        return Message(Envelope(Topic.SYSTEM, self._seq, data))

    def _missed(self, wish: Wish) -> list[Message]:
        if wish.stream != self.stream:
            return []
        return [
            one
            for one in self._kept
            if one.envelope.seq > wish.since and one.envelope.topic in wish.topics
        ]

    def _gap(self, wish: Wish) -> dict[str, Any]:
        """Say which numbers cannot be made up for, if the client was here before."""
        if not wish.stream:
            return {}
        if wish.stream != self.stream:
            return {"gap": "another stream: serving was started again"}
        oldest = self._kept[0].envelope.seq if len(self._kept) == KEPT else 1
        return {"gap": [wish.since + 1, oldest - 1]} if wish.since + 1 < oldest else {}
