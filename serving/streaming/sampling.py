"""Feeds the topics of which only the newest counts: looked at now and then, off the hot path."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from serving.streaming.hub import Hub
from serving.streaming.messages import Topic

QUOTE_SECS = 0.05
SLOW_TURNS = 20
BEAT_TURNS = 200

# Rows of (key, what tells two states apart, data).
Rows = Callable[[], Iterable[tuple[str, Any, Any]]]


class Sampler:
    """Publishes what changed of each topic, and a heartbeat when nothing did.

    Parameters
    ----------
    hub : Hub
    quotes, positions, latency : callable
        Give the rows of a topic as they stand.
    """

    def __init__(self, hub: Hub, quotes: Rows, positions: Rows, latency: Rows) -> None:
        self._hub = hub
        self._rows = {Topic.QUOTES: quotes, Topic.POSITIONS: positions, Topic.LATENCY: latency}
        self._seen: dict[tuple[Topic, str], Any] = {}
        self._beaten_at = 0

    async def run(self) -> None:
        """Look until cancelled."""
        turn = 0
        while True:
            await asyncio.sleep(QUOTE_SECS)
            turn += 1
            self.look(turn)

    def look(self, turn: int) -> None:
        """Look at what is due in this turn."""
        self._publish(Topic.QUOTES)
        if turn % SLOW_TURNS == 0:
            self._publish(Topic.POSITIONS)
            self._publish(Topic.LATENCY)
        if turn % BEAT_TURNS == 0:
            if self._hub.seq == self._beaten_at:
                self._hub.beat()
            self._beaten_at = self._hub.seq

    def _publish(self, topic: Topic) -> None:
        if not self._hub.listens(topic):
            return
        for key, state, data in self._rows[topic]():
            if self._seen.get((topic, key)) != state:
                self._seen[topic, key] = state
                self._hub.publish(topic, data, key)
