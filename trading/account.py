"""All state of one account behind one door: book, positions, marks, risk, states, refusals."""

from decimal import Decimal
from typing import NamedTuple

from core.config import RiskConfig, TradingConfig
from core.costs import CostModel
from core.instruments import InstrumentTable
from core.types import Fill, Order, OrderEvent, OrderEventKind, Quote, Refused, TradingState
from trading.account_state import Changes, Small
from trading.losses import KEPT as LOSSES
from trading.losses import Breached
from trading.mark_history import MarkHistory
from trading.marks import Marks
from trading.orders import Applied, OrderBook
from trading.portfolio import Portfolio, Profit
from trading.records import Denied, Happened, Intent, Kept, Record, StateChanged
from trading.risk_gate import RiskGate
from trading.trading_state import GLOBAL, TradingStates, known_scopes
from trading.transitions import is_open


class Change(NamedTuple):
    """What an order event did, and what its execution earned."""

    applied: Applied
    profit: Profit | None


class Account:
    """State of one account; nothing here reads a clock or reaches out of the process.

    Parameters
    ----------
    config : TradingConfig
    limits : RiskConfig
    costs : CostModel
    instruments : InstrumentTable

    Attributes
    ----------
    kept : dict of str to str
        Named values that outlive the process; change them by `OrderDesk.keep` only.
    """

    def __init__(
        self,
        config: TradingConfig,
        limits: RiskConfig,
        costs: CostModel,
        instruments: InstrumentTable,
    ) -> None:
        self.name = config.account
        self.marks = Marks(instruments, config.currency)
        self.history = MarkHistory(self.marks, len(instruments))
        self.book = OrderBook()
        self.portfolio = Portfolio(instruments, self.marks, config.balance, costs.commission_pips)
        self.risk = RiskGate(
            limits, config.account, instruments, self.book, self.portfolio, self.marks
        )
        self.scopes = known_scopes(config.account, instruments)
        start = TradingState.ACTIVE if config.enabled_at_start else TradingState.HALTED
        self.states = TradingStates(start, "as configured" if start == "ACTIVE" else "not enabled")
        self.refusals: dict[str, Refused] = {}
        self.cancel_wishes: set[str] = set()
        self.kept: dict[str, str] = {}
        self._told: dict[str, tuple[TradingState, str]] = {}
        self._enabled_at_start = config.enabled_at_start

    def take_intent(self, order: Order) -> None:
        """Hold an order that is about to be sent, with its exposure reserved."""
        self.book.add(order)
        self.portfolio.reserve(order)
        self.risk.remember(order, order.submitted_ns)

    def take_denied(self, order: Order, refused: Refused) -> None:
        """Hold a denied order, so that its key answers the same again."""
        if self.book.get(order.client_order_id) is None:
            self.book.add(order)
            self.refusals[order.client_order_id] = refused

    def rate_for(self, event: OrderEvent) -> Decimal | None:
        """Conversion for the event's execution, None when it brings none or no rate is known."""
        fill = event.fill
        if fill is None or self.risk.terms(fill.instrument) is None:
            return None
        return self.portfolio.rate_for(fill)

    def tape_ns(self, fill: Fill | None) -> int:
        """Time of the tape as an execution finds it: of the newest quote, else the venue's."""
        if fill is None:
            return 0
        quote = None
        if self.risk.terms(fill.instrument) is not None:
            quote = self.marks.quote(fill.instrument)
        return fill.ts_event if quote is None else quote.ts_event

    def apply(
        self, event: OrderEvent, rate: Decimal | None = None, tape_ns: int = 0
    ) -> Change | None:
        """Apply an order event to book, reservation and position; None for a repeated execution.

        Raises
        ------
        core.errors.OrderError
            When the event contradicts what we know; nothing is changed by this or any other error.
        """
        applied = self.book.judge(event)
        if applied is None:
            return None
        effect = None
        if applied.fill is not None:
            strategy = applied.after.strategy
            effect = self.portfolio.judge_fill(applied.fill, strategy, rate, tape_ns)
        self.book.take(applied)
        if effect is not None:
            self.portfolio.take_fill(effect)
        self.portfolio.reserve(applied.after)
        self._note_cancel(event, applied.after)
        return Change(applied, None if effect is None else effect.profit)

    def _note_cancel(self, event: OrderEvent, after: Order) -> None:
        """Remember a wish to cancel until the venue refuses it or the order is over."""
        if event.kind is OrderEventKind.REQUEST_CANCEL:
            self.cancel_wishes.add(event.client_order_id)
        elif event.kind is OrderEventKind.REJECT_CANCEL or not is_open(after):
            self.cancel_wishes.discard(event.client_order_id)

    def take_changes(self, ids: dict[str, int]) -> Changes:
        """Everything since the last call, for a snapshot; `ids` are the ends of reserved blocks."""
        orders, fills = self.book.take_changes()
        names = [order.client_order_id for order in orders]
        refusals = {name: self.refusals[name] for name in names if name in self.refusals}
        small = Small(
            self.portfolio.state(), dict(self._told), sorted(self.cancel_wishes),
            dict(self.kept), ids, self.risk.executions.state(),
        )  # fmt: skip
        return Changes(orders, refusals, fills, small)

    def restore(self, changes: Changes) -> None:
        """Take over what was taken earlier, in its order."""
        self.book.restore(changes.orders, changes.fills)
        self.refusals.update(changes.refusals)
        small = changes.small
        if small is None:
            return
        self.portfolio.restore(small.portfolio)
        for scope, (state, reason) in small.states.items():
            self._recover_state(scope, state, reason)
        self.cancel_wishes = set(small.cancel_wishes)
        self.kept = {}
        for name, value in small.kept.items():
            self.keep(name, value)
        self.risk.executions.restore(small.executions)

    def restored(self) -> None:
        """Reserve what is open and remember what was sent, once all changes are in."""
        self.book.restored()
        for order in self.book.open_orders():
            self.portfolio.reserve(order)
        self.risk.remember_all(self.book.orders())

    def note_execution(self, change: Change, now_ns: int) -> bool:
        """Count an order's first execution; True when its strategy has had too many."""
        before, after, fill = change.applied
        return (
            fill is not None and not before.filled and self.risk.note_execution(after, fill, now_ns)
        )

    def watch_losses(self, tape_ns: int) -> Breached | None:
        """Look at the equity after a mark or a booking; return the state that losses ask for.

        Only one that is stricter than the account's is returned.
        """
        found = self.risk.losses.observe(self.risk.valuation.equity(), tape_ns)
        if found is None or not self.states.is_stricter(self.scope, found.state):
            return None
        return found

    def moves(self, quote: Quote) -> bool:
        """Say whether a quote can change the equity, or begins a day."""
        return bool(self.portfolio.active) or quote.ts_event >= self.risk.losses.day_end_ns

    @property
    def scope(self) -> str:
        """The account's own scope of the trading state."""
        return f"account:{self.name}"

    def recover(self, record: Record) -> None:
        """Apply one record of the journal."""
        match record:
            case Intent(order):
                self.take_intent(order)
            case Denied(order, refused):
                self.take_denied(order, refused)
            case Happened(event, now_ns, rate, tape_ns):
                change = self.apply(event, rate, tape_ns)
                if change is not None:
                    self.note_execution(change, now_ns)
            case StateChanged(state, reason, _, scope):
                self._recover_state(scope, state, reason)
            case Kept(name, value):
                self.keep(name, value)

    def set_state(self, scope: str, state: TradingState, reason: str) -> None:
        """Set the state of one scope; the journal must have it already."""
        self._told[scope] = (state, reason)
        self.states.set(scope, state, reason)

    def keep(self, name: str, value: str | None) -> None:
        """Hold a named value, or let go of it; the journal must have it already."""
        if value is None:
            self.kept.pop(name, None)
        else:
            self.kept[name] = value
            if name == LOSSES:
                self.risk.losses.recover(value)

    def _recover_state(self, scope: str, state: TradingState, reason: str) -> None:
        """Keep a restriction over a restart; permission to trade only where it is configured."""
        self._told[scope] = (state, reason)
        if scope == GLOBAL and state is TradingState.ACTIVE and not self._enabled_at_start:
            state, reason = TradingState.HALTED, "not enabled since the start"
        self.states.set(scope, state, reason)
