"""Live feed: FIX market data (V, then W and X) decoded once to quotes."""

import logging

from core.clock import Clock
from core.config import FixConfig
from core.errors import BadInput
from core.instruments import InstrumentTable
from core.quotes import is_sound
from core.types import Quote
from fix import tags
from fix.codec import Message
from fix.events import PeerReject, Role, SessionConfig
from fix.market_data import build_subscription, parse_quote
from fix.session import FixSession
from fix.store import MemoryStore
from fix.transport import Backoff, Initiator, Link
from market.feed import FeedCounters, FeedGap, QuoteSink

log = logging.getLogger(__name__)

SENDER_SUFFIX = "-MD"


class FixFeed:
    """`market.feed.Feed` over a market data session that begins at 1 with each logon.

    Quotes of an instrument are counted by the venue (`Quote.seq`): a jump is told as a gap before
    the quote that showed it. A number at or below the last one is a repeat and dropped, except
    right after a reconnect, where a lower one means that the venue's tape began anew.

    Parameters
    ----------
    config : FixConfig
        Address, CompIDs (ours gets the suffix ``-MD``) and heartbeat interval.
    table : InstrumentTable
    symbols : tuple of str
        What to subscribe to.
    clock : Clock
        Stamps `Quote.ts_recv`.
    backoff : Backoff
        Pauses between connection attempts.

    Attributes
    ----------
    repeated : int
        Quotes dropped because their number had been seen.
    refused : dict of str to str
        Why the venue refused a symbol.
    connected : bool
    """

    def __init__(
        self,
        config: FixConfig,
        table: InstrumentTable,
        symbols: tuple[str, ...],
        clock: Clock,
        backoff: Backoff,
    ) -> None:
        self._table = table
        self._symbols = symbols
        self._clock = clock
        self._counters = FeedCounters()
        self._last_seq = {table.by_symbol(symbol).id: 0 for symbol in symbols}
        self._fresh: set[int] = set()
        self._sink: QuoteSink | None = None
        agreed = SessionConfig(
            sender=config.sender + SENDER_SUFFIX,
            target=config.target,
            role=Role.INITIATOR,
            heartbeat_secs=config.heartbeat_secs,
            reset_on_logon=True,
        )
        session = FixSession(agreed, MemoryStore(), clock)
        self._initiator = Initiator(session, self, config.host, config.port, backoff)
        self._session = session
        self.repeated = 0
        self.refused: dict[str, str] = {}
        self.connected = False

    @property
    def counters(self) -> FeedCounters:
        """Totals since the feed was made."""
        self._counters.reconnects = max(self._initiator.connections - 1, 0)
        return self._counters

    @property
    def garbled(self) -> int:
        """Frames that did not verify."""
        return self._session.garbled

    async def run(self, sink: QuoteSink) -> None:
        """Bring quotes to `sink`, over any number of connections, until `close`."""
        self._sink = sink
        await self._initiator.run()

    async def close(self) -> None:
        """Log out; `run` returns then."""
        await self._initiator.close()

    # --- fix.transport.Application ---

    def on_up(self, link: Link, recovered: bool) -> None:
        """Subscribe, one request for each symbol."""
        if not self.connected:
            self.connected = True
            self._fresh = set(self._last_seq)
            for symbol in self._symbols:
                link.send(tags.MARKET_DATA_REQUEST, build_subscription(symbol, (symbol,)))

    def on_down(self, link: Link, reason: str) -> None:
        """Note it; the initiator connects again."""
        self.connected = False

    def on_reject(self, link: Link, reject: PeerReject) -> None:
        """Nothing to mend here: it shows as a symbol without quotes."""
        self._counters.malformed += 1

    def on_message(self, link: Link, message: Message, replayed: bool) -> None:
        """Decode a quote; what is malformed is counted and dropped."""
        ts_recv = self._clock.now_ns()
        if message.msg_type in (tags.SNAPSHOT, tags.INCREMENTAL):
            self._counters.received += 1
            try:
                quote = parse_quote(message, self._table, ts_recv)
            except BadInput:
                self._counters.malformed += 1
                return
            self._take(quote)
        elif message.msg_type == tags.MARKET_DATA_REJECT:
            self._note_refusal(message)
        else:
            self._counters.malformed += 1

    def _note_refusal(self, message: Message) -> None:
        symbol, why = message.text(tags.MD_REQ_ID), message.get(tags.TEXT).decode("latin-1")
        self.refused[symbol] = why
        log.error("%s has no quotes, the venue refused the subscription: %s", symbol, why)

    def _take(self, quote: Quote) -> None:
        sink = self._sink
        if not is_sound(quote.bid, quote.ask) or quote.instrument not in self._last_seq:
            # Its number is not noted, so that the hole it leaves is told as a gap.
            self._counters.malformed += 1
        elif sink is not None and self._in_sequence(quote, sink):
            sink.on_quote(quote)

    def _in_sequence(self, quote: Quote, sink: QuoteSink) -> bool:
        """Note the number of `quote`; tell a gap; False for a repeat."""
        instrument, seq = quote.instrument, quote.seq
        last = self._last_seq[instrument]
        fresh = instrument in self._fresh
        self._fresh.discard(instrument)
        restarted = fresh and seq < last
        if seq <= last and not restarted:
            self.repeated += 1
            return False
        self._last_seq[instrument] = seq
        if restarted or (last and seq > last + 1):
            missed = 0 if restarted else seq - last - 1
            reason = "tape restarted" if restarted else "reconnected" if fresh else "sequence jump"
            self._counters.gaps += 1
            sink.on_gap(FeedGap(instrument, missed, quote.ts_recv, reason))
        return True
