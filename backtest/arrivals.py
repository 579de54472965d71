"""When orders and cancels reached the venue, by the venue's own log.

Our own recording cannot say it: a report that never came leaves no trace in it, and a session that
lost all reports of an order would look like one whose order never arrived.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from core.columns import QuoteColumns
from core.types import Amendment
from venue.orders import VenueOrder
from venue.store import CancelRequested, Moved, Record, ReplaceRequested, Submitted
from venue.tape import Tape


class Arrival(NamedTuple):
    """An order as the venue took it, and the position of its instrument's tape at that time."""

    seq: int
    order: VenueOrder


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What reached the venue.

    Attributes
    ----------
    orders : dict of str to Arrival
        By client order id.
    cancels : dict of str to list of int
        Tape positions of the cancel requests of an order, oldest first.
    replacements : dict of str to list of (int, Amendment)
        Tape positions and terms of the requests to replace an order, oldest first.
    """

    orders: dict[str, Arrival] = field(default_factory=dict)
    cancels: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    replacements: dict[str, list[tuple[int, Amendment]]] = field(
        default_factory=lambda: defaultdict(list)
    )


def arrivals_of(records: Iterable[Record], columns: Mapping[int, QuoteColumns]) -> Arrivals:
    """Read the venue's log along its tape.

    Parameters
    ----------
    records : iterable of Record
        From `venue.store.read_log`.
    columns : mapping of instrument id to QuoteColumns
        The whole tape, as the venue had it.
    """
    tape, at, found = Tape(columns), dict.fromkeys(columns, 0), Arrivals()
    for record in records:
        if isinstance(record, Moved):
            quote = tape.take()
            if quote is not None:
                at[quote.instrument] = quote.seq
        elif isinstance(record, Submitted):
            order = record.order
            arrival = Arrival(at.get(order.instrument, 0), order)
            found.orders.setdefault(order.client_order_id, arrival)
        elif isinstance(record, CancelRequested) and record.client_order_id in found.orders:
            instrument = found.orders[record.client_order_id].order.instrument
            found.cancels[record.client_order_id].append(at.get(instrument, 0))
        elif isinstance(record, ReplaceRequested) and record.client_order_id in found.orders:
            instrument = found.orders[record.client_order_id].order.instrument
            request = (at.get(instrument, 0), record.terms)
            found.replacements[record.client_order_id].append(request)
    return found
