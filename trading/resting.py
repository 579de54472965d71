"""Where the account's own orders rest, so that no new one meets them."""

from heapq import heappop, heappush

from core.types import Order, Side
from trading.transitions import IMMEDIATE, STOPS, is_open


class RestingPrices:
    """Best price of the account's own orders that rest, per instrument and side.

    Stop orders are not counted: until they are triggered nobody can meet them.
    """

    def __init__(self) -> None:
        self._heaps: dict[tuple[int, Side], list[tuple[int, str]]] = {}
        self._ranks: dict[str, int] = {}

    def note(self, order: Order) -> None:
        """Take an order as it stands now."""
        name = order.client_order_id
        if order.time_in_force in IMMEDIATE or order.type in STOPS or not is_open(order):
            self._ranks.pop(name, None)
            return
        rank = -order.limit_ticks if order.side is Side.BUY else order.limit_ticks
        if self._ranks.get(name) != rank:
            self._ranks[name] = rank
            heap = self._heaps.setdefault((order.instrument, order.side), [])
            heappush(heap, (rank, name))
            if len(heap) > 64 + 2 * len(self._ranks):  # most of it is of orders that are over
                heap[:] = sorted({row for row in heap if self._ranks.get(row[1]) == row[0]})

    def opposing(self, instrument: int, side: Side) -> int:
        """Return `best` of the other side."""
        if not self._ranks:
            return 0
        return self.best(instrument, Side.SELL if side is Side.BUY else Side.BUY)

    def best(self, instrument: int, side: Side) -> int:
        """Highest buy or lowest sell in price ticks; 0 when none rests."""
        heap = self._heaps.get((instrument, side))
        while heap:
            rank, name = heap[0]
            if self._ranks.get(name) == rank:
                return abs(rank)
            heappop(heap)
        return 0
