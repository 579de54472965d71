"""What the checks need between orders, and the gathering of it for one order."""

from core.config import RiskConfig
from core.instruments import Instrument, InstrumentTable
from core.types import Fill, Order, OrderStatus, OrderType, Side, TradingState
from trading.conduct import Executions, RateBuckets
from trading.limits import Bounds, Caps, bounds_of, caps_of
from trading.losses import LossWatch
from trading.marks import Marks
from trading.orders import OrderBook
from trading.portfolio import Portfolio
from trading.risk_checks import CALLERS_OWN, Basis, RiskContext
from trading.sessions import Week, week_of
from trading.valuation import Valuation

_NO_WEEK = Week(0, 0)
_PRICED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})


class RiskGate:
    """Keeps limits, what was sent and what was lost, and builds the context of the checks.

    Parameters
    ----------
    limits : RiskConfig
    account : str
        The account that is traded.
    instruments : InstrumentTable
    book, portfolio, marks
        The engine's own; only read.

    Attributes
    ----------
    valuation : Valuation
    losses : LossWatch
    orders, cancels : RateBuckets
        By strategy and instrument.
    executions : Executions
    """

    def __init__(
        self,
        limits: RiskConfig,
        account: str,
        instruments: InstrumentTable,
        book: OrderBook,
        portfolio: Portfolio,
        marks: Marks,
    ) -> None:
        self._account = account
        self._instruments = instruments
        self._book = book
        self._portfolio = portfolio
        self._marks = marks
        self.valuation = Valuation(portfolio, marks)
        self._weeks = [_NO_WEEK] * len(instruments)
        self._sent: dict[tuple[object, ...], int] = {}
        self._limits = limits
        self._caps = caps_of(limits)
        self._bounds = [bounds_of(limits, terms) for terms in instruments]
        self.losses = LossWatch(self._caps)
        self.orders = RateBuckets(self._caps.order_rate, self._caps.order_burst)
        self.cancels = RateBuckets(self._caps.cancel_rate, self._caps.cancel_burst)
        self.executions = Executions(self._caps.executions_ns)

    @property
    def limits(self) -> RiskConfig:
        """The limits in force."""
        return self._limits

    @limits.setter
    def limits(self, limits: RiskConfig) -> None:
        self._limits = limits
        self._caps = self.losses.caps = caps_of(limits)
        self._bounds = [bounds_of(limits, terms) for terms in self._instruments]
        self.orders.rate, self.orders.burst = self._caps.order_rate, self._caps.order_burst
        self.cancels.rate, self.cancels.burst = self._caps.cancel_rate, self._caps.cancel_burst
        self.executions.window_ns = self._caps.executions_ns

    @property
    def caps(self) -> Caps:
        """The limits of the account in whole numbers."""
        return self._caps

    def bounds(self, instrument: int) -> Bounds:
        """Limits of a known instrument in its own units."""
        return self._bounds[instrument]

    def context(
        self,
        order: Order,
        now_ns: int,
        state: TradingState,
        *,
        session_ready: bool,
        journal_healthy: bool,
        basis: Basis = CALLERS_OWN,
    ) -> RiskContext:
        """Gather what the checks look at for `order`.

        An order of no known instrument or side gets empty places, which deny.
        """
        marks, portfolio, instrument = self._marks, self._portfolio, order.instrument
        terms = self.terms(instrument)
        known, sided = terms is not None, type(order.side) is Side
        at = instrument if known else 0
        low, high = portfolio.span(at)
        other = marks.converter(at)
        slot = (order.strategy, at)
        # In the order of the fields; keywords would cost a third more.
        return RiskContext(
            order,
            now_ns,
            state,
            self._account,
            marks.currency,
            session_ready,
            journal_healthy,
            terms,
            self._bounds[at] if known else None,
            self._caps,
            self.week(at) if known else _NO_WEEK,
            marks.quote(at) if known else None,
            marks.mark(at) if known else None,
            other is not None,
            None if other is None else marks.quote(other),
            marks.unit(at) if known else None,
            portfolio.margin_rates[at],
            self._book.get(order.client_order_id) is not None,
            self._sent.get(_content(order), 0),
            low,
            high,
            portfolio.reducible(order) if known and sided else 0,
            self._book.open_count,
            self.valuation.load(at) if known else None,
            self.valuation.equity(),
            self.losses.losses,
            self.orders.level(slot, now_ns),
            self._book.resting.opposing(at, order.side) if sided else 0,
            self.executions.count(order.strategy, at, order.side, now_ns),
            basis,
        )

    def terms(self, instrument: int) -> Instrument | None:
        """Return the contract terms, None for an id that the table does not hold."""
        known = type(instrument) is int and 0 <= instrument < len(self._instruments)
        return self._instruments[instrument] if known else None

    def week(self, instrument: int) -> Week:
        """Trading week of the instrument's newest quote; looked up when the tape leaves it."""
        quote = self._marks.quote(instrument)
        week = self._weeks[instrument]
        if quote is not None and not week.contains(quote.ts_event):
            week = self._weeks[instrument] = week_of(quote.ts_event)
        return week

    def remember(self, order: Order, now_ns: int) -> None:
        """Note that `order` is sent, for the duplicate check; old entries are let go."""
        self._sent[_content(order)] = now_ns
        if len(self._sent) > 1_024:
            oldest = now_ns - self._caps.duplicate_ns
            self._sent = {key: at for key, at in self._sent.items() if at >= oldest}

    def remember_all(self, orders: list[Order]) -> None:
        """Note all that was sent within the window before the newest, as after a restart."""
        if not orders:
            return
        newest = max(order.submitted_ns for order in orders)
        for order in orders:
            sent = order.status is not OrderStatus.DENIED
            if sent and order.submitted_ns >= newest - self._caps.duplicate_ns:
                self.remember(order, order.submitted_ns)

    def count_order(self, order: Order, now_ns: int) -> None:
        """Count an order that is sent by its rate; a process begins with full buckets."""
        self.orders.take((order.strategy, order.instrument), now_ns)

    def note_execution(self, order: Order, fill: Fill, now_ns: int) -> bool:
        """Count an order at its first execution; True when that reaches the limit."""
        limit = self._caps.executions
        return self.executions.note(order.strategy, fill, now_ns) >= limit > 0


def _content(order: Order) -> tuple[object, ...]:
    return (
        order.account,
        order.strategy,
        order.instrument,
        order.side,
        order.quantity,
        order.type,
        # The price of a market order follows the tape, so it is no part of what was asked.
        order.limit_ticks if order.type in _PRICED else 0,
        order.stop_ticks,
        order.group,
    )
