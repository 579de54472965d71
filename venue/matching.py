"""The venue's matching: price-time priority against the bid and ask of the tape.

Pure and deterministic: what happens to an order depends on the tape positions at which it arrived,
was replaced and canceled, on its id and on the seed, and for reduce-only orders and groups on the
other orders of its instrument. No clock, no arrival order between instruments, no state of the
random generator.

Rules
-----
* A buy executes at the ask and a sell at the bid, as soon as its limit reaches that price; a better
  price than the limit is passed on. A market order comes as an IOC limit at its collar price.
* The depth at the touch is not on the tape, so it is taken as enough for any order. The venue still
  executes a sampled share of the orders (`VenueConfig.partial_ratio`) in two parts: the first at
  once, the rest at the next quote of the instrument.
* The rest of an IOC has that one quote: where its limit no longer reaches the price, or the tape
  ends, it is canceled. An IOC or FOK that is not marketable when it arrives is canceled at once; a
  FOK never executes in parts. A GTC rests until it executes or is canceled.
* A stop order waits until the ask (buy) or the bid (sell) of a quote reaches its stop price, and is
  a limit order from then on. An order with a time of expiry ends at the first quote of that time or
  later, before that quote executes anything.
* A reduce-only order executes no more than the position on the other side, and its rest is canceled
  when there is none. An execution takes its size off the other orders of its group.
* A replaced order keeps its place in time only if the price stays and the quantity does not grow.
* The high and low of a quote with a span fill nothing: only prices that the tape states trade.
* A sampled share (`VenueConfig.reject_ratio`) is rejected; so is an order before the instrument's
  first quote.
"""

from bisect import insort
from typing import NamedTuple

import msgspec

from core.config import VenueConfig
from core.instruments import InstrumentTable
from core.types import (
    Amendment,
    Fill,
    OrderEvent,
    OrderEventKind,
    OrderStatus,
    Quote,
    Side,
    TimeInForce,
)
from fix.reports import UNKNOWN_ORDER, VENUE
from venue.orders import BookEntry, VenueOrder, fate, keeps_place, with_terms
from venue.waiting import Deadlines, StopBook, reached

TOO_LATE = "too late to cancel"
TOO_LATE_TO_REPLACE = "too late to replace"
NO_QUOTE_FOR_REST = "rest of the order not marketable"


class Market(NamedTuple):
    """Where the tape of an instrument stands; prices in price ticks."""

    seq: int
    ts_event: int
    bid: int
    ask: int


_Rank = tuple[int, int, str]


