"""The order desk: everything of the engine that concerns orders, states and the session."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from time import perf_counter_ns
from typing import Any

import msgspec

from core.config import TradingConfig
from core.errors import BadInput, Conflict, JournalError, NotFound, OrderError, Unavailable
from core.instruments import InstrumentTable
from core.types import (
    Amendment,
    Fill,
    Order,
    OrderEvent,
    OrderEventKind,
    OrderStatus,
    Prediction,
    Quote,
    Side,
    Signal,
    TradingState,
)
from monitoring.latency import StageLatencies
from trading.account import Account
from trading.acks import Acknowledgements
from trading.amendments import refuse_odd_terms
from trading.brackets import exits_fit, exits_of, exits_owed
from trading.events import (
    CancelOrder,
    Event,
    OrderEventIn,
    QuoteIn,
    ReplaceOrder,
    SessionChanged,
    SetTradingState,
    SubmitOrder,
    Timer,
)
from trading.ids import MODEL_STRATEGY
from trading.orders import terms_of
from trading.outputs import FillUpdate, OrderUpdate, Output, StateUpdate
from trading.pipeline import OrderPipeline, Submission
from trading.ports import Broker, Journal
from trading.records import Happened, Kept, StateChanged, encode
from trading.risk_checks import CALLERS_OWN, Basis
from trading.scenarios import ScenarioTable
from trading.sizing import next_quantity
from trading.trading_state import GLOBAL
from trading.transitions import is_open
from trading.watchers import Watchers

WORKING = frozenset({OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED})
_ENGINE = "engine"


class OrderDesk:
    """Sends the model's and callers' orders and books what comes of them.

    Parameters
    ----------
    account : Account
    config : TradingConfig
    instruments : InstrumentTable
    journal, broker, latencies, scenarios
        As for `trading.engine.TradingEngine`.
    tell : callable
        Takes what the listeners shall hear.
    """

    def __init__(
        self,
        account: Account,
        config: TradingConfig,
        instruments: InstrumentTable,
        journal: Journal,
        broker: Broker,
        latencies: StageLatencies,
        scenarios: ScenarioTable | None,
        tell: Callable[[Output], None],
    ) -> None:
        self._account = account
        self._journal = journal
        self._broker = broker
        self._tell = tell
        self._latencies = latencies
        self._sizes = [row.to_steps(config.order_lots) for row in instruments]
        self._symbols = [row.symbol for row in instruments]
        self.pipeline = OrderPipeline(account, journal, broker, latencies, scenarios)
        timeout_ns = int(config.ack_timeout_ms * 1e6)
        self._acks = Acknowledgements(account.book, timeout_ns, latencies)
        self._held: dict[str, None] = {}
        self._watchers = Watchers(account, self._set_state, self.keep)

    def doors(self) -> dict[type, Callable[[Any], Submission | None]]:
        """Which method takes which event."""
        return {
            OrderEventIn: self.on_order_event,
            SubmitOrder: self.on_submit,
            CancelOrder: self.on_cancel,
            ReplaceOrder: self.on_replace,
            SetTradingState: self.on_trading_state,
            SessionChanged: self.on_session,
            Timer: self.on_timer,
        }

    def follow(
        self, event: QuoteIn, signal: Signal, prediction: Prediction | None, decision_id: str
    ) -> bool:
        """Order what the position policy makes of a signal; True when a new order was sent."""
        if prediction is None:
            return False
        account, quote = self._account, event.quote
        held, opened_ns = account.portfolio.strategy_position(MODEL_STRATEGY, quote.instrument)
        quantity = next_quantity(
            signal.direction,
            held,
            self._sizes[quote.instrument],
            aged=quote.ts_event - opened_ns >= prediction.horizon_ns,
            in_flight=account.book.in_flight(MODEL_STRATEGY, quote.instrument),
            state=account.states.of(account.name, MODEL_STRATEGY, self._symbols[quote.instrument]),
        )
        if not quantity:
            return False
        request = SubmitOrder(
            event.now_ns,
            decision_id,
            account.name,
            MODEL_STRATEGY,
            quote.instrument,
            Side.BUY if quantity > 0 else Side.SELL,
            abs(quantity),
        )
        basis = Basis(True, event.now_ns, prediction.approved, quote.seq)
        done = self._submit(request, decision_id, basis)
        return done.refused is None and not (done.repeated or done.conflict)

    def on_submit(self, event: SubmitOrder) -> Submission:
        """Take a caller's order; the model's name and position are not theirs to use."""
        if event.strategy == MODEL_STRATEGY:
            raise BadInput(f"strategy {MODEL_STRATEGY!r} is the model's own")
        if (event.take_ticks or event.loss_ticks) and not exits_fit(event):
            raise BadInput("exits of a bracket lie on either side of its entry")
        return self._submit(event, "")

    def on_replace(self, event: ReplaceOrder) -> Submission:
        """Ask the venue to change an order that works, once risk agrees to what it would become."""
        order = self._account.book.get(event.client_order_id)
        if order is None:
            raise NotFound(f"no order {event.client_order_id}")
        if order.status not in WORKING:
            raise Conflict(f"order {event.client_order_id} is {order.status}: nothing to replace")
        if not self.pipeline.session_ready:
            raise Unavailable("the order session is not ready, so the replacement was not sent")
        refuse_odd_terms(order, event.terms)
        amended = self.pipeline.amended(order, event.terms)
        terms = terms_of(amended)
        refused = self.pipeline.judge_amended(order, terms, event.now_ns)
        if refused is None:
            self._replace(order, terms, event.now_ns)
        return Submission(order, refused)

    def _replace(self, order: Order, terms: Amendment, now_ns: int) -> None:
        wish = OrderEvent(
            order.client_order_id, OrderEventKind.REQUEST_REPLACE, now_ns, terms=terms
        )
        self._book(wish, now_ns)
        self._acks.asked(order, now_ns)
        held = self._account.book.get(order.client_order_id) or order
        try:
            self._broker.replace(held)
        except Unavailable as error:
            self.pipeline.lost.append(_lost(order.client_order_id, now_ns, str(error)))

    def on_cancel(self, event: CancelOrder) -> None:
        """Ask the venue to cancel an open order; a terminal one stays as it is.

        What was asked once is asked again for as long as the venue answers that the order works.
        """
        order = self._account.book.get(event.client_order_id)
        if order is None:
            raise NotFound(f"no order {event.client_order_id}")
        if not is_open(order):
            return
        if not self.pipeline.session_ready:
            raise Unavailable("the order session is not ready, so the cancel was not sent")
        self._pace_cancel(order, event.now_ns)

    def on_order_event(self, event: OrderEventIn) -> None:
        """Book a report of the venue; a contradiction halts.

        So does any other error, which is raised again: nothing of the report is booked then, and it
        must not count as taken.
        """
        if event.event.kind is not OrderEventKind.LOSE:
            self._acks.answered(event.event.client_order_id)
        started = perf_counter_ns()
        try:
            self._book(event.event, event.now_ns)
            self._latencies.record("confirm", perf_counter_ns() - started)
        except OrderError as error:
            self.halt(event.now_ns, f"{type(error).__name__}: {error}")
        except Exception as error:
            self.halt(event.now_ns, f"booking failed: {type(error).__name__}: {error}")
            raise
        if event.event.kind is OrderEventKind.ACCEPT and self.pipeline.session_ready:
            self._cancel_again(event.event.client_order_id, event.now_ns)

    def on_trading_state(self, event: SetTradingState) -> None:
        """Change the state of one scope, journaled before it counts; the kill switch cancels too.

        A human who enables the account after a drawdown has it counted from there; one who enables
        a strategy after repeated executions has those forgotten. When the journal fails, trading
        halts all the same, but whoever asked hears that a restart would not know of it.
        """
        problem = self._account.scopes.refusal(event.scope)
        if problem:
            raise BadInput(problem)
        self._set_state(event)
        if event.state is TradingState.ACTIVE:
            self._watchers.re_arm(event.scope, event.now_ns)
        if event.cancel_orders:
            for order in self._account.book.open_orders():
                if self._in_scope(order, event.scope):
                    self._cancel(order, event.now_ns)
        if event.who != _ENGINE and not self._journal.healthy:
            raise Unavailable("the journal failed: the state counts until a restart, not beyond")

    def _in_scope(self, order: Order, scope: str) -> bool:
        symbol = self._symbols[order.instrument]
        named = (f"account:{order.account}", f"strategy:{order.strategy}", f"symbol:{symbol}")
        return scope == GLOBAL or scope in named

    def on_mark(self, quote: Quote, now_ns: int) -> None:
        """Look at day loss and drawdown after a quote that can change them."""
        if self._account.moves(quote):
            self._watchers.losses(quote.ts_event, now_ns)

    def on_session(self, event: SessionChanged) -> None:
        """Open or close the way to the venue; closing makes orders on their way UNKNOWN."""
        self.pipeline.session_ready = event.ready
        if not event.ready:
            self.lose_in_doubt(event.now_ns, event.reason or "session ended")
            return
        for client_order_id in sorted(self._account.cancel_wishes):
            self._cancel_again(client_order_id, event.now_ns)
        for order, fill in exits_owed(self._account.book):
            self._send_exits(order, fill, event.now_ns)

    def on_timer(self, event: Timer) -> None:
        """Call orders without an answer UNKNOWN and ask for them, again every time-out."""
        self._send_held(event.now_ns)
        for order in self._acks.overdue(event.now_ns):
            if order.status is not OrderStatus.UNKNOWN:
                self._lose(order.client_order_id, event.now_ns, "no answer in time")
            # A session that is down asks at its next logon, when it is reconciled.
            with suppress(Unavailable):
                self._broker.request_status(order)

    def lose_in_doubt(self, now_ns: int, reason: str) -> None:
        """Make every order that waits for an answer UNKNOWN."""
        for order in self._acks.in_doubt():
            self._lose(order.client_order_id, now_ns, reason)

    def halt(self, now_ns: int, reason: str) -> None:
        """Stop all trading but cancels and reductions until a human enables it again."""
        self._set_state(_halt(now_ns, reason))

    def keep(self, name: str, value: str | None, now_ns: int) -> None:
        """Have a named value outlive the process, see `trading.records.Kept`.

        Journaled before it counts; what did not change is not journaled again.
        """
        if self._account.kept.get(name) != value:
            self._note(Kept(name, value, now_ns))
            self._account.keep(name, value)

    def noticed(self, now_ns: int) -> Sequence[Event]:
        """Events that the ports show and nobody has sent."""
        found: list[Event] = []
        lost = self.pipeline.lost
        if lost:
            found.extend(OrderEventIn(now_ns, event) for event in lost)
            lost.clear()
        if self.pipeline.session_ready and not self._broker.ready:
            found.append(SessionChanged(now_ns, False, "the order session is down"))
        trouble = self._journal.trouble or ("" if self._journal.healthy else "the journal failed")
        if trouble and self._account.states.state is not TradingState.HALTED:
            found.append(_halt(now_ns, trouble))
        return found

    def newest(self, submission: Submission) -> Submission:
        """Return the submission with its order as it stands by now."""
        order = self._account.book.get(submission.order.client_order_id)
        if order is None or order is submission.order:
            return submission
        return msgspec.structs.replace(submission, order=order)

    def _submit(
        self, request: SubmitOrder, decision_id: str, basis: Basis = CALLERS_OWN
    ) -> Submission:
        submission = self.pipeline.submit(request, decision_id, basis)
        if not submission.repeated and not submission.conflict:
            if submission.refused is None:
                self._acks.sent(submission.order, request.now_ns)
            self._tell(OrderUpdate(submission.order, submission.refused))
        return submission

    def _book(self, event: OrderEvent, now_ns: int) -> None:
        rate, tape_ns = self._account.rate_for(event), self._account.tape_ns(event.fill)
        change = self._account.apply(event, rate, tape_ns)
        if change is None:
            return
        self._note(Happened(event, now_ns, rate, tape_ns))
        self._tell(OrderUpdate(change.applied.after))
        fill, after, profit = change.applied.fill, change.applied.after, change.profit
        if fill is None or profit is None:
            return
        self._tell(FillUpdate(fill, after.strategy, profit.quote, profit.account, profit.rate))
        self._watchers.executions(change, now_ns)
        self._watchers.losses(tape_ns, now_ns)
        if self.pipeline.session_ready:
            self._send_exits(after, fill, now_ns)

    def _send_exits(self, entry: Order, fill: Fill, now_ns: int) -> None:
        """Protect an execution of a bracket's entry; what risk refuses stops the strategy."""
        for request in exits_of(entry, fill, now_ns):
            sent = self._submit(request, "")
            if sent.refused is not None:
                reason = f"exit of {entry.client_order_id} was denied: {sent.refused.reason}"
                self._watchers.stop_strategy(entry, reason, now_ns)

    def _cancel(self, order: Order, now_ns: int) -> None:
        wish = OrderEvent(order.client_order_id, OrderEventKind.REQUEST_CANCEL, now_ns)
        self._book(wish, now_ns)
        self._acks.asked(order, now_ns)
        self._send_cancel(order, now_ns)

    def _send_cancel(self, order: Order, now_ns: int) -> None:
        try:
            self._broker.cancel(order)
        except Unavailable as error:
            self.pipeline.lost.append(_lost(order.client_order_id, now_ns, str(error)))

    def _pace_cancel(self, order: Order, now_ns: int) -> None:
        """Cancel a caller's order by the cancels' own rate; over it, with the next that is free."""
        slot = (order.strategy, order.instrument)
        if self._account.risk.cancels.take(slot, now_ns):
            self._held.pop(order.client_order_id, None)
            self._cancel(order, now_ns)
        else:
            self._held[order.client_order_id] = None

    def _send_held(self, now_ns: int) -> None:
        for name in tuple(self._held):
            order = self._account.book.get(name)
            if order is None or not is_open(order):
                del self._held[name]
            else:
                self._pace_cancel(order, now_ns)

    def _cancel_again(self, client_order_id: str, now_ns: int) -> None:
        """Repeat a cancel that was lost on the way: the venue works the order all the same."""
        order = self._account.book.get(client_order_id)
        wished = client_order_id in self._account.cancel_wishes
        if wished and order is not None and order.status in WORKING:
            self._cancel(order, now_ns)

    def _lose(self, client_order_id: str, now_ns: int, reason: str) -> None:
        self._book(_lost(client_order_id, now_ns, reason), now_ns)

    def _set_state(self, event: SetTradingState) -> None:
        self._note(StateChanged(event.state, event.reason, event.who, event.scope, event.now_ns))
        self._account.set_state(event.scope, event.state, event.reason)
        self._tell(StateUpdate(event.now_ns, event.state, event.reason, event.who, event.scope))

    def _note(self, record: Happened | StateChanged | Kept) -> None:
        """Journal a fact. It is one even if that fails; `noticed` then halts."""
        with suppress(JournalError):
            self._journal.append(encode(record))


def _lost(client_order_id: str, now_ns: int, reason: str) -> OrderEvent:
    return OrderEvent(client_order_id, OrderEventKind.LOSE, now_ns, reason=reason)


def _halt(now_ns: int, reason: str) -> SetTradingState:
    return SetTradingState(now_ns, TradingState.HALTED, reason, _ENGINE)
