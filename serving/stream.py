"""Fan-out of decisions, orders and fills to slow and quick clients alike.

A client has a bounded queue. When it falls behind, its oldest messages go, the loss is counted and
told to it; nobody else waits.
"""

import asyncio
from collections import deque

import msgspec

from core.types import Decision
from serving.views import DroppedMessage, FillView, OrderView, StreamMessage

_encode = msgspec.json.Encoder().encode


class Subscription:
    """One client's queue of encoded messages."""

    def __init__(self, capacity: int) -> None:
        self._waiting: deque[bytes] = deque()
        self._capacity = capacity
        self._arrived = asyncio.Event()
        self.dropped = 0
        self.dropped_total = 0

    def put(self, message: bytes) -> None:
        """Queue a message, at the expense of the oldest when full."""
        if len(self._waiting) >= self._capacity:
            self._waiting.popleft()
            self.dropped += 1
            self.dropped_total += 1
        self._waiting.append(message)
        self._arrived.set()

    async def take(self) -> list[bytes]:
        """Wait for messages and return all that are queued, led by the news of any loss."""
        await self._arrived.wait()
        self._arrived.clear()
        batch = list(self._waiting)
        self._waiting.clear()
        if self.dropped:
            batch.insert(0, _encode(DroppedMessage(self.dropped)))
            self.dropped = 0
        return batch


class Hub:
    """All subscriptions; publishing costs nothing while nobody listens."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._subscriptions: set[Subscription] = set()
        self.dropped_of_gone = 0

    def __len__(self) -> int:
        return len(self._subscriptions)

    @property
    def dropped(self) -> int:
        """Messages that slow clients lost, ever."""
        return self.dropped_of_gone + sum(s.dropped_total for s in self._subscriptions)

    def open(self) -> Subscription:
        """Start a subscription from now on."""
        subscription = Subscription(self._capacity)
        self._subscriptions.add(subscription)
        return subscription

    def close(self, subscription: Subscription) -> None:
        """End a subscription."""
        self._subscriptions.discard(subscription)
        self.dropped_of_gone += subscription.dropped_total

    def publish(self, kind: str, data: Decision | OrderView | FillView) -> None:
        """Encode once and queue for every subscription."""
        if not self._subscriptions:
            return
        message = _encode(StreamMessage(kind, data))
        for subscription in self._subscriptions:
            subscription.put(message)
