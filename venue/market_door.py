"""Market data of the venue: subscriptions in, quotes of the tape out."""

from collections.abc import Callable

from core.errors import Unavailable
from core.instruments import InstrumentTable
from core.types import Quote
from fix import tags
from fix.codec import Message
from fix.events import PeerReject
from fix.link import Link
from fix.market_data import (
    Subscription,
    build_incremental,
    build_market_data_reject,
    build_snapshot,
    parse_subscription,
)
from fix.reports import build_business_reject
from venue.state import Venue

_UNSUPPORTED = 3


class MarketDoor:
    """Market data of one CompID: V in, W X Y out.

    Parameters
    ----------
    venue : Venue
    instruments : InstrumentTable
    on_subscribed : callable
        Called at each subscription: the first one starts the tape.
    """

    def __init__(
        self, venue: Venue, instruments: InstrumentTable, on_subscribed: Callable[[], None]
    ) -> None:
        self._venue = venue
        self._instruments = instruments
        self._on_subscribed = on_subscribed
        self._subscribed: set[int] = set()
        self.link: Link | None = None

    # --- fix.link.Application ---

    def on_up(self, link: Link, recovered: bool) -> None:
        """Begin with no subscription."""
        self.link = link
        self._subscribed.clear()

    def on_message(self, link: Link, message: Message, replayed: bool) -> None:
        """Subscribe or unsubscribe."""
        if message.msg_type == tags.MARKET_DATA_REQUEST:
            self._subscribe(link, parse_subscription(message))
        else:
            body = build_business_reject(message, _UNSUPPORTED, "", "unsupported message type")
            link.send(tags.BUSINESS_REJECT, body)

    def on_reject(self, link: Link, reject: PeerReject) -> None:
        """Do nothing: a quote that the peer cannot read is its own matter."""

    def on_down(self, link: Link, reason: str) -> None:
        """Forget the subscriptions."""
        self.link = None
        self._subscribed.clear()

    # --- quotes ---

    def publish(self, quote: Quote) -> None:
        """Send a quote to who wants it; one that the session no longer takes is lost to it."""
        if self.link is not None and quote.instrument in self._subscribed:
            body = build_incremental(quote, self._instruments[quote.instrument])
            try:
                self.link.send(tags.INCREMENTAL, body)
            except Unavailable:
                self._subscribed.clear()

    def _subscribe(self, link: Link, request: Subscription) -> None:
        unknown = [symbol for symbol in request.symbols if not self._trades(symbol)]
        if unknown:
            text = f"not on the tape: {', '.join(unknown)}"
            link.send(tags.MARKET_DATA_REJECT, build_market_data_reject(request.request_id, text))
            return
        ids = [self._instruments.by_symbol(symbol).id for symbol in request.symbols]
        if not request.active:
            self._subscribed.difference_update(ids)
            return
        self._subscribed.update(ids)
        for instrument in ids:
            quote = self._venue.last_quote(instrument)
            if quote is not None:
                link.send(tags.SNAPSHOT, build_snapshot(quote, self._instruments[instrument]))
        self._on_subscribed()

    def _trades(self, symbol: str) -> bool:
        known = symbol in self._instruments
        return known and self._venue.tape.count(self._instruments.by_symbol(symbol).id) > 0