class MatchingEngine:
    """Matches orders with the tape.

    Parameters
    ----------
    instruments : InstrumentTable
        Terms of what trades here.
    config : VenueConfig
        `seed`, `partial_ratio` and `reject_ratio` are used.
    """

    def __init__(self, instruments: InstrumentTable, config: VenueConfig) -> None:
        self._instruments = instruments
        self._config = config
        self._markets: dict[int, Market] = {}
        self._ended: set[int] = set()
        self._entries: dict[str, BookEntry] = {}
        self._books: dict[tuple[int, Side], list[_Rank]] = {}
        self._last_chance: dict[int, list[BookEntry]] = {}
        self._positions = [0] * len(instruments)
        self._stops = [StopBook() for _ in instruments]
        self._deadlines = [Deadlines() for _ in instruments]
        self._groups: dict[str, list[str]] = {}
        self._arrivals = 0

    def on_quote(self, quote: Quote) -> list[OrderEvent]:
        """Move the instrument's tape to `quote` and match what rests.

        Raises
        ------
        ValueError
            When the tape would not move forward.
        """
        terms = self._instruments[quote.instrument]
        last = self._markets.get(quote.instrument)
        if last is not None and quote.seq <= last.seq:
            raise ValueError(f"{terms.symbol}: quote {quote.seq} after {last.seq}")
        bid, ask = terms.to_ticks(quote.bid), terms.to_ticks(quote.ask)
        self._markets[quote.instrument] = Market(quote.seq, quote.ts_event, bid, ask)
        waiting = self._last_chance.pop(quote.instrument, [])
        events = self._expire(quote.instrument, quote.ts_event)
        for name in self._stops[quote.instrument].take_reached(bid, ask):
            self._entries[name].triggered = True
            self._rest(self._entries[name])
        events += [
            *self._match_side(quote.instrument, Side.BUY),
            *self._match_side(quote.instrument, Side.SELL),
        ]
        return events + [self._cancel_rest(entry) for entry in waiting if entry.is_open]

    def end_of_tape(self, instrument: int) -> list[OrderEvent]:
        """No quote will follow: cancel the rests that wait for one, now and from here on."""
        self._ended.add(instrument)
        waiting = self._last_chance.pop(instrument, [])
        return [self._cancel_rest(entry) for entry in waiting if entry.is_open]

    def submit(self, order: VenueOrder) -> list[OrderEvent]:
        """Take a new order at the current tape position.

        Returns
        -------
        list of OrderEvent
            REJECT, or ACCEPT and what follows at once. Empty for an id that is known: a duplicate
            never executes twice, and its sender is told the status instead.
        """
        if order.client_order_id in self._entries:
            return []
        entry = BookEntry(order, arrival=self._next_arrival())
        self._entries[order.client_order_id] = entry
        reason = self._refusal(order)
        if reason:
            entry.status, entry.reason = OrderStatus.REJECTED, reason
            return [self._event(entry, OrderEventKind.REJECT, reason)]
        if order.group:
            self._groups.setdefault(order.group, []).append(order.client_order_id)
        self._deadlines[order.instrument].add(entry)
        return [self._event(entry, OrderEventKind.ACCEPT), *self._arrive(entry)]

    def cancel(self, client_order_id: str) -> list[OrderEvent]:
        """Cancel an order: CANCEL, or REJECT_CANCEL when it is unknown or works no longer."""
        entry = self._entries.get(client_order_id)
        if entry is None:
            kind = OrderEventKind.REJECT_CANCEL
            return [OrderEvent(client_order_id, kind, 0, reason=UNKNOWN_ORDER)]
        if not entry.is_open:
            return [self._event(entry, OrderEventKind.REJECT_CANCEL, TOO_LATE)]
        self._leave(entry)
        return [self._close(entry, "canceled on request")]

    def replace(self, client_order_id: str, terms: Amendment) -> list[OrderEvent]:
        """Change an order: REPLACE and what follows at once, or REJECT_REPLACE.

        A zero in `terms` leaves the term as it is.
        """
        entry = self._entries.get(client_order_id)
        kind = OrderEventKind.REJECT_REPLACE
        if entry is None:
            return [OrderEvent(client_order_id, kind, 0, reason=UNKNOWN_ORDER)]
        immediate = entry.order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK)
        if not entry.is_open or immediate:
            return [self._event(entry, kind, TOO_LATE_TO_REPLACE)]
        amended = with_terms(entry.order, terms)
        reason = self._replace_refusal(entry, amended)
        if reason:
            return [self._event(entry, kind, reason)]
        self._leave(entry)
        if not keeps_place(entry.order, amended):
            entry.arrival = self._next_arrival()
        entry.order = amended
        self._deadlines[amended.instrument].add(entry)
        return [self._replaced(entry), *self._arrive(entry)]

    def status(self, client_order_id: str) -> BookEntry | None:
        """Return where an order stands, or None when the venue never saw it."""
        return self._entries.get(client_order_id)

    def open_orders(self) -> list[BookEntry]:
        """Orders that still work, oldest first."""
        return [entry for entry in self._entries.values() if entry.is_open]

    def position(self, instrument: int) -> int:
        """Signed lot steps: bought less sold."""
        return self._positions[instrument]

    def market(self, instrument: int) -> Market | None:
        """Where the instrument's tape stands; None before its first quote."""
        return self._markets.get(instrument)

    def _refusal(self, order: VenueOrder) -> str:
        if not 0 <= order.instrument < len(self._instruments):
            return "unknown instrument"
        terms = self._instruments[order.instrument]
        if not terms.to_steps(terms.min_lots) <= order.quantity <= terms.to_steps(terms.max_lots):
            return "quantity out of range"
        if order.limit_ticks <= 0:
            return "no limit price"
        market = self._markets.get(order.instrument)
        if market is None:
            return "no market yet"
        if 0 < order.expire_ns <= market.ts_event:
            return "expires in the past"
        drawn = fate(self._config.seed, order.client_order_id).reject
        return "rejected by the venue" if drawn < self._config.reject_ratio else ""

    def _arrive(self, entry: BookEntry) -> list[OrderEvent]:
        order, market = entry.order, self._markets[entry.order.instrument]
        stop = order.stop_ticks
        if stop and not entry.triggered:
            entry.triggered = reached(order.side, stop, market.bid, market.ask)
            if not entry.triggered:
                self._stops[order.instrument].add(entry)
                return []
        if self._marketable(order):
            return self._execute(entry)
        if order.time_in_force in (TimeInForce.IOC, TimeInForce.FOK):
            return [self._close(entry, "not marketable")]
        self._rest(entry)
        return []

    def _expire(self, instrument: int, now_ns: int) -> list[OrderEvent]:
        events = []
        for name, at in self._deadlines[instrument].take_due(now_ns):
            entry = self._entries[name]
            if entry.is_open and entry.order.expire_ns == at:
                self._leave(entry)
                entry.status, entry.reason = OrderStatus.EXPIRED, "its time is over"
                events.append(self._event(entry, OrderEventKind.EXPIRE, entry.reason))
        return events

    def _replace_refusal(self, entry: BookEntry, amended: VenueOrder) -> str:
        terms = self._instruments[amended.instrument]
        if not entry.filled < amended.quantity <= terms.to_steps(terms.max_lots):
            return "quantity out of range"
        market = self._markets[amended.instrument]
        if 0 < amended.expire_ns <= market.ts_event:
            return "expires in the past"
        return ""

    def _replaced(self, entry: BookEntry) -> OrderEvent:
        order = entry.order
        terms = Amendment(order.quantity, order.limit_ticks, order.stop_ticks, order.expire_ns)
        return self._event(entry, OrderEventKind.REPLACE, terms=terms)

    def _next_arrival(self) -> int:
        self._arrivals += 1
        return self._arrivals

    def _match_side(self, instrument: int, side: Side) -> list[OrderEvent]:
        book = self._books.get((instrument, side), [])
        count = 0
        while count < len(book) and self._marketable(self._entries[book[count][2]].order):
            count += 1
        ready = [self._entries[name] for _, _, name in book[:count]]
        del book[:count]
        for entry in ready:
            entry.booked = False
        # One of a group may end another that is ready as well.
        return [event for entry in ready if entry.is_open for event in self._execute(entry)]

    def _marketable(self, order: VenueOrder) -> bool:
        market = self._markets[order.instrument]
        if order.side is Side.BUY:
            return order.limit_ticks >= market.ask
        return order.limit_ticks <= market.bid

    def _execute(self, entry: BookEntry) -> list[OrderEvent]:
        """Execute at the touch, whole or the first part; a rest goes (back) to the book."""
        quantity = self._first_part(entry)
        if entry.order.reduce_only:
            quantity = min(quantity, self._reducible(entry.order))
            if not quantity:
                return [self._close(entry, "nothing to reduce")]
        events = [self._fill(entry, quantity), *self._end_group(entry, quantity)]
        if not entry.is_open:
            return events
        if entry.order.reduce_only and not self._reducible(entry.order):
            return [*events, self._close(entry, "nothing to reduce")]
        if entry.order.time_in_force is TimeInForce.IOC:
            if entry.order.instrument in self._ended:
                return [*events, self._close(entry, NO_QUOTE_FOR_REST)]
            self._last_chance.setdefault(entry.order.instrument, []).append(entry)
        self._rest(entry)
        return events

    def _reducible(self, order: VenueOrder) -> int:
        return max(0, -order.side.sign * self._positions[order.instrument])

    def _end_group(self, entry: BookEntry, executed: int) -> list[OrderEvent]:
        """Take what one executed off the others of its group."""
        events = []
        for name in self._groups.get(entry.order.group, ()) if entry.order.group else ():
            other = self._entries[name]
            if other is entry or not other.is_open:
                continue
            if other.leaves <= executed:
                self._leave(other)
                events.append(self._close(other, "the other of the group executed"))
            else:
                less = other.order.quantity - executed
                other.order = msgspec.structs.replace(other.order, quantity=less)
                events.append(self._replaced(other))
        return events

    def _first_part(self, entry: BookEntry) -> int:
        order, leaves = entry.order, entry.leaves
        drawn = fate(self._config.seed, order.client_order_id)
        whole = entry.executions or leaves < 2 or order.time_in_force is TimeInForce.FOK
        if whole or drawn.partial >= self._config.partial_ratio:
            return leaves
        return min(leaves - 1, 1 + int(drawn.part * (leaves - 1)))

    def _fill(self, entry: BookEntry, quantity: int) -> OrderEvent:
        order, market = entry.order, self._markets[entry.order.instrument]
        price = market.ask if order.side is Side.BUY else market.bid
        entry.executions += 1
        entry.filled += quantity
        entry.value += quantity * price
        whole = entry.filled == order.quantity
        entry.status = OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED
        self._positions[order.instrument] += order.side.sign * quantity
        fill = Fill(
            VENUE,
            f"{order.client_order_id}-{entry.executions}",
            order.client_order_id,
            order.instrument,
            order.side,
            quantity,
            price,
            market.ts_event,
            market.seq,
        )
        return self._event(entry, OrderEventKind.FILL, fill=fill)

    def _rest(self, entry: BookEntry) -> None:
        order = entry.order
        insort(self._books.setdefault((order.instrument, order.side), []), _rank(entry))
        entry.booked = True

    def _leave(self, entry: BookEntry) -> None:
        """Take an order out of where it rests or waits."""
        order = entry.order
        if entry.booked:
            self._books[order.instrument, order.side].remove(_rank(entry))
            entry.booked = False
        elif order.stop_ticks and not entry.triggered:
            self._stops[order.instrument].discard(entry)

    def _cancel_rest(self, entry: BookEntry) -> OrderEvent:
        self._leave(entry)
        return self._close(entry, NO_QUOTE_FOR_REST)

    def _close(self, entry: BookEntry, reason: str) -> OrderEvent:
        entry.status, entry.reason = OrderStatus.CANCELED, reason
        return self._event(entry, OrderEventKind.CANCEL, reason)

    def _event(
        self,
        entry: BookEntry,
        kind: OrderEventKind,
        reason: str = "",
        fill: Fill | None = None,
        terms: Amendment | None = None,
    ) -> OrderEvent:
        market = self._markets.get(entry.order.instrument)
        entry.quote_seq, entry.ts_event = (market.seq, market.ts_event) if market else (0, 0)
        return OrderEvent(
            entry.order.client_order_id,
            kind,
            entry.ts_event,
            "" if kind is OrderEventKind.REJECT else entry.venue_order_id,
            reason,
            entry.quote_seq,
            fill,
            terms,
        )


def _rank(entry: BookEntry) -> _Rank:
    """Sort key of price-time priority: the more generous limit first, then the earlier arrival."""
    order = entry.order
    return (-order.side.sign * order.limit_ticks, entry.arrival, order.client_order_id)
