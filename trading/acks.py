"""Orders that wait for the venue's answer: how long it took, and when it is overdue."""

from time import perf_counter_ns

from core.types import Order, OrderStatus
from monitoring.latency import StageLatencies
from trading.orders import OrderBook
from trading.transitions import IN_DOUBT


class Acknowledgements:
    """Watches orders in doubt.

    Parameters
    ----------
    book : OrderBook
    timeout_ns : int
        Time after which a missing answer makes an order UNKNOWN, and between status requests.
    latencies : StageLatencies
        Takes the stage ``ack``: from sent to the first answer.
    """

    def __init__(self, book: OrderBook, timeout_ns: int, latencies: StageLatencies) -> None:
        self._book = book
        self._timeout_ns = timeout_ns
        self._latencies = latencies
        self._sent: dict[str, int] = {}
        self._asked: dict[str, int] = {}

    def sent(self, order: Order, now_ns: int) -> None:
        """Start to wait for an answer."""
        self._sent[order.client_order_id] = perf_counter_ns()
        self._asked[order.client_order_id] = now_ns

    def asked(self, order: Order, now_ns: int) -> None:
        """Start to wait anew, for the answer to a cancel."""
        self._asked[order.client_order_id] = now_ns

    def answered(self, client_order_id: str) -> None:
        """Note an answer of the venue."""
        sent = self._sent.pop(client_order_id, None)
        if sent is not None:
            self._latencies.record("ack", perf_counter_ns() - sent)

    def overdue(self, now_ns: int) -> list[Order]:
        """Orders to call UNKNOWN and to ask the venue about, oldest first; each once a time-out."""
        if not self._asked and not self._book.open_count:
            return []
        due = []
        for order in self._book.open_orders():
            if order.status not in IN_DOUBT:
                continue
            name = order.client_order_id
            if now_ns - self._asked.get(name, 0) >= self._timeout_ns:
                self._asked[name] = now_ns
                due.append(order)
        self._forget()
        return due

    def in_doubt(self) -> list[Order]:
        """Orders that wait for an answer and are not UNKNOWN yet."""
        waiting = IN_DOUBT - {OrderStatus.UNKNOWN}
        return [order for order in self._book.open_orders() if order.status in waiting]

    def _forget(self) -> None:
        still = {order.client_order_id for order in self._book.open_orders()}
        self._asked = {name: at for name, at in self._asked.items() if name in still}
        self._sent = {name: at for name, at in self._sent.items() if name in still}
