"""From an order request to the wire: idempotency, risk, journal, reservation, send."""

from contextlib import suppress
from time import perf_counter_ns

import msgspec

from core.errors import JournalError, Unavailable
from core.instruments import Instrument
from core.types import (
    Order,
    OrderEvent,
    OrderEventKind,
    OrderStatus,
    OrderType,
    Refused,
    Side,
)
from monitoring.latency import StageLatencies
from trading.account import Account
from trading.denials import ModelDenials, Situation
from trading.events import SubmitOrder
from trading.ids import MODEL_STRATEGY, client_order_id
from trading.ports import Broker, Journal
from trading.records import Denied, Intent, encode
from trading.risk import evaluate
from trading.scenarios import ScenarioTable

LOST = "not known whether it left"


class Submission(msgspec.Struct, frozen=True):
    """Outcome of a submit.

    Attributes
    ----------
    order : Order
        The order as it stands; DENIED when it was refused. On a conflict, the earlier order.
    refused : Refused or None
        Set when risk said no.
    repeated : bool
        The key was used before with the same body: this is the first result. Also for an order of
        the model that was denied as its last one was; then nothing is held or journaled.
    conflict : bool
        The key was used before with another body: nothing was done.
    """

    order: Order
    refused: Refused | None = None
    repeated: bool = False
    conflict: bool = False


