"""The venue of a recorded session, run again: same tape, same arrivals, same matching.

Taken from outside is only *when*: the venue's log says at which tape position an order or a cancel
arrived, the recording between which other events its reports came. What happened to the order is
matched anew, and must come out as recorded: no report may differ, be made up, or be missing.
"""

from collections import defaultdict, deque
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from backtest.arrivals import Arrivals
from backtest.owed import GRACE_NS, Watch
from core.columns import QuoteColumns
from core.config import VenueConfig
from core.instruments import InstrumentTable
from core.types import Amendment, Order, OrderEvent, OrderEventKind, OrderStatus, Quote
from trading.orders import terms_of
from trading.reconciliation import is_inferred
from venue.matching import MatchingEngine
from venue.orders import BookEntry, venue_order

K = OrderEventKind
_REJECTS = frozenset((K.REJECT_CANCEL, K.REJECT_REPLACE))
_ENDS = frozenset((K.CANCEL, K.REJECT, K.EXPIRE))
_STANDS_FOR = {
    OrderStatus.ACCEPTED: K.ACCEPT,
    OrderStatus.PARTIALLY_FILLED: K.ACCEPT,
    OrderStatus.FILLED: K.ACCEPT,
    OrderStatus.CANCELED: K.CANCEL,
    OrderStatus.EXPIRED: K.EXPIRE,
    OrderStatus.REJECTED: K.REJECT,
}


class _Command(NamedTuple):
    """An order, its cancel or its new terms, with the tape position at which it arrives."""

    seq: int
    order: Order
    cancels: bool = False
    terms: Amendment | None = None


