"""Pre-trade risk: an ordered table of checks, default DENY.

A refusal is a value that names the check, the limit, what was observed, and the largest size that
would have passed. An exception in a check is a refusal as well.
"""

from dataclasses import replace
from typing import NamedTuple

import msgspec

from core.config import RiskConfig
from core.instruments import Instrument, InstrumentTable
from core.types import Order, OrderStatus, OrderType, Refused, Side, TradingState
from trading import risk_account, risk_checks
from trading.marks import Marks
from trading.orders import OrderBook
from trading.portfolio import Portfolio
from trading.risk_checks import Bounds, Breach, Check, RiskContext, bounds_of
from trading.sessions import Week, week_of


class Row(NamedTuple):
    """One row of the table; `cached` checks may be answered by a scenario."""

    name: str
    check: Check
    cached: bool = False


CHECKS = (
    Row("trading_state", risk_checks.trading_state),
    Row("account_right", risk_checks.account_right),
    Row("session", risk_checks.session),
    Row("instrument", risk_checks.instrument, cached=True),
    Row("well_formed", risk_checks.well_formed),
    Row("well_formed", risk_checks.lots_allowed, cached=True),
    Row("client_id", risk_checks.client_id),
    Row("duplicate", risk_checks.duplicate),
    Row("quote_fresh", risk_checks.quote_fresh),
    Row("collar", risk_checks.collar),
    Row("order_size", risk_checks.order_size, cached=True),
    Row("worst_position", risk_checks.worst_position),
    Row("exposure", risk_account.exposure),
    Row("margin", risk_account.margin),
)
_UNCACHED = tuple(row for row in CHECKS if not row.cached)


def evaluate(
    ctx: RiskContext, *, precomputed: bool = False, seek_largest: bool = True
) -> Refused | None:
    """Run the checks in order; the first breach wins.

    Parameters
    ----------
    ctx : RiskContext
    precomputed : bool
        A valid scenario answered the cached checks with a pass.
    seek_largest : bool
        Look for the largest size that would have passed. The model orders one size only, and the
        search costs many times the checks.

    Returns
    -------
    Refused or None
        None means that every check passed.
    """
    found = _first_breach(ctx, _UNCACHED if precomputed else CHECKS)
    if found is None:
        return None
    name, breach = found
    largest = _largest_lots(ctx) if seek_largest else ""
    return Refused(name, breach.reason, breach.limit, breach.observed, largest)


def _first_breach(ctx: RiskContext, rows: tuple[Row, ...]) -> tuple[str, Breach] | None:
    for name, check, _ in rows:
        try:
            breach = check(ctx)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a check is a DENY
            breach = Breach(f"check failed: {type(error).__name__}", "an answer", str(error))
        if breach is not None:
            return name, breach
    return None


def _passes(ctx: RiskContext, quantity: int) -> bool:
    smaller = replace(ctx, order=msgspec.structs.replace(ctx.order, quantity=quantity))
    return _first_breach(smaller, CHECKS) is None


def _largest_lots(ctx: RiskContext) -> str:
    """Largest size under the asked one that passes every check.

    Found by bisection: where a size passes, every smaller one does.
    """
    terms, asked = ctx.terms, ctx.order.quantity
    if terms is None or ctx.bounds is None or type(asked) is not int or asked <= 0:
        return "0"
    bounds = ctx.bounds
    least = max(1, bounds.min_steps)
    if least >= asked or not _passes(ctx, least):
        return "0"
    low, high = least, min(asked, bounds.max_steps + 1, bounds.order_steps + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if _passes(ctx, middle):
            low = middle
        else:
            high = middle
    return str(terms.to_lots(low))


class RiskGate:
    """Keeps what the checks need between orders, and builds their context.

    Parameters
    ----------
    limits : RiskConfig
    account : str
        The account that is traded.
    instruments : InstrumentTable
    book, portfolio, marks
        The engine's own; only read.
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
        self._weeks = [Week(0, 0)] * len(instruments)
        self._sent: dict[tuple[object, ...], int] = {}
        self.limits = limits

    @property
    def limits(self) -> RiskConfig:
        """The limits in force."""
        return self._limits

    @limits.setter
    def limits(self, limits: RiskConfig) -> None:
        self._limits = limits
        self._bounds = [bounds_of(limits, terms) for terms in self._instruments]

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
    ) -> RiskContext:
        """Gather what the checks look at for `order`."""
        terms = self.terms(order.instrument)
        known = terms is not None and isinstance(order.side, Side)
        return RiskContext(
            order=order,
            now_ns=now_ns,
            state=state,
            account=self._account,
            session_ready=session_ready,
            journal_healthy=journal_healthy,
            terms=terms,
            bounds=None if terms is None else self._bounds[terms.id],
            limits=self._limits,
            book=self._book,
            portfolio=self._portfolio,
            marks=self._marks,
            week=self.week(order.instrument) if terms is not None else Week(0, 0),
            seen_ns=self._sent.get(_content(order), 0),
            reducible=self._portfolio.reducible(order.instrument, order.side) if known else 0,
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
            oldest = now_ns - int(self._limits.duplicate_window_ms * 1e6)
            self._sent = {key: at for key, at in self._sent.items() if at >= oldest}

    def remember_all(self, orders: list[Order]) -> None:
        """Note all that was sent within the window before the newest, as after a restart."""
        if not orders:
            return
        window = int(self._limits.duplicate_window_ms * 1e6)
        newest = max(order.submitted_ns for order in orders)
        for order in orders:
            if order.status is not OrderStatus.DENIED and order.submitted_ns >= newest - window:
                self.remember(order, order.submitted_ns)


def _content(order: Order) -> tuple[object, ...]:
    return (
        order.account,
        order.strategy,
        order.instrument,
        order.side,
        order.quantity,
        order.type,
        # The price of a market order follows the tape, so it is no part of what was asked.
        order.limit_ticks if order.type is OrderType.LIMIT else 0,
    )