class OrderPipeline:
    """Takes requests to the broker, one at a time.

    Parameters
    ----------
    account : Account
        Book, portfolio, risk and states of the account.
    journal, broker, latencies
        Ports.
    scenarios : ScenarioTable or None
        Answers to the checks that do not move with the tape.

    Attributes
    ----------
    session_ready : bool
        What the last session event said.
    lost : list of OrderEvent
        LOSE events of orders that may not have left, for the desk to book.
    """

    def __init__(
        self,
        account: Account,
        journal: Journal,
        broker: Broker,
        latencies: StageLatencies,
        scenarios: ScenarioTable | None = None,
    ) -> None:
        self._account = account
        self._journal = journal
        self._broker = broker
        self._latencies = latencies
        self.scenarios = scenarios
        self._denials = ModelDenials()
        self.session_ready = False
        self.lost: list[OrderEvent] = []

    def submit(self, request: SubmitOrder, decision_id: str = "") -> Submission:
        """Refuse, or journal, reserve and send; the outcome comes back as order events."""
        model = request.strategy == MODEL_STRATEGY
        first = self._account.book.by_key(request.account, request.key, model=model)
        if first is not None:
            return self._repeat(first, request)
        started = perf_counter_ns()
        order = self._build(request, decision_id)
        refused = self._judge(order, request.now_ns)
        checked = perf_counter_ns()
        self._latencies.record("risk", checked - started)
        if refused is not None:
            if model and not self._is_news(order, refused, request.now_ns):
                return Submission(_denied(order, refused), refused, repeated=True)
            return self._deny(order, refused)
        return self._send(order, request.now_ns, checked)

    def _repeat(self, first: Order, request: SubmitOrder) -> Submission:
        if _body_of(first) != _body(request):
            return Submission(first, conflict=True)
        refused = self._account.refusals.get(first.client_order_id)
        return Submission(first, refused, repeated=True)

    def _build(self, request: SubmitOrder, decision_id: str) -> Order:
        quote = None
        terms = self._account.risk.terms(request.instrument)
        if terms is not None:
            quote = self._account.marks.quote(request.instrument)
        return Order(
            client_order_id=client_order_id(
                request.account, request.key, model=request.strategy == MODEL_STRATEGY
            ),
            key=request.key,
            account=request.account,
            strategy=request.strategy,
            instrument=request.instrument,
            side=request.side,
            quantity=request.quantity,
            type=request.type,
            limit_ticks=self._limit(request, terms),
            time_in_force=request.time_in_force,
            created_ns=request.now_ns,
            quote_seq=0 if quote is None else quote.seq,
            decision_id=decision_id,
            submitted_ns=request.now_ns,
        )

    def _limit(self, request: SubmitOrder, terms: Instrument | None) -> int:
        """Limit price; a market order goes out as a limit at the far end of the collar."""
        if request.type is not OrderType.MARKET or terms is None:
            return request.limit_ticks
        mark = self._account.marks.mark(terms.id)
        if mark is None:
            return 0
        width = self._account.risk.bounds(terms.id).collar_ticks
        buys = request.side is Side.BUY
        return mark.ask_ticks + width if buys else mark.bid_ticks - width

    def _judge(self, order: Order, now_ns: int) -> Refused | None:
        account = self._account
        terms = account.risk.terms(order.instrument)
        symbol = "" if terms is None else terms.symbol
        context = account.risk.context(
            order,
            now_ns,
            account.states.of(order.account, order.strategy, symbol),
            session_ready=self.session_ready,
            journal_healthy=self._journal.healthy,
        )
        return evaluate(
            context,
            precomputed=self._precomputed(order, terms),
            seek_largest=order.strategy != MODEL_STRATEGY,
        )

    def _is_news(self, order: Order, refused: Refused, now_ns: int) -> bool:
        account = self._account
        terms = account.risk.terms(order.instrument)
        if terms is None:
            return True
        situation = Situation(
            refused.check,
            order.side,
            order.quantity,
            account.portfolio.exposure(terms.id),
            account.states.of(order.account, order.strategy, terms.symbol),
            account.risk.limits,
        )
        return self._denials.is_news(order, situation, now_ns)

    def _precomputed(self, order: Order, terms: Instrument | None) -> bool:
        if self.scenarios is None or terms is None:
            return False
        mark = self._account.marks.mark(terms.id)
        if mark is None:
            return False
        found = self.scenarios.take(
            order.account,
            order.instrument,
            order.side,
            order.quantity,
            mark.quote.ts_event,
            mark.ask_ticks,
        )
        return found is not None

    def _deny(self, order: Order, refused: Refused) -> Submission:
        denied = _denied(order, refused)
        # A denial sends nothing; a journal that fails here denies the next order by itself.
        with suppress(JournalError):
            self._journal.append(encode(Denied(denied, refused)))
        self._account.take_denied(denied, refused)
        return Submission(denied, refused)

    def _send(self, order: Order, now_ns: int, checked: int) -> Submission:
        submitted = msgspec.structs.replace(order, status=OrderStatus.SUBMITTED)
        try:
            self._journal.append(encode(Intent(submitted)))
        except JournalError as error:
            # Nothing left the process. Should half a record survive, the venue will not know it.
            return self._deny(order, Refused("session", str(error), "healthy", "failed"))
        journaled = perf_counter_ns()
        self._latencies.record("journal", journaled - checked)
        self._account.take_intent(submitted)
        try:
            self._broker.send(submitted)
        except Unavailable as error:
            self.lost.append(
                OrderEvent(
                    order.client_order_id, OrderEventKind.LOSE, now_ns, reason=f"{LOST}: {error}"
                )
            )
            return Submission(submitted)
        self._latencies.record("send", perf_counter_ns() - journaled)
        return Submission(submitted)


def _denied(order: Order, refused: Refused) -> Order:
    reason = f"{refused.check}: {refused.reason}"
    return msgspec.structs.replace(order, status=OrderStatus.DENIED, reason=reason)


def _body(request: SubmitOrder) -> tuple[object, ...]:
    limit = request.limit_ticks if request.type is OrderType.LIMIT else 0
    return (
        request.strategy,
        request.instrument,
        request.side,
        request.quantity,
        request.type,
        limit,
        request.time_in_force,
    )


def _body_of(order: Order) -> tuple[object, ...]:
    limit = order.limit_ticks if order.type is OrderType.LIMIT else 0
    return (
        order.strategy,
        order.instrument,
        order.side,
        order.quantity,
        order.type,
        limit,
        order.time_in_force,
    )