class VenueTwin:
    """A broker in process that answers as the recorded venue did; satisfies `trading.ports.Broker`.

    Parameters
    ----------
    tape : mapping of instrument id to QuoteColumns
        What the venue had on its tape, from its first quote to its last.
    instruments : InstrumentTable
    config : VenueConfig
        Of the recorded venue: seed and ratios.
    arrivals : Arrivals
        What reached that venue, and when.

    Attributes
    ----------
    watch : Watch
        To be told the recording's clock and session.
    differences : list of str
        Where the twin did not do what the recording says.
    """

    def __init__(
        self,
        tape: Mapping[int, QuoteColumns],
        instruments: InstrumentTable,
        config: VenueConfig,
        arrivals: Arrivals,
    ) -> None:
        self.differences: list[str] = []
        self._unsent: list[str] = []
        self.matching = MatchingEngine(instruments, config)
        self.watch = Watch(GRACE_NS + round(config.latency_ms * 1e6))
        self._arrivals = arrivals
        self._tape = tape
        self._quotes = {key: rows.quotes(key) for key, rows in tape.items()}
        self._lengths = {key: len(rows) for key, rows in tape.items()}
        self._at = dict.fromkeys(tape, 0)
        self._commands: dict[int, list[_Command]] = defaultdict(list)
        self._orders: dict[str, Order] = {}
        self._coming: dict[str, deque[OrderEvent]] = defaultdict(deque)
        self._told: dict[str, list[OrderEvent]] = defaultdict(list)
        self._terms: dict[str, list[Amendment]] = defaultdict(list)
        self._stood: dict[str, set[tuple[OrderEventKind, int]]] = defaultdict(set)
        self._cancels = {name: deque(seqs) for name, seqs in arrivals.cancels.items()}
        self._replacements = {name: deque(some) for name, some in arrivals.replacements.items()}

    # --- trading.ports.Broker ---

    @property
    def ready(self) -> bool:
        """Always: the recording's session events say when the real session was not."""
        return True

    def send(self, order: Order) -> None:
        """Let the order arrive where the venue has it; one that it never saw never arrives."""
        name = order.client_order_id
        self.watch.sent(name)
        if name in self._orders:
            return
        self._orders[name] = order
        arrival = self._arrivals.orders.get(name)
        if arrival is None:
            return
        if arrival.order != venue_order(order):
            self.differences.append(f"order {venue_order(order)}: the venue took {arrival.order}")
        self._schedule(_Command(arrival.seq, order))

    def cancel(self, order: Order) -> None:
        """Let the cancel arrive where the venue has it."""
        self.watch.sent(order.client_order_id)
        seqs = self._cancels.get(order.client_order_id)
        if seqs:
            self._schedule(_Command(seqs.popleft(), order, cancels=True))

    def replace(self, order: Order) -> None:
        """Let the new terms arrive where the venue has them; they must be those that it took."""
        name = order.client_order_id
        self.watch.sent(name)
        requests = self._replacements.get(name)
        if requests:
            seq, terms = requests.popleft()
            if terms != order.pending:
                self.differences.append(f"order {name} to {order.pending}: the venue took {terms}")
            self._schedule(_Command(seq, order, terms=terms))

    def request_status(self, order: Order) -> None:
        """Do nothing: the answer is in the recording."""

    # --- reports ---

    def order(self, client_order_id: str) -> Order | None:
        """Return an order that was sent here."""
        return self._orders.get(client_order_id)

    def report(self, recorded: OrderEvent) -> OrderEvent | None:
        """Return the twin's own report in the place of a recorded one.

        None when the twin has nothing of the kind, which is a difference.
        """
        name = recorded.client_order_id
        order = self._orders.get(name)
        if order is None:
            self._unsent.append(f"venue report {recorded}: no such order was sent")
            return None
        self._run_to(order.instrument, recorded.quote_seq)
        self.watch.heard(name, order.instrument, recorded.quote_seq)
        own = self._matched(recorded)
        self._told[name].append(recorded)
        if own is None:
            self._differ(recorded, f"the twin has {self._standing(name)}")
        elif recorded.kind is K.ACCEPT:
            own = self._with_terms(own, recorded)
        elif _essence(own) != _essence(recorded):
            self._differ(recorded, f"the twin has {own}")
        return own

    def quote(self, quote: Quote) -> None:
        """Compare a recorded quote with the tape."""
        self.watch.quote(quote)
        rows, at = self._tape.get(quote.instrument), quote.seq - 1
        if rows is None or not 0 <= at < len(rows):
            self.differences.append(f"quote {quote}: not on the tape")
        elif (rows.ts[at], rows.bid[at], rows.ask[at]) != (quote.ts_event, quote.bid, quote.ask):
            self.differences.append(f"quote {quote}: the tape has {rows.bid[at]} {rows.ask[at]}")

    def finish(self) -> None:
        """Look, after the last event, for reports that the session must have heard of and did not.

        See `backtest.owed` for what may be under way at the end. Orders that the replay never sent
        are told last: something else made it do otherwise.
        """
        for instrument in self._tape:
            self._run_to(instrument, self.watch.last_seq(instrument))
        for name, coming in self._coming.items():
            instrument = self._orders[name].instrument
            for event in coming:
                if self.watch.owed(name, instrument, event.quote_seq):
                    self.differences.append(f"venue report {event}: it never reached the session")
        self.differences += self._unsent

    def _matched(self, recorded: OrderEvent) -> OrderEvent | None:
        """Next report that is due for the order, or an earlier or present one told again."""
        name = recorded.client_order_id
        if recorded.kind is K.REJECT_CANCEL:
            entry = self.matching.status(name)
            return None if entry is not None and entry.is_open else recorded
        if recorded.kind is K.REJECT_REPLACE:
            return recorded
        coming = self._coming[name]
        if coming and _kind(coming[0]) == _kind(recorded):
            return coming.popleft()
        return self._inferred(recorded) if is_inferred(recorded) else self._told_again(recorded)

    def _inferred(self, recorded: OrderEvent) -> OrderEvent | None:
        """Take the executions that a status answer stood for, if they come to the same."""
        coming, fill = self._coming[recorded.client_order_id], recorded.fill
        quantity = value = 0
        while fill is not None and coming and quantity < fill.quantity:
            own = coming[0].fill
            if own is None and coming[0].kind is not K.ACCEPT:
                break
            coming.popleft()
            if own is not None:
                quantity, value = quantity + own.quantity, value + own.quantity * own.price_ticks
        if fill is None or quantity != fill.quantity or fill.price_ticks != round(value / quantity):
            return None
        return recorded

    def _told_again(self, recorded: OrderEvent) -> OrderEvent | None:
        """Return a report that was there before, or what answers a status request."""
        name = recorded.client_order_id
        for earlier in self._told[name]:
            if _essence(earlier) == _essence(recorded):
                return earlier
        if (recorded.kind, recorded.quote_seq) in self._stood[name]:
            return recorded  # the answer to a status request, maybe overtaken by a cancel
        if recorded.kind is _STANDS_FOR.get(self._standing(name)):
            return recorded
        return None

    def _with_terms(self, own: OrderEvent, recorded: OrderEvent) -> OrderEvent:
        """Take over the terms of a status answer, if the order ever had them."""
        name, terms = own.client_order_id, recorded.terms
        if terms is not None and terms not in self._terms[name]:
            self._differ(recorded, f"the twin had {self._terms[name]}")
        if _essence(own) != _essence(recorded):
            self._differ(recorded, f"the twin has {own}")
        return msgspec.structs.replace(own, terms=terms)

    def _standing(self, name: str) -> OrderStatus:
        entry: BookEntry | None = self.matching.status(name)
        return OrderStatus.REJECTED if entry is None else entry.status

    def _differ(self, recorded: OrderEvent, text: str) -> None:
        self.differences.append(f"venue report {recorded}: {text}")

    # --- tape ---

    def _schedule(self, command: _Command) -> None:
        instrument = command.order.instrument
        if command.seq < self._at.get(instrument, 0):
            name = command.order.client_order_id
            self.differences.append(
                f"order {name} arrives at {command.seq}, the tape is at {self._at[instrument]}"
            )
        self._commands[instrument].append(command)
        self._arrive(instrument)

    def _run_to(self, instrument: int, seq: int) -> None:
        while self._at.get(instrument, seq) < min(seq, self._lengths[instrument]):
            quote = next(self._quotes[instrument])
            self._at[instrument] = quote.seq
            self._keep(self.matching.on_quote(quote))
            if quote.seq == self._lengths[instrument]:
                self._keep(self.matching.end_of_tape(instrument))
            self._arrive(instrument)

    def _arrive(self, instrument: int) -> None:
        due = [c for c in self._commands[instrument] if c.seq <= self._at.get(instrument, 0)]
        for command in due:
            self._commands[instrument].remove(command)
            name = command.order.client_order_id
            if command.terms is not None:
                self._keep(self.matching.replace(name, command.terms))
            elif command.cancels:
                self._keep(self.matching.cancel(name))
            else:
                self._terms[name].append(terms_of(command.order))
                self._keep(self.matching.submit(venue_order(command.order)))

    def _keep(self, events: list[OrderEvent]) -> None:
        for event in events:
            if event.kind not in _REJECTS:
                self._coming[event.client_order_id].append(event)
                if event.terms is not None:
                    self._terms[event.client_order_id].append(event.terms)
                stands = event.kind if event.kind in _ENDS else K.ACCEPT
                self._stood[event.client_order_id].add((stands, event.quote_seq))


def _kind(event: OrderEvent) -> tuple[OrderEventKind, str]:
    return event.kind, event.fill.exec_id if event.fill else ""


def _essence(event: OrderEvent) -> tuple[object, ...]:
    """Leave out what decides nothing: words and the venue's own id."""
    return (
        event.client_order_id, event.kind, event.ts_event, event.quote_seq, event.fill,
        event.terms if event.kind is K.REPLACE else None,
    )  # fmt: skip
