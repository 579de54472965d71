"""What a live source of quotes looks like, whatever carries it.

A feed calls its sink directly: no task switch and no queue lie between the wire and the buffer.
"""

from typing import Protocol

import msgspec

from core.types import Quote


class FeedGap(msgspec.Struct, frozen=True, gc=False):
    """The feed lost quotes of one instrument: its features are cold until rebuilt.

    Attributes
    ----------
    instrument : int
        Dense instrument id.
    missed : int
        Number of quotes lost, 0 when the source cannot tell.
    ts_recv : int
        When we noticed, ns UTC.
    reason : str
        For people: "sequence jump", "reconnected".
    """

    instrument: int
    missed: int
    ts_recv: int
    reason: str


class FeedCounters(msgspec.Struct):
    """What a feed has seen so far; `malformed` was dropped and never reached the sink."""

    received: int = 0
    malformed: int = 0
    gaps: int = 0
    reconnects: int = 0


class QuoteSink(Protocol):
    """Takes what a feed brings. Called on the event loop; must not block."""

    def on_quote(self, quote: Quote) -> None:
        """Take one sound quote."""
        ...

    def on_gap(self, gap: FeedGap) -> None:
        """Hear that quotes were lost, before the first quote after the loss."""
        ...


class Feed(Protocol):
    """A source of quotes."""

    @property
    def counters(self) -> FeedCounters:
        """Totals since the feed was made."""
        ...

    async def run(self, sink: QuoteSink) -> None:
        """Bring quotes to `sink` until the tape ends or the task is cancelled."""
        ...
