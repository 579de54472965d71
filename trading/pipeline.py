"""From an order request to the wire: idempotency, risk, journal, reservation, send."""

from contextlib import suppress
from time import perf_counter_ns

import msgspec

from core.errors import JournalError, Unavailable
from core.instruments import Instrument
from core.types import (
    Amendment,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderStatus,
    OrderType,
    Quote,
    Refused,
    Side,
    TimeInForce,
)
from monitoring.latency import StageLatencies
from trading.account import Account
from trading.denials import ModelDenials, Situation
from trading.events import SubmitOrder
from trading.ids import MODEL_STRATEGY, client_order_id
from trading.orders import as_asked, with_terms
from trading.ports import Broker, Journal
from trading.records import Denied, Intent, encode
from trading.risk import evaluate, largest_lots, scenario_holds
from trading.risk_checks import CALLERS_OWN, Basis, RiskContext
from trading.scenarios import ScenarioTable
from trading.sessions import day_end
from trading.transitions import STOPS

LOST = "not known whether it left"
_OWN_PRICE = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})


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

    def submit(
        self, request: SubmitOrder, decision_id: str = "", basis: Basis = CALLERS_OWN
    ) -> Submission:
        """Refuse, or journal, reserve and send; the outcome comes back as order events."""
        model = request.strategy == MODEL_STRATEGY
        first = self._account.book.by_key(request.account, request.key, model=model)
        if first is not None:
            return self._repeat(first, request)
        started = perf_counter_ns()
        order = self._build(request, decision_id)
        refused, context, by_scenario = self._judge(order, request.now_ns, basis)
        checked = perf_counter_ns()
        self._latencies.record("risk", checked - started)
        if refused is not None:
            if model and not self._is_news(order, refused, request.now_ns):
                return Submission(_denied(order, refused), refused, repeated=True)
            return self._deny(order, _with_largest(refused, context))
        sent = self._send(order, request.now_ns, checked)
        if by_scenario and context is not None:
            self._prove(context)
        return sent

    def judge_amended(self, order: Order, terms: Amendment, now_ns: int) -> Refused | None:
        """Have risk judge what `order` would be with new terms, in place of what it is.

        Less of the same is never refused.
        """
        amended = self.amended(order, terms)
        if amended.quantity <= order.quantity and _prices(amended) == _prices(order):
            return None
        rest = msgspec.structs.replace(
            amended, quantity=amended.quantity - order.filled, filled=0, submitted_ns=now_ns
        )
        portfolio = self._account.portfolio
        portfolio.reserve(msgspec.structs.replace(order, status=OrderStatus.CANCELED))
        try:
            refused, context, _ = self._judge(rest, now_ns, CALLERS_OWN, replaces=True)
            return None if refused is None else _with_largest(refused, context)
        finally:
            portfolio.reserve(order)

    def amended(self, order: Order, terms: Amendment) -> Order:
        """Return the order as it would be; a new stop price moves the limit behind it."""
        amended = with_terms(order, terms)
        if order.type is not OrderType.STOP or not terms.stop_ticks:
            return amended
        limit = self._behind(order.instrument, order.side, terms.stop_ticks)
        return msgspec.structs.replace(amended, limit_ticks=limit)

    def _repeat(self, first: Order, request: SubmitOrder) -> Submission:
        if _body(as_asked(first)) != _body(request):
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
            stop_ticks=request.stop_ticks,
            expire_ns=_expiry(request, quote),
            reduce_only=request.reduce_only,
            take_ticks=request.take_ticks,
            loss_ticks=request.loss_ticks,
            group=request.group,
        )

    def _limit(self, request: SubmitOrder, terms: Instrument | None) -> int:
        """Limit price; a market order goes out as a limit at the far end of the collar.

        That of a stop order is measured from its stop price.
        """
        if request.type in _OWN_PRICE or terms is None:
            return request.limit_ticks
        if request.type is OrderType.STOP:
            return self._behind(terms.id, request.side, request.stop_ticks)
        mark = self._account.marks.mark(terms.id)
        if mark is None:
            return 0
        buys = request.side is Side.BUY
        return self._behind(terms.id, request.side, mark.ask_ticks if buys else mark.bid_ticks)

    def _behind(self, instrument: int, side: Side, price_ticks: int) -> int:
        width = self._account.risk.bounds(instrument).collar_ticks
        return price_ticks + width if side is Side.BUY else price_ticks - width

    def _judge(
        self, order: Order, now_ns: int, basis: Basis, *, replaces: bool = False
    ) -> tuple[Refused | None, RiskContext | None, bool]:
        """Return the refusal, what was judged by, and whether a scenario answered a part."""
        account = self._account
        try:
            terms = account.risk.terms(order.instrument)
            symbol = "" if terms is None else terms.symbol
            context = account.risk.context(
                order,
                now_ns,
                account.states.of(order.account, order.strategy, symbol),
                session_ready=self.session_ready,
                journal_healthy=self._journal.healthy,
                basis=basis,
            )
            if replaces:
                context.seen, context.same_ns = False, 0
            precomputed = self._precomputed(order, terms)
        except Exception as error:  # noqa: BLE001 - what cannot be looked at is a DENY
            reason = f"nothing to judge by: {type(error).__name__}"
            return Refused("context", reason, "an answer", str(error)), None, False
        refused = evaluate(context, precomputed=precomputed, seek_largest=False)
        return refused, context, precomputed

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
        if mark is None or not self.scenarios.is_for(self._account.risk.limits):
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

    def _prove(self, context: RiskContext) -> None:
        """Ask what a scenario answered ahead, now that the order has left."""
        if self.scenarios is not None:
            started = perf_counter_ns()
            holds = scenario_holds(context)
            self.scenarios.counts.prove(holds, perf_counter_ns() - started)

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
        self._account.risk.count_order(submitted, now_ns)
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


def _with_largest(refused: Refused, context: RiskContext | None) -> Refused:
    if context is None:
        return refused
    return msgspec.structs.replace(refused, largest_lots=largest_lots(context))


def _prices(order: Order) -> tuple[int, int]:
    return order.limit_ticks, order.stop_ticks


def _expiry(request: SubmitOrder, quote: Quote | None) -> int:
    """Return when the order ends: a DAY order with the day of the tape."""
    if request.time_in_force is TimeInForce.DAY and not request.expire_ns and quote is not None:
        return day_end(quote.ts_event)
    return request.expire_ns


def _body(asked: SubmitOrder | Order) -> tuple[object, ...]:
    """Return what makes two requests the same; what follows the tape is no part of it."""
    return (
        asked.strategy,
        asked.instrument,
        asked.side,
        asked.quantity,
        asked.type,
        asked.limit_ticks if asked.type in _OWN_PRICE else 0,
        asked.time_in_force,
        asked.stop_ticks if asked.type in STOPS else 0,
        asked.expire_ns if asked.time_in_force is TimeInForce.GTD else 0,
        asked.reduce_only,
        asked.take_ticks,
        asked.loss_ticks,
    )
