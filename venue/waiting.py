"""Orders that wait at the venue: stops for their price, timed ones for their end."""

from bisect import insort
from heapq import heappop, heappush

from core.types import Side
from venue.orders import BookEntry

_Rank = tuple[int, int, str]


class StopBook:
    """Stop orders of one instrument in the order in which the market reaches them."""

    def __init__(self) -> None:
        self._ranks: dict[Side, list[_Rank]] = {side: [] for side in Side}

    def add(self, entry: BookEntry) -> None:
        """Have an order wait."""
        insort(self._ranks[entry.order.side], _rank(entry))

    def discard(self, entry: BookEntry) -> bool:
        """Have it wait no longer; False when it did not."""
        ranks, rank = self._ranks[entry.order.side], _rank(entry)
        if rank not in ranks:
            return False
        ranks.remove(rank)
        return True

    def take_reached(self, bid: int, ask: int) -> list[str]:
        """Return, and let go of, those whose stop the market has reached: buys at the ask."""
        return self._take(Side.BUY, ask) + self._take(Side.SELL, -bid)

    def _take(self, side: Side, reached: int) -> list[str]:
        ranks = self._ranks[side]
        count = 0
        while count < len(ranks) and ranks[count][0] <= reached:
            count += 1
        names = [name for _, _, name in ranks[:count]]
        del ranks[:count]
        return names


class Deadlines:
    """Orders of one instrument that end at a time of the tape."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, str]] = []

    def add(self, entry: BookEntry) -> None:
        """Note when an order ends."""
        if entry.order.expire_ns:
            name = entry.order.client_order_id
            heappush(self._heap, (entry.order.expire_ns, entry.arrival, name))

    def take_due(self, now_ns: int) -> list[tuple[str, int]]:
        """Return, and let go of, names and times that are due; an order may be over by then."""
        due = []
        while self._heap and self._heap[0][0] <= now_ns:
            at, _, name = heappop(self._heap)
            due.append((name, at))
        return due


def reached(order_side: Side, stop_ticks: int, bid: int, ask: int) -> bool:
    """Say whether the market has reached a stop price: a buy's by the ask, a sell's by the bid."""
    return ask >= stop_ticks if order_side is Side.BUY else bid <= stop_ticks


def _rank(entry: BookEntry) -> _Rank:
    order = entry.order
    return (order.side.sign * order.stop_ticks, entry.arrival, order.client_order_id)
